"""BigVGAN (Lee et al. 2023): HiFi-GAN's structure with periodic activations that do not alias.

Parameters carry the published names after weight normalisation is folded in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.codecs.hifigan import fold_weight_norm, same_conv
from foleykit.core.checkpoint import check_entries, shapes_of
from foleykit.core.errors import ConfigError, ModelError

NUM_TAPS = 12
"""Of the low-pass filter around every activation."""
FILTER_NAME = re.compile(r"activation\w*(\.\d+)?\.(upsample|downsample\.lowpass)\.filter$")
FILTER_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class BigVganConfig:
    """Sizes of a generator; the defaults are those for 16 kHz sound of Make-An-Audio 2."""

    num_mels: int = 80
    width: int = 1536
    """Channels after the first convolution; halved by every upsampling stage."""
    upsample_rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)
    """Their product is the hop length of the mel."""
    resblock_kernels: tuple[int, ...] = (3, 7, 11)
    """Kernel size of each parallel residual block of a stage."""
    dilations: tuple[int, ...] = (1, 3, 5)
    """Of the convolutions of every residual block."""
    is_clamped: bool = False
    """The waveform is clamped to [-1, 1] and its last convolution has no bias (v2); else it passes through tanh."""

    def __post_init__(self) -> None:
        if self.width % 2 ** len(self.upsample_rates):
            raise ConfigError(f"width {self.width} cannot be halved {len(self.upsample_rates)} times")
        if any(rate % 2 for rate in self.upsample_rates):
            raise ConfigError("upsampling rates must be even: a kernel is twice its rate")

    @property
    def hop_length(self) -> int:
        """Samples per mel frame."""
        return math.prod(self.upsample_rates)


def low_pass(cutoff: float = 0.25, half_width: float = 0.3) -> Tensor:
    """Return (12,) taps of a Kaiser-windowed sinc with unit sum; frequencies are shares of the sample rate."""
    half = NUM_TAPS // 2
    attenuation = 2.285 * (half - 1) * math.pi * 4 * half_width + 7.95
    window = torch.kaiser_window(NUM_TAPS, periodic=False, beta=0.1102 * (attenuation - 8.7))
    times = torch.arange(-half, half) + 0.5
    taps = window * torch.sinc(2 * cutoff * times)
    return taps / taps.sum()


class SnakeActivation(nn.Module):
    """x + sin^2(a x) / b by channel, at twice the rate, so that the harmonics it makes do not alias."""

    taps: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.zeros(width))
        self.log_beta = nn.Parameter(torch.zeros(width))
        self.register_buffer("taps", low_pass(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, N) of `x` (B, C, N)."""
        return self.downsample(self.snake(self.upsample(x)))

    def snake(self, x: Tensor) -> Tensor:
        """Return the activation alone."""
        alpha, beta = self.log_alpha.exp()[:, None], self.log_beta.exp()[:, None]
        return x + (x * alpha).sin().square() / (beta + 1e-9)

    def upsample(self, x: Tensor) -> Tensor:
        """Return `x` (B, C, N) at twice the rate, (B, C, 2 N)."""
        edge = NUM_TAPS // 2 - 1
        padded = nn.functional.pad(x, (edge, edge), mode="replicate")
        taps = self.taps.expand(x.shape[1], 1, -1)
        raised = 2 * nn.functional.conv_transpose1d(padded, taps, stride=2, groups=x.shape[1])
        cut = 2 * edge + NUM_TAPS // 2 - 1
        return raised[..., cut:-cut]

    def downsample(self, x: Tensor) -> Tensor:
        """Return `x` (B, C, 2 N) at half the rate, (B, C, N)."""
        padded = nn.functional.pad(x, (NUM_TAPS // 2 - 1, NUM_TAPS // 2), mode="replicate")
        return nn.functional.conv1d(padded, self.taps.expand(x.shape[1], 1, -1), stride=2, groups=x.shape[1])


class ResidualBlock(nn.Module):
    """Per dilation, a dilated and a plain convolution around a residual, an activation before each."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(same_conv(width, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(same_conv(width, kernel, 1) for _ in dilations)
        self.activations = nn.ModuleList(SnakeActivation(width) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, N) of `x` (B, C, N)."""
        before, between = self.activations[0::2], self.activations[1::2]
        for dilated, plain, first, second in zip(self.convs1, self.convs2, before, between, strict=True):
            x = x + plain(second(dilated(first(x))))
        return x


class BigVgan(nn.Module):
    """Log-mel (B, M, F), in the base of its training, to waveform (B, 1, F hop_length) in [-1, 1]."""

    def __init__(self, config: BigVganConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width // 2**stage for stage in range(len(config.upsample_rates) + 1)]
        self.conv_pre = nn.Conv1d(config.num_mels, config.width, 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(before, after, 2 * rate, stride=rate, padding=rate // 2)
            for before, after, rate in zip(widths[:-1], widths[1:], config.upsample_rates, strict=True)
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, kernel, config.dilations) for width in widths[1:] for kernel in config.resblock_kernels
        )
        self.activation_post = SnakeActivation(widths[-1])
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3, bias=not config.is_clamped)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Return the waveform (B, 1, F hop_length) of `log_mel` (B, M, F)."""
        branches = len(self.config.resblock_kernels)
        x = self.conv_pre(log_mel)
        for stage, upsample in enumerate(self.ups):
            x = upsample(x)
            blocks = self.resblocks[stage * branches : (stage + 1) * branches]
            summed = blocks[0](x)
            for block in blocks[1:]:
                summed = summed + block(x)
            x = summed / branches
        waveform: Tensor = self.conv_post(self.activation_post(x))
        return waveform.clamp(-1, 1) if self.config.is_clamped else waveform.tanh()


def bigvgan_16k() -> BigVganConfig:
    """Return the vocoder of 80 mel bins in base 10, 16 kHz, hop 256: Make-An-Audio 2's."""
    return BigVganConfig()


def bigvgan_v2_44k() -> BigVganConfig:
    """Return the vocoder of 128 mel bins in base e, 44.1 kHz, hop 512: bigvgan_v2_44khz_128band_512x."""
    return BigVganConfig(num_mels=128, upsample_rates=(8, 4, 2, 2, 2, 2), is_clamped=True)


def published_name(name: str) -> str:
    """Return the name that our tensor `name` has in a published file whose weight normalisation is folded in."""
    name = re.sub(r"^ups\.(\d+)\.", r"ups.\1.0.", name)
    return name.replace(".log_alpha", ".act.alpha").replace(".log_beta", ".act.beta")


def from_published(entries: Mapping[str, Tensor], config: BigVganConfig, *, source: str) -> dict[str, Tensor]:
    """Return a generator's tensors from a published file, which `source` names in errors.

    Weight normalisation may be in either of torch's forms or folded in already. Raises ModelError when a name is
    missing or unknown, a shape differs, or the file's low-pass filters are not ours.
    """
    try:
        folded = fold_weight_norm(entries)
    except ModelError as error:
        raise ModelError(f"{source} does not fit; {error}") from error
    filters = {name for name in folded if FILTER_NAME.search(name)}
    for name in filters:
        if folded[name].numel() != NUM_TAPS or not torch.allclose(
            folded[name].flatten().float(), low_pass(), atol=FILTER_TOLERANCE
        ):
            raise ModelError(f"{source} has another low-pass filter than BigVGAN's: {name}")
    own = shapes_of(lambda: BigVgan(config))
    check_entries(folded, {published_name(name): shape for name, shape in own.items()}, source=source, ignored=filters)
    return {name: folded[published_name(name)].float() for name in own}
