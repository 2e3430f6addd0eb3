"""Waveform to log-mel in [0, 1] with centred frames: the front end of Action2Sound and of its relatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.audio.mel_filters import slaney_filters
from foleykit.core.errors import ConfigError, InputError


@dataclass(frozen=True, kw_only=True)
class UnitMelConfig:
    sample_rate: int = 16_000
    """Samples per second of the waveform."""
    n_fft: int = 1024
    """FFT size, which is also the length of the Hann window."""
    hop_length: int = 256
    """Samples from one mel frame to the next."""
    num_mels: int = 128
    """Mel bins, Slaney scale and area normalisation."""
    min_hz: float = 125.0
    max_hz: float = 7_600.0
    lowest_decade: float = -4.0
    """Base-10 logarithm of the magnitude that becomes 0."""
    num_decades: float = 5.0
    """Decades of magnitude from 0 to 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate / 2:
            raise ConfigError(f"mel range {self.min_hz} to {self.max_hz} Hz does not fit {self.sample_rate} Hz sound")
        if self.num_decades <= 0 or self.n_fft % 2 or self.hop_length < 1:
            raise ConfigError("num_decades and hop_length must be positive and n_fft even")

    def num_columns(self, num_samples: int) -> int:
        """Return the mel frames of `num_samples`: the first is centred on the first sample."""
        return 1 + num_samples // self.hop_length


class UnitMel(nn.Module):
    """Log-mel magnitudes scaled to [0, 1]; frame f is centred on sample f hop_length."""

    filters: Tensor
    window: Tensor

    def __init__(self, config: UnitMelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("filters", slaney_filters(config), persistent=False)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    def magnitude(self, waveform: Tensor) -> Tensor:
        """Return the linear mel magnitude (B, M, 1 + S // hop_length) of `waveform` (B, S).

        Raises InputError where the waveform is too short to be mirrored at its ends.
        """
        config = self.config
        if waveform.shape[-1] <= config.n_fft // 2:
            raise InputError(f"a mel needs more than {config.n_fft // 2} samples, not {waveform.shape[-1]}")
        # The ends are mirrored (librosa 0.8.0's default, which published weights were trained with), not zero-padded.
        spectrum = torch.stft(
            waveform.float(),
            config.n_fft,
            config.hop_length,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        return torch.einsum("bkf,km->bmf", spectrum.abs(), self.filters)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return log-mel (B, M, 1 + S // hop_length) in [0, 1] of `waveform` (B, S) in [-1, 1]."""
        config = self.config
        decades = self.magnitude(waveform).clamp(min=1e-12).log10()
        return ((decades - config.lowest_decade) / config.num_decades).clamp(0, 1)

    def natural_log(self, mel: Tensor) -> Tensor:
        """Return the natural logarithm of the mel magnitude that `mel`, in units of `forward`, stands for."""
        return math.log(10.0) * (self.config.num_decades * mel + self.config.lowest_decade)
