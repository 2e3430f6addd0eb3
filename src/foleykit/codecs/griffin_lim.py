"""Mel to waveform without a trained vocoder: invert the filter bank, then find a phase (Griffin and Lim 1984)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foleykit.audio.unit_mel import UnitMel, UnitMelConfig

MOMENTUM = 0.99
"""Of the fast variant (Perraudin et al. 2013, Algorithm 2)."""


class GriffinLim(nn.Module):
    """Natural-log mel (B, M, F) to waveform (B, 1, F hop_length); has no weights."""

    def __init__(self, config: UnitMelConfig, *, num_iterations: int = 32, num_inversions: int = 100) -> None:
        super().__init__()
        self.config = config
        self.num_iterations = num_iterations
        self.num_inversions = num_inversions
        self.mel = UnitMel(config)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Return the waveform of natural-log mel magnitudes; the same mel always gives the same waveform."""
        magnitude = self._spectrum(log_mel.float().exp())
        num_samples = log_mel.shape[-1] * self.config.hop_length
        # Random phases avoid the pulses of a constant start; a fixed seed keeps the result a function of the mel.
        drawn = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0)).to(magnitude.device)
        angles = torch.polar(torch.ones_like(drawn), 2 * torch.pi * drawn)
        previous = torch.zeros_like(angles)
        for _ in range(self.num_iterations):
            rebuilt = self._stft(self._istft(magnitude * angles, num_samples))[..., : magnitude.shape[-1]]
            angles = rebuilt - MOMENTUM / (1 + MOMENTUM) * previous
            angles = angles / angles.abs().clamp(min=1e-12)
            previous = rebuilt
        return self._istft(magnitude * angles, num_samples)[:, None]

    def _spectrum(self, mel: Tensor) -> Tensor:
        """Return magnitudes (B, K, F), none negative, whose mel is nearest to `mel` (B, M, F) in least squares."""
        filters = self.mel.filters
        step = 1 / torch.linalg.matrix_norm(filters, ord=2).square()
        spectrum = torch.einsum("mk,bmf->bkf", torch.linalg.pinv(filters), mel).clamp(min=0)
        for _ in range(self.num_inversions):
            excess = torch.einsum("bkf,km->bmf", spectrum, filters) - mel
            spectrum = (spectrum - step * torch.einsum("km,bmf->bkf", filters, excess)).clamp(min=0)
        return spectrum

    def _stft(self, waveform: Tensor) -> Tensor:
        config = self.config
        return torch.stft(waveform, config.n_fft, config.hop_length, window=self.mel.window, return_complex=True)

    def _istft(self, spectrum: Tensor, num_samples: int) -> Tensor:
        """Return (B, S) of `spectrum` (B, K, F): its frames reach (F - 1) hops, one more is held silent."""
        config = self.config
        spectrum = nn.functional.pad(spectrum, (0, 1))
        return torch.istft(spectrum, config.n_fft, config.hop_length, window=self.mel.window, length=num_samples)
