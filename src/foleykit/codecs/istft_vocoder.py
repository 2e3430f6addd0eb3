"""Log-mel to waveform through an inverse STFT head (the idea of Vocos, Siuzdak 2023, sec. 3).

The network sees no phases, so what it says of one frame contradicts what it says of the next wherever a tone or a knock
lasts over both, and steady sound pulses at the frame rate. Griffin and Lim's iteration (1984), run from what it says,
mends that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from foleykit.audio.mel import LogMelConfig
from foleykit.audio.mel_filters import slaney_filters
from foleykit.codecs.griffin_lim import MOMENTUM
from foleykit.core.errors import ConfigError
from foleykit.nn.convnext import ChannelNorm, ConvNeXtBlock

NUM_SCALINGS = 4
"""Of the magnitudes towards their mel; more change little."""
SLACK = 10**0.001
"""Factor within which a mel counts as lying at the end of its range."""
TRAINED_ITERATIONS = 4
"""In training; in use there are more, which changes little and costs little without gradients."""


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
    num_iterations: int = 16
    """Times that phases are made to agree with their neighbours'; each looks three frames further to either side."""

    def __post_init__(self) -> None:
        if self.num_iterations < 0:
            raise ConfigError(f"num_iterations must be 0 or more, not {self.num_iterations}")

    @property
    def reach(self) -> int:
        """Frames to either side that can influence a sample: convolutions of 5 at the input and of 7 in every block,
        the iterations, and the windows that overlap."""
        return 2 + 3 * (self.num_blocks + self.num_iterations) + 4


@dataclass(frozen=True, kw_only=True)
class IstftVocoderConfig(IstftSizes):
    mel: LogMelConfig = field(default_factory=LogMelConfig)
    """The front end to invert."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fft != 4 * self.mel.hop_length:
            raise ConfigError(f"n_fft {self.n_fft} must be four hops of {self.mel.hop_length}")


class IstftFrames(nn.Module):
    """Predicts the spectrum of each frame from mel and noise, and overlaps what becomes of the frames."""

    window: Tensor
    spread: Tensor
    band_gain: Tensor
    filters: Tensor
    shares: Tensor
    uncovered: Tensor
    largest_magnitude = 300.0
    """Keeps one wild frame from overflowing the sum."""

    def __init__(self, sizes: IstftSizes, filters: Tensor, *, gain: float = 1.0) -> None:
        """`filters` (K, M) are those of the mel over the bins of an output frame; `gain` times them gives the mel."""
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
        # Where no filter reaches, what the network says is left as it is.
        covered = filters.sum(dim=1, keepdim=True)
        is_covered = covered > 1e-9 * filters.max()
        self.register_buffer("filters", gain * filters, persistent=False)
        self.register_buffer("shares", torch.where(is_covered, filters / covered.clamp(min=1e-12), 0), persistent=False)
        self.register_buffer("uncovered", (~is_covered).float(), persistent=False)

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

    def synthesised(self, spectrum: Tensor) -> Tensor:
        """Return the waveform, as long as what `overlapped` returns, whose spectrum is nearest to `spectrum`."""
        windows = self.window.square()[None, :, None].expand(1, -1, spectrum.shape[2])
        # A quarter is left half a hop beyond what is kept; further out the sum may fade.
        return self.overlapped(self.windowed(spectrum)) / self.overlapped(windows).clamp(min=0.25)

    def analysed(self, waveform: Tensor) -> Tensor:
        """Return the spectrum (B, K, F) of what `overlapped` returned."""
        n_fft = self.sizes.n_fft
        return torch.stft(waveform, n_fft, n_fft // 4, window=self.window, center=False, return_complex=True)

    def scaled(self, magnitude: Tensor, mel: Tensor, *, lowest: float, highest: float = math.inf) -> Tensor:
        """Return `magnitude` (B, K, F) scaled until its mel is nearly `mel` (B, M, F) (Lee and Seung 2000, eq. 5).

        At `lowest` and `highest`, the ends of its range, a mel only says that there is no more, or no less.
        """
        for _ in range(NUM_SCALINGS):
            ratio = mel / torch.einsum("km,bkf->bmf", self.filters, magnitude).clamp(min=1e-8)
            ratio = torch.where(mel < lowest, ratio.clamp(max=1), ratio)
            ratio = torch.where(mel > highest, ratio.clamp(min=1), ratio)
            magnitude = magnitude * (torch.einsum("km,bmf->bkf", self.shares, ratio) + self.uncovered)
        return magnitude

    def agreeing(self, magnitude: Tensor, waveform: Tensor, num_iterations: int) -> Tensor:
        """Return `waveform`, of the length that `overlapped` returns, led to the spectrum's `magnitude` (B, K, F)."""
        previous = torch.zeros_like(magnitude)
        for _ in range(num_iterations):
            found = self.analysed(waveform)
            waveform = self.synthesised(magnitude * direction(found - MOMENTUM / (1 + MOMENTUM) * previous))
            previous = found
        return waveform


class IstftVocoder(IstftFrames):
    """From the shipped models' mel, whose frame f is centred on (f + 1/2) hops."""

    def __init__(self, config: IstftVocoderConfig) -> None:
        filters = slaney_filters(config.mel, n_fft=config.n_fft)
        # The mel was taken of spectra with more bins to a filter, under a window of its own: noise grows with its root.
        gain = config.mel.n_fft / config.n_fft * math.sqrt(config.mel.win_length / config.n_fft)
        super().__init__(config, filters, gain=gain)
        self.config = config

    def forward(self, mel: Tensor, noise: Tensor, *, num_iterations: int | None = None) -> Tensor:
        """Return a waveform (B, F hop_length) from `mel` (B, M, F) and Gaussian `noise` of `noise_shape(mel)`.

        `num_iterations` is the config's unless given.
        """
        mel_config = self.config.mel
        log_mel = mel * mel_config.deviation + mel_config.mean
        # Frames were not windowed before: four overlapping Hann windows sum to 2.
        said = self.overlapped(self.windowed(torch.polar(*self.spectrum(mel, log_mel, noise)))) / 2
        magnitude = self.scaled(self.analysed(said).abs(), log_mel.exp(), lowest=SLACK * mel_config.floor)
        count = self.config.num_iterations if num_iterations is None else num_iterations
        waveform = self.agreeing(magnitude, said, count)
        trim = (self.config.n_fft - mel_config.hop_length) // 2
        return waveform[:, trim : waveform.shape[1] - trim]


def direction(spectrum: Tensor) -> Tensor:
    """Return `spectrum` with magnitudes of one, smoothly zero where there is nothing."""
    return spectrum / (spectrum.real.square() + spectrum.imag.square() + 1e-10).sqrt()


def spread_of(filters: Tensor) -> Tensor:
    """Return weights (K, M) that interpolate log-mel bands to frequency bins, given their filters (K, M)."""
    # Where a filter ends on a bin, rounding leaves it a weight that would be taken for none: a tone at full scale.
    covered = filters.sum(dim=1) > 1e-9 * filters.max()
    weights = filters / filters.sum(dim=1, keepdim=True).clamp(min=1e-12)
    first, last = covered.nonzero()[0, 0], covered.nonzero()[-1, 0]
    weights[:first], weights[last + 1 :] = weights[first], weights[last]
    return weights
