"""HiFi-GAN (Kong et al. 2020): natural-log mel to waveform by transposed convolutions and dilated residual blocks.

Parameters carry the published names after weight normalisation is folded in; `fold_weight_norm` does the folding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from foleykit.core.errors import ConfigError, ModelError

SLOPE = 0.1
"""Of the leaky rectifiers between layers."""
LAST_SLOPE = 0.01
"""Before the last convolution; published weights were trained with the library's default there."""

WEIGHT_NORM_NAMES = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)
"""Endings of the names of gain and direction."""


@dataclass(frozen=True, kw_only=True)
class HifiGanConfig:
    """Sizes of a generator; the defaults are V1 of the paper with 128 mel bins."""

    num_mels: int = 128
    width: int = 512
    """Channels after the first convolution; halved by every upsampling stage."""
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    """Their product is the hop length of the mel."""
    upsample_kernels: tuple[int, ...] = (16, 16, 4, 4)
    resblock: Literal["1", "2"] = "1"
    """Type of residual block: "1" has two convolutions per dilation, "2" one."""
    resblock_kernels: tuple[int, ...] = (3, 7, 11)
    """Kernel size of each parallel residual block of a stage."""
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    """Dilations of each parallel residual block."""

    def __post_init__(self) -> None:
        if len(self.upsample_rates) != len(self.upsample_kernels):
            raise ConfigError("upsample_rates and upsample_kernels must be of one length")
        if len(self.resblock_kernels) != len(self.resblock_dilations):
            raise ConfigError("resblock_kernels and resblock_dilations must be of one length")
        if any((kernel - rate) % 2 for rate, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True)):
            raise ConfigError("an upsampling kernel minus its rate must be even, or the length is not a multiple")
        if self.width % 2 ** len(self.upsample_rates):
            raise ConfigError(f"width {self.width} cannot be halved {len(self.upsample_rates)} times")
        if self.resblock not in ("1", "2"):
            raise ConfigError(f'resblock is "1" or "2", not "{self.resblock}"')

    @property
    def hop_length(self) -> int:
        """Samples per mel frame."""
        return math.prod(self.upsample_rates)


def same_conv(width: int, kernel: int, dilation: int) -> nn.Conv1d:
    """Return a convolution that keeps the length."""
    return nn.Conv1d(width, width, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)


class DoubleResidualBlock(nn.Module):
    """Type 1: per dilation, a dilated and a plain convolution around a residual."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(same_conv(width, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(same_conv(width, kernel, 1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(leaky_relu(dilated(leaky_relu(x, SLOPE)), SLOPE))
        return x


class SingleResidualBlock(nn.Module):
    """Type 2: per dilation, one dilated convolution around a residual."""

    def __init__(self, width: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(same_conv(width, kernel, dilation) for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated in self.convs:
            x = x + dilated(leaky_relu(x, SLOPE))
        return x


class HifiGan(nn.Module):
    """Natural-log mel (B, M, F) to waveform (B, 1, F hop_length) in [-1, 1]."""

    def __init__(self, config: HifiGanConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width // 2**stage for stage in range(len(config.upsample_rates) + 1)]
        self.conv_pre = nn.Conv1d(config.num_mels, config.width, 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(before, after, kernel, stride=rate, padding=(kernel - rate) // 2)
            for before, after, rate, kernel in zip(
                widths[:-1], widths[1:], config.upsample_rates, config.upsample_kernels, strict=True
            )
        )
        block = DoubleResidualBlock if config.resblock == "1" else SingleResidualBlock
        self.resblocks = nn.ModuleList(
            block(width, kernel, dilations)
            for width in widths[1:]
            for kernel, dilations in zip(config.resblock_kernels, config.resblock_dilations, strict=True)
        )
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Return the waveform (B, 1, F hop_length) of natural-log mel magnitudes `log_mel` (B, M, F)."""
        branches = len(self.config.resblock_kernels)
        x = self.conv_pre(log_mel)
        for stage, upsample in enumerate(self.ups):
            x = upsample(leaky_relu(x, SLOPE))
            blocks = self.resblocks[stage * branches : (stage + 1) * branches]
            summed = blocks[0](x)
            for block in blocks[1:]:
                summed = summed + block(x)
            x = summed / branches
        return torch.tanh(self.conv_post(leaky_relu(x, LAST_SLOPE)))


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` with every pair of gain g and direction v as one `weight` = g v / |v|; other entries stay.

    A pair is called `weight_g`, `weight_v` or, by newer torch, `parametrizations.weight.original0`, `original1`. The
    norm is taken over all axes but the first, also for transposed convolutions. Raises ModelError for half a pair.
    """
    folded: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for gain, direction in WEIGHT_NORM_NAMES:
            if name.endswith(gain):
                partner = name.removesuffix(gain) + direction
            elif name.endswith(direction):
                partner = name.removesuffix(direction) + gain
                norm = tensor.flatten(1).norm(dim=1).view(-1, *(1,) * (tensor.ndim - 1))
                if partner in state:
                    folded[f"{name.removesuffix(direction)}.weight"] = tensor * (state[partner] / norm)
            else:
                continue
            if partner not in state:
                raise ModelError(f"{partner} is missing beside {name}")
            break
        else:
            folded[name] = tensor
    return folded
