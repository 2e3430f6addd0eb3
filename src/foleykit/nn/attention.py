"""Multi-head attention over token sequences, with rotary positions where order matters."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def rotary_angles(
    num_positions: int, head_width: int, device: torch.device, *, base: float = 10_000.0, step: float = 1.0
) -> Tensor:
    """Return angles (N, head_width / 2) of rotary position embedding (Su et al. 2021, eq. 15).

    Positions are `step` apart: two sequences of other rates are aligned in time by the ratio of their rates.
    """
    rates = base ** (-torch.arange(0, head_width, 2, device=device, dtype=torch.float32) / head_width)
    return torch.arange(num_positions, device=device, dtype=torch.float32)[:, None] * step * rates


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the channel pairs of `x` (B, heads, N, head_width) by `angles` (N, head_width / 2)."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class SelfAttention(nn.Module):
    """Attention of a sequence to itself with rotary positions."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, D) from `x` (B, N, D)."""
        batch, num_positions, width = x.shape
        q, k, v = (
            part.view(batch, num_positions, self.num_heads, -1).transpose(1, 2)
            for part in self.project_in(x).chunk(3, dim=-1)
        )
        angles = rotary_angles(num_positions, width // self.num_heads, x.device)
        out = nn.functional.scaled_dot_product_attention(rotate(q, angles), rotate(k, angles), v)
        return self.project_out(out.transpose(1, 2).reshape(batch, num_positions, width))


class CrossAttention(nn.Module):
    """Attention of a sequence to a context without positions of its own."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return (B, N, D) from `x` (B, N, D) and `context` (B, P, D)."""
        batch, num_positions, width = x.shape
        heads = (batch, -1, self.num_heads, width // self.num_heads)
        q = self.query(x).view(heads).transpose(1, 2)
        k, v = (part.reshape(heads).transpose(1, 2) for part in self.key_value(context).chunk(2, dim=-1))
        out = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.project_out(out.transpose(1, 2).reshape(batch, num_positions, width))
