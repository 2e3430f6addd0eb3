"""What HiFi-GAN is trained against (Kong et al. 2020, section 2.3); generation needs none of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from foleykit.codecs.hifigan import SLOPE
from foleykit.core.errors import ConfigError

PERIOD_KERNEL = 5
PERIOD_STRIDE = 3


@dataclass(frozen=True, kw_only=True)
class HifiGanDiscriminatorsConfig:
    """Sizes of all discriminators; the defaults are those of the paper."""

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    """Samples between the columns that each period discriminator looks at together."""
    period_widths: tuple[int, ...] = (32, 128, 512, 1024, 1024)
    """Channels of each layer of a period discriminator; all but the last shorten time by three."""
    num_scales: int = 3
    """Scale discriminators: each hears half the sample rate of the one before."""
    scale_widths: tuple[int, ...] = (128, 128, 256, 512, 1024, 1024, 1024)
    """Channels of each layer of a scale discriminator."""
    scale_kernels: tuple[int, ...] = (15, 41, 41, 41, 41, 41, 5)
    scale_strides: tuple[int, ...] = (1, 2, 2, 4, 4, 1, 1)
    scale_groups: tuple[int, ...] = (1, 4, 16, 16, 16, 16, 1)

    def __post_init__(self) -> None:
        num_layers = len(self.scale_widths)
        if any(len(row) != num_layers for row in (self.scale_kernels, self.scale_strides, self.scale_groups)):
            raise ConfigError("scale_widths, scale_kernels, scale_strides and scale_groups must be of one length")
        if not self.periods or min(self.periods) < 1 or len(self.period_widths) < 2 or self.num_scales < 0:
            raise ConfigError("discriminators need periods of at least one sample and two layers or more each")
        before = (1, *self.scale_widths)
        for width_in, width, groups in zip(before, self.scale_widths, self.scale_groups, strict=False):
            if width_in % groups or width % groups:
                raise ConfigError(f"a scale layer from {width_in} to {width} channels cannot have {groups} groups")


def small_discriminators() -> HifiGanDiscriminatorsConfig:
    """Return sizes that a processor core can train against."""
    return HifiGanDiscriminatorsConfig(
        periods=(2, 3, 5),
        period_widths=(16, 32, 64, 128),
        num_scales=2,
        scale_widths=(16, 32, 64, 128),
        scale_kernels=(15, 41, 41, 5),
        scale_strides=(1, 4, 4, 1),
        scale_groups=(1, 4, 16, 1),
    )


def debug_discriminators() -> HifiGanDiscriminatorsConfig:
    """Return sizes that are small enough for a test."""
    return HifiGanDiscriminatorsConfig(
        periods=(2,),
        period_widths=(4, 8),
        num_scales=1,
        scale_widths=(8, 8),
        scale_kernels=(15, 5),
        scale_strides=(4, 1),
        scale_groups=(1, 4),
    )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What one discriminator makes of a batch of waveforms."""

    score: Tensor
    """(B, N): near 1 where the sound seems recorded, near 0 where it seems generated."""
    features: tuple[Tensor, ...]
    """Outputs of every layer, the score included."""


class PeriodDiscriminator(nn.Module):
    """Looks at every `period`-th sample: convolutions over a waveform folded to (S / period, period)."""

    def __init__(self, period: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.period = period
        last = len(widths) - 1
        self.convs = nn.ModuleList(
            weight_norm(
                nn.Conv2d(
                    before,
                    after,
                    (PERIOD_KERNEL, 1),
                    stride=(1 if layer == last else PERIOD_STRIDE, 1),
                    padding=(PERIOD_KERNEL // 2, 0),
                )
            )
            for layer, (before, after) in enumerate(zip((1, *widths), widths, strict=False))
        )
        self.conv_post = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waveform: Tensor) -> Judgement:
        """Return the judgement of `waveform` (B, 1, S), mirrored at its end to a multiple of the period."""
        missing = -waveform.shape[-1] % self.period
        if missing:
            waveform = pad(waveform, (0, missing), mode="reflect")
        x = waveform.unflatten(-1, (-1, self.period))
        return judge(x, self.convs, self.conv_post)


class ScaleDiscriminator(nn.Module):
    """Convolutions over a waveform, grouped and strided."""

    def __init__(self, config: HifiGanDiscriminatorsConfig, norm: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        widths = config.scale_widths
        rows = zip(
            (1, *widths),
            widths,
            config.scale_kernels,
            config.scale_strides,
            config.scale_groups,
            strict=False,
        )
        self.convs = nn.ModuleList(
            norm(nn.Conv1d(before, after, kernel, stride=stride, groups=groups, padding=kernel // 2))
            for before, after, kernel, stride, groups in rows
        )
        self.conv_post = norm(nn.Conv1d(widths[-1], 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> Judgement:
        """Return the judgement of `waveform` (B, 1, S)."""
        return judge(waveform, self.convs, self.conv_post)


def judge(x: Tensor, convs: nn.ModuleList, conv_post: nn.Module) -> Judgement:
    """Return score and features of a stack of convolutions."""
    features = []
    for conv in convs:
        x = leaky_relu(conv(x), SLOPE)
        features.append(x)
    score = conv_post(x)
    return Judgement(score=score.flatten(1), features=(*features, score))


class HifiGanDiscriminators(nn.Module):
    """All period and scale discriminators."""

    def __init__(self, config: HifiGanDiscriminatorsConfig) -> None:
        super().__init__()
        self.config = config
        self.periods = nn.ModuleList(PeriodDiscriminator(period, config.period_widths) for period in config.periods)
        # Only the scale that hears the waveform itself is normalised by its largest singular value.
        self.scales = nn.ModuleList(
            ScaleDiscriminator(config, spectral_norm if scale == 0 else weight_norm)
            for scale in range(config.num_scales)
        )
        self.halve = nn.AvgPool1d(4, stride=2, padding=2)

    def forward(self, waveform: Tensor) -> tuple[Judgement, ...]:
        """Return what every discriminator makes of `waveform` (B, 1, S) in [-1, 1]."""
        judgements: list[Judgement] = [discriminator(waveform) for discriminator in self.periods]
        for scale, discriminator in enumerate(self.scales):
            waveform = self.halve(waveform) if scale else waveform
            judgements.append(discriminator(waveform))
        return tuple(judgements)
