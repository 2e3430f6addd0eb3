"""Differentiable distances of spectra that codecs and vocoders descend."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))
"""FFT sizes and hops; short ones see attacks, long ones tones."""


def pooled_energy_error(predicted: Tensor, target: Tensor, *, bins: int, frames: int) -> Tensor:
    """Return the mean absolute error in nepers of local energies of two magnitude maps (B, K, F).

    Log-magnitude L1 settles on the median of a noisy band, 2 to 3 dB below its energy; the energy of a patch does not.
    """

    def local(magnitude: Tensor) -> Tensor:
        stride = (max(1, bins // 2), max(1, frames // 2))
        energy = nn.functional.avg_pool2d(magnitude.square()[:, None], (bins, frames), stride)
        return 0.5 * (energy + 1e-10).log()

    return (local(predicted) - local(target)).abs().mean()


def spectral_errors(
    generated: Tensor, reference: Tensor, resolutions: Sequence[tuple[int, int]] = RESOLUTIONS
) -> tuple[Tensor, Tensor]:
    """Return log-magnitude L1 plus spectral convergence, and the error of local energies, of waveforms (B, S)."""
    magnitude_error = energy_error = generated.new_zeros(())
    for n_fft, hop_length in resolutions:
        window = torch.hann_window(n_fft, device=generated.device)
        both = torch.cat((generated, reference))
        spectrum = torch.stft(both, n_fft, hop_length, window=window, return_complex=True).abs() / n_fft**0.5
        made, true = spectrum.chunk(2)
        convergence = (made - true).flatten(1).norm(dim=1) / (true.flatten(1).norm(dim=1) + 1e-3)
        logs = ((made + 1e-5).log() - (true + 1e-5).log()).abs().mean()
        magnitude_error = magnitude_error + 0.5 * convergence.mean() + 0.5 * logs
        energy_error = energy_error + pooled_energy_error(made, true, bins=4, frames=4)
    return magnitude_error / len(resolutions), energy_error / len(resolutions)
