"""Mel to waveform without a trained vocoder: invert the filter bank, then find a phase (Griffin and Lim 1984)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from foleykit.audio.mel import LogMel, LogMelConfig
from foleykit.audio.unit_mel import UnitMel, UnitMelConfig

MOMENTUM = 0.99
"""Of the fast variant (Perraudin et al. 2013, Algorithm 2)."""
NUM_ITERATIONS = 32
NUM_INVERSIONS = 100


class GriffinLim(nn.Module):
    """Natural-log mel (B, M, F) to waveform (B, 1, F hop_length); has no weights."""

    def __init__(
        self, config: UnitMelConfig, *, num_iterations: int = NUM_ITERATIONS, num_inversions: int = NUM_INVERSIONS
    ) -> None:
        super().__init__()
        self.config = config
        self.num_iterations = num_iterations
        self.num_inversions = num_inversions
        self.mel = UnitMel(config)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Return the waveform of natural-log mel magnitudes; the same mel always gives the same waveform."""
        magnitude = nearest_spectrum(log_mel.float().exp(), self.mel.filters, self.num_inversions)
        num_samples = log_mel.shape[-1] * self.config.hop_length
        return with_phase(magnitude, self._stft, lambda x: self._istft(x, num_samples), self.num_iterations)[:, None]

    def _stft(self, waveform: Tensor) -> Tensor:
        config = self.config
        return torch.stft(waveform, config.n_fft, config.hop_length, window=self.mel.window, return_complex=True)

    def _istft(self, spectrum: Tensor, num_samples: int) -> Tensor:
        """Return (B, S) of `spectrum` (B, K, F): its frames reach (F - 1) hops, one more is held silent."""
        config = self.config
        spectrum = nn.functional.pad(spectrum, (0, 1))
        return torch.istft(spectrum, config.n_fft, config.hop_length, window=self.mel.window, length=num_samples)


class LogMelGriffinLim(nn.Module):
    """Log-mel (B, M, F) of the shipped models' front end to waveform (B, F hop_length); has no weights."""

    def __init__(self, config: LogMelConfig, *, num_iterations: int = NUM_ITERATIONS) -> None:
        super().__init__()
        self.config = config
        self.num_iterations = num_iterations
        self.mel = LogMel(config)

    def forward(self, mel: Tensor) -> Tensor:
        """Return the waveform of normalised log-mel; the same mel always gives the same waveform."""
        hop_length = self.config.hop_length
        magnitude = nearest_spectrum(self.mel.magnitude(mel.float()), self.mel.filters, NUM_INVERSIONS)
        # Frame f is centred on (f + 1/2) hops: half a hop later it is frame f + 1 of frames centred on whole hops.
        magnitude = nn.functional.pad(magnitude, (1, 1))
        num_samples = (mel.shape[-1] + 1) * hop_length
        late = with_phase(magnitude, self._stft, lambda x: self._istft(x, num_samples), self.num_iterations)
        return late[:, hop_length // 2 : hop_length // 2 + mel.shape[-1] * hop_length]

    def _stft(self, waveform: Tensor) -> Tensor:
        config = self.config
        return torch.stft(
            waveform,
            config.n_fft,
            config.hop_length,
            config.win_length,
            window=self.mel.window,
            pad_mode="constant",
            return_complex=True,
        )

    def _istft(self, spectrum: Tensor, num_samples: int) -> Tensor:
        config = self.config
        return torch.istft(
            spectrum, config.n_fft, config.hop_length, config.win_length, window=self.mel.window, length=num_samples
        )


def nearest_spectrum(mel: Tensor, filters: Tensor, num_inversions: int) -> Tensor:
    """Return magnitudes (B, K, F), none negative, whose mel is nearest to `mel` (B, M, F) in least squares."""
    step = 1 / torch.linalg.matrix_norm(filters, ord=2).square()
    spectrum = torch.einsum("mk,bmf->bkf", torch.linalg.pinv(filters), mel).clamp(min=0)
    for _ in range(num_inversions):
        excess = torch.einsum("bkf,km->bmf", spectrum, filters) - mel
        spectrum = (spectrum - step * torch.einsum("km,bmf->bkf", filters, excess)).clamp(min=0)
    return spectrum


def with_phase(
    magnitude: Tensor, stft: Callable[[Tensor], Tensor], istft: Callable[[Tensor], Tensor], num_iterations: int
) -> Tensor:
    """Return the waveform (B, S) whose spectrum has nearly the `magnitude` (B, K, F), by the fast iteration."""
    # Random phases avoid the pulses of a constant start; a fixed seed keeps the result a function of the magnitude.
    drawn = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0)).to(magnitude.device)
    angles = torch.polar(torch.ones_like(drawn), 2 * torch.pi * drawn)
    previous = torch.zeros_like(angles)
    for _ in range(num_iterations):
        rebuilt = stft(istft(magnitude * angles))[..., : magnitude.shape[-1]]
        angles = rebuilt - MOMENTUM / (1 + MOMENTUM) * previous
        angles = angles / angles.abs().clamp(min=1e-12)
        previous = rebuilt
    return istft(magnitude * angles)
