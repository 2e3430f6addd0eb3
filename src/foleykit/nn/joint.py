"""Blocks of a multimodal diffusion transformer (Esser et al. 2024): streams with their own weights, one attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from foleykit.nn.attention import rotate
from foleykit.nn.gated import GatedMlp, token_layer

QueryKeyValue = tuple[Tensor, Tensor, Tensor]
"""Each (B, heads, N, head_width)."""


class HeadNorm(nn.RMSNorm):
    """Root-mean-square norm in the precision of its input, which autocast does not give to the weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with a root mean square of `weight` over its last axis."""
        assert self.weight is not None
        return nn.functional.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class StreamBlock(nn.Module):
    """One stream's weights in a block: its way into the attention, and what becomes of it afterwards.

    Norms are shifted, scaled and gated by a condition (Peebles and Xie 2023), which may differ from token to token.
    """

    def __init__(
        self, width: int, num_heads: int, hidden_width: int, *, kernel_size: int, is_only_read: bool = False
    ) -> None:
        """With `is_only_read` others attend to the stream, which itself ends here."""
        super().__init__()
        self.num_heads = num_heads
        self.is_only_read = is_only_read
        self.modulation = nn.Linear(width, (2 if is_only_read else 6) * width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.project_in = nn.Linear(width, 3 * width)
        self.query_norm = HeadNorm(width // num_heads)
        self.key_norm = HeadNorm(width // num_heads)
        # Every block starts as the identity.
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        if not is_only_read:
            self.project_out = token_layer(width, width, kernel_size)
            self.feed = GatedMlp(width, hidden_width, kernel_size=kernel_size)

    def modulations(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Return shift and scale, or both with a gate for attention and for feed-forward, of `condition` (B, N, D)."""
        values: Tensor = self.modulation(nn.functional.silu(condition))
        return values.chunk(2 if self.is_only_read else 6, dim=-1)

    def query_key_value(self, x: Tensor, modulations: Sequence[Tensor], angles: Tensor | None) -> QueryKeyValue:
        """Return what the stream brings to the attention; `angles` (N, head_width / 2) are its positions, if any."""
        shift, scale = modulations[:2]
        parts = self.project_in(self.norm(x) * (1 + scale) + shift).unflatten(2, (3, self.num_heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = self.query_norm(query), self.key_norm(key)
        if angles is not None:
            # In float32 also where the weights are in half precision: positions reach several hundred.
            query, key = (rotate(part.float(), angles).to(value.dtype) for part in (query, key))
        return query, key, value

    def finish(self, x: Tensor, attended: Tensor, modulations: Sequence[Tensor]) -> Tensor:
        """Return the stream (B, N, D) after the block, `attended` (B, N, D) being its part of the attention."""
        _, _, gate, shift, scale, feed_gate = modulations
        x = x + self.project_out(attended) * gate
        return x + self.feed(self.norm(x) * (1 + scale) + shift) * feed_gate


class JointBlock(nn.Module):
    """Streams that attend to one another; of a single stream this is an ordinary transformer block."""

    def __init__(self, streams: Sequence[StreamBlock]) -> None:
        super().__init__()
        self.streams = nn.ModuleList(streams)

    def forward(
        self, tokens: Sequence[Tensor], conditions: Sequence[Tensor], angles: Sequence[Tensor | None]
    ) -> list[Tensor]:
        """Return every stream (B, N, D) after the block; those that are only read come back as they were.

        `tokens`, `conditions` (B, N or 1, D) and `angles` have one entry for each stream.
        """
        streams = cast(list[StreamBlock], list(self.streams))
        modulations = [stream.modulations(condition) for stream, condition in zip(streams, conditions, strict=True)]
        parts = [
            stream.query_key_value(x, values, positions)
            for stream, x, values, positions in zip(streams, tokens, modulations, angles, strict=True)
        ]
        query, key, value = (torch.cat(part, dim=2) for part in zip(*parts, strict=True))
        attended = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        shares = attended.split([x.shape[1] for x in tokens], dim=1)
        return [
            x if stream.is_only_read else stream.finish(x, share, values)
            for stream, x, share, values in zip(streams, tokens, shares, modulations, strict=True)
        ]
