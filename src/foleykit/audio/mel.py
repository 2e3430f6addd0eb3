"""Waveform to log-mel magnitude, the front end that codecs and encoders share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.audio.mel_filters import slaney_filters
from foleykit.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LogMelConfig:
    sample_rate: int = 16_000
    """Samples per second of the waveform."""
    n_fft: int = 1024
    """FFT size."""
    win_length: int = 640
    """Samples under the Hann window; short, so that an attack is not smeared over many frames."""
    hop_length: int = 160
    """Samples from one mel frame to the next."""
    num_mels: int = 80
    """Mel bins, Slaney scale and area normalisation."""
    min_hz: float = 40.0
    max_hz: float = 8_000.0
    floor: float = 1e-5
    """Smallest magnitude before the logarithm."""
    power_offset: float = 0.0
    """Added to the power of every frequency before its root."""
    mean: float = -7.5
    """Subtracted from the natural logarithm."""
    deviation: float = 2.5
    """Divides it, so that values are of unit order; ln 10 with mean 0 makes the logarithm that of base 10."""

    def __post_init__(self) -> None:
        if self.win_length > self.n_fft:
            raise ConfigError(f"win_length {self.win_length} exceeds n_fft {self.n_fft}")
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate / 2:
            raise ConfigError(f"mel range {self.min_hz} to {self.max_hz} Hz does not fit {self.sample_rate} Hz sound")
        if (self.n_fft - self.hop_length) % 2:
            raise ConfigError("n_fft minus hop_length must be even: frames are centred on their hop")


class LogMel(nn.Module):
    """Normalised natural-log mel magnitudes; frame f is centred on sample (f + 1/2) hop_length."""

    filters: Tensor
    window: Tensor

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("filters", slaney_filters(config), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return (B, M, S // hop_length) from `waveform` (B, S); S should be a multiple of the hop."""
        config = self.config
        pad = (config.n_fft - config.hop_length) // 2
        mode = "reflect" if waveform.shape[-1] > pad else "constant"
        padded = nn.functional.pad(waveform[:, None], (pad, pad), mode=mode)[:, 0]
        spectrum = torch.stft(
            padded,
            config.n_fft,
            config.hop_length,
            config.win_length,
            window=self.window,
            center=False,
            return_complex=True,
        )
        size = spectrum.abs()
        if config.power_offset:
            size = (size.square() + config.power_offset).sqrt()
        magnitude = torch.einsum("bkf,km->bmf", size, self.filters)
        return (magnitude.clamp(min=config.floor).log() - config.mean) / config.deviation

    def magnitude(self, mel: Tensor) -> Tensor:
        """Return the linear mel magnitude of normalised log values."""
        return (mel * self.config.deviation + self.config.mean).exp()
