"""One-dimensional ConvNeXt blocks (Liu et al. 2022) over (B, D, L)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channel axis of (B, D, L)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.transpose(1, 2)).transpose(1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, norm, and a two-layer pointwise network with a learned residual scale."""

    def __init__(self, width: int, *, kernel_size: int = 7, expansion: int = 2, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel_size // 2)
        self.depthwise = nn.Conv1d(width, width, kernel_size, padding=padding, dilation=dilation, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, D, L) from `x` (B, D, L)."""
        hidden = self.norm(self.depthwise(x).transpose(1, 2))
        hidden = self.contract(nn.functional.gelu(self.expand(hidden))) * self.scale
        return x + hidden.transpose(1, 2)
