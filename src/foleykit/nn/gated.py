"""Layers over tokens (B, N, D), per token or convolved along the sequence, and the gated network made of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TokenConv(nn.Conv1d):
    """Convolution along the tokens (B, N, D), zero-padded so that their number stays."""

    def __init__(self, width_in: int, width_out: int, kernel_size: int, *, bias: bool = True) -> None:
        super().__init__(width_in, width_out, kernel_size, padding=kernel_size // 2, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.transpose(1, 2)).transpose(1, 2)


def token_layer(width_in: int, width_out: int, kernel_size: int, *, bias: bool = True) -> nn.Linear | TokenConv:
    """Return a linear layer per token where `kernel_size` is 1, else a convolution along the tokens."""
    if kernel_size == 1:
        return nn.Linear(width_in, width_out, bias=bias)
    return TokenConv(width_in, width_out, kernel_size, bias=bias)


class GatedMlp(nn.Module):
    """Feed-forward network with a SiLU gate (SwiGLU; Shazeer 2020), without biases."""

    def __init__(self, width: int, hidden_width: int, *, kernel_size: int = 1) -> None:
        super().__init__()
        self.gate = token_layer(width, hidden_width, kernel_size, bias=False)
        self.value = token_layer(width, hidden_width, kernel_size, bias=False)
        self.out = token_layer(hidden_width, width, kernel_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, D) from `x` (B, N, D)."""
        return self.out(nn.functional.silu(self.gate(x)) * self.value(x))


def stretch_indices(num_tokens: int, length: int) -> Tensor:
    """Return (length,) int64: which of `num_tokens` each place of a sequence of `length` shows, nearest in time.

    Token floor((i + 1/2) N / L), where N / L is rounded to float32 first, as torch's "nearest-exact" does: exact
    arithmetic gives other tokens at a few places, and published weights were trained with these.
    """
    ratio = torch.tensor(num_tokens, dtype=torch.float32) / length
    places = torch.arange(length, dtype=torch.float32) + 0.5
    return (places * ratio).floor().long().clamp(max=num_tokens - 1)
