"""How far the spectra of two waveforms are apart, whatever their phases: the figures of vocoders."""

from __future__ import annotations

import torch
from torch import Tensor

from foleykit.core.errors import InputError

FLOOR = 1e-4
"""Smallest magnitude that counts, -80 dB from a full-scale sine: below it nothing is heard."""
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""FFT size, hop and window length in samples (Yamamoto et al. 2020, table 1)."""


def log_spectral_distance(reference: Tensor, generated: Tensor, *, n_fft: int = 1024, hop_length: int = 256) -> float:
    """Return the log-spectral distance in dB of waveforms (S,); lower is better, 0 for equal magnitudes.

    In each frame the root of the mean squared difference of dB magnitudes over frequencies, then the mean over frames.
    Raises InputError when lengths differ or no frame fits.
    """
    check_pair(reference, generated, n_fft)
    one, other = (20 * magnitude(part, n_fft, hop_length, n_fft).log10() for part in (reference, generated))
    return float((one - other).square().mean(dim=0).sqrt().mean())


def multi_resolution_stft_error(reference: Tensor, generated: Tensor) -> float:
    """Return spectral convergence plus L1 of natural-log magnitudes of waveforms (S,), in the mean over resolutions.

    Lower is better, 0 for equal magnitudes (Yamamoto et al. 2020, eqs. 4 to 7). Raises InputError when lengths differ
    or no frame fits.
    """
    check_pair(reference, generated, max(n_fft for n_fft, _, _ in RESOLUTIONS))
    errors = []
    for n_fft, hop_length, win_length in RESOLUTIONS:
        one, other = (magnitude(part, n_fft, hop_length, win_length) for part in (reference, generated))
        errors.append((one - other).norm() / one.norm() + (one.log() - other.log()).abs().mean())
    return float(torch.stack(errors).mean())


def magnitude(waveform: Tensor, n_fft: int, hop_length: int, win_length: int) -> Tensor:
    """Return magnitudes (K, F) of `waveform` (S,), 1 for a full-scale sine, at least `FLOOR`."""
    window = torch.hann_window(win_length, device=waveform.device)
    spectrum = torch.stft(waveform.float(), n_fft, hop_length, win_length, window=window, return_complex=True)
    return (spectrum.abs() / (window.sum() / 2)).clamp(min=FLOOR)


def check_pair(reference: Tensor, generated: Tensor, n_fft: int) -> None:
    if reference.ndim != 1 or reference.shape != generated.shape or len(reference) <= n_fft // 2:
        raise InputError(
            f"spectra of two equally long waveforms of more than {n_fft // 2} samples are compared, "
            f"not {tuple(reference.shape)} and {tuple(generated.shape)}"
        )
