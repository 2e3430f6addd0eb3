"""Log-mel to waveform through an inverse STFT head (the idea of Vocos, Siuzdak 2023, sec. 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from foleykit.audio.mel import LogMelConfig, mel_filters
from foleykit.core.errors import ConfigError
from foleykit.nn.convnext import ChannelNorm, ConvNeXtBlock


@dataclass(frozen=True, kw_only=True)
class IstftSizes:
    """Sizes of the network, whichever mel it is told."""

    n_fft: int = 640
    """FFT size of the output frames; four hops, so that a Hann window sums to a constant."""
    width: int = 192
    """Channels of the blocks."""
    num_blocks: int = 6
    num_noise_channels: int = 16
    """Gaussian inputs per mel frame: what a magnitude cannot tell (the phase of noise) is drawn from them."""


@dataclass(frozen=True, kw_only=True)
class IstftVocoderConfig(IstftSizes):
    mel: LogMelConfig = field(default_factory=LogMelConfig)
    """The front end to invert."""

    def __post_init__(self) -> None:
        if self.n_fft != 4 * self.mel.hop_length:
            raise ConfigError(f"n_fft {self.n_fft} must be four hops of {self.mel.hop_length}")


class IstftFrames(nn.Module):
    """Predicts the spectrum of each frame from mel and noise, and overlaps what becomes of the frames."""

    window: Tensor
    spread: Tensor
    band_gain: Tensor
    largest_magnitude = 300.0
    """Keeps one wild frame from overflowing the sum."""

    def __init__(self, sizes: IstftSizes, filters: Tensor) -> None:
        """`filters` (K, M) are those of the mel over the bins of an output frame."""
        super().__init__()
        self.num_bins, num_mels = filters.shape
        self.sizes = sizes
        self.project_in = nn.Conv1d(num_mels + sizes.num_noise_channels, sizes.width, 5, padding=2)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(sizes.width) for _ in range(sizes.num_blocks)))
        self.norm = ChannelNorm(sizes.width)
        self.head = nn.Conv1d(sizes.width, 2 * self.num_bins, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        self.register_buffer("window", torch.hann_window(sizes.n_fft), persistent=False)
        self.register_buffer("spread", spread_of(filters), persistent=False)
        self.register_buffer("band_gain", filters.sum(dim=0)[:, None].log(), persistent=False)

    def noise_shape(self, mel: Tensor) -> tuple[int, int, int]:
        """Return the shape of the noise that `forward` wants beside `mel` (B, M, F)."""
        return mel.shape[0], self.sizes.num_noise_channels, mel.shape[2]

    def spectrum(self, mel: Tensor, log_mel: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return magnitude and phase (B, K, F) for `mel` (B, M, F) of unit order, standing for natural `log_mel`."""
        hidden = self.norm(self.blocks(self.project_in(torch.cat((mel, noise), dim=1))))
        correction, phase = self.head(hidden).float().chunk(2, dim=1)
        # The mel itself, interpolated over the bins, is the first guess at the magnitude; the network corrects it.
        guess = torch.einsum("km,bmf->bkf", self.spread, log_mel - self.band_gain)
        return (guess + correction).clamp(max=math.log(self.largest_magnitude)).exp(), phase

    def windowed(self, spectrum: Tensor) -> Tensor:
        """Return frames (B, n_fft, F) of a complex `spectrum` (B, K, F)."""
        return torch.fft.irfft(spectrum, dim=1) * self.window[:, None]

    def overlapped(self, frames: Tensor) -> Tensor:
        """Return the sum (B, (F + 3) n_fft / 4) of `frames` (B, n_fft, F), each a quarter after the one before."""
        n_fft = self.sizes.n_fft
        hop_length = n_fft // 4
        num_samples = (frames.shape[2] + 3) * hop_length
        summed: Tensor = nn.functional.fold(frames, (1, num_samples), (1, n_fft), stride=(1, hop_length))[:, 0, 0]
        return summed


class IstftVocoder(IstftFrames):
    """From the shipped models' mel, whose frame f is centred on (f + 1/2) hops."""

    def __init__(self, config: IstftVocoderConfig) -> None:
        super().__init__(config, mel_filters(config.mel, config.n_fft // 2 + 1))
        self.config = config

    def forward(self, mel: Tensor, noise: Tensor) -> Tensor:
        """Return a waveform (B, F hop_length) from `mel` (B, M, F) and Gaussian `noise` of `noise_shape(mel)`."""
        log_mel = mel * self.config.mel.deviation + self.config.mel.mean
        return self._overlap_add(self.windowed(torch.polar(*self.spectrum(mel, log_mel, noise))))

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Return (B, F hop_length) from windowed frames (B, n_fft, F), frame f centred on (f + 1/2) hops."""
        summed = self.overlapped(frames)
        trim = (self.config.n_fft - self.config.mel.hop_length) // 2
        # Analysis was not windowed here: four overlapping Hann windows sum to 2.
        return summed[:, trim : summed.shape[1] - trim] / 2


def spread_of(filters: Tensor) -> Tensor:
    """Return weights (K, M) that interpolate log-mel bands to frequency bins, given their filters (K, M)."""
    # Where a filter ends on a bin, rounding leaves it a weight that would be taken for none: a tone at full scale.
    covered = filters.sum(dim=1) > 1e-9 * filters.max()
    weights = filters / filters.sum(dim=1, keepdim=True).clamp(min=1e-12)
    first, last = covered.nonzero()[0, 0], covered.nonzero()[-1, 0]
    weights[:first], weights[last + 1 :] = weights[first], weights[last]
    return weights
