"""The language model of FoleyGen (Mei et al. 2023, sec. 3): a decoder-only transformer that reads video, then sound.

One step holds one token of every codebook; their embeddings are summed, and as many heads predict the next step's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from foleykit.core.errors import InputError
from foleykit.models.foleygen.config import LmConfig
from foleykit.tokens.visual_attention import is_plainly_causal, prefix_mask


class KeyValueCache:
    """Keys and values of the positions that a model has read, in memory that is taken once.

    Appending copies the new positions only; what attention reads is a view.
    """

    def __init__(self, num_positions: int) -> None:
        self.num_positions = num_positions
        self.length = 0
        """Positions that all layers have read."""
        self._memory: dict[int, tuple[Tensor, Tensor]] = {}

    def extended(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return all keys and values (B, H, P, C) of a layer after writing those of the next positions (B, H, Q, C)."""
        batch, num_heads, count, width = keys.shape
        last = self.length + count
        if last > self.num_positions:
            raise InputError(f"{last} positions are more than the {self.num_positions} that the cache was made for")
        if layer not in self._memory:
            shape = (batch, num_heads, self.num_positions, width)
            self._memory[layer] = keys.new_empty(shape), values.new_empty(shape)
        held_keys, held_values = self._memory[layer]
        held_keys[:, :, self.length : last] = keys
        held_values[:, :, self.length : last] = values
        return held_keys[:, :, :last], held_values[:, :, :last]


@dataclass(frozen=True, kw_only=True)
class Visibility:
    """Which positions each new position may look at."""

    mask: Tensor | None
    """(Q, P), True where it may; None where `is_causal` or the number of new positions says all."""
    is_causal: bool
    """Whether new positions are all there are and each sees those up to itself."""


class Attention(nn.Module):
    """Multi-head self-attention without biases."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.project_in = nn.Linear(width, 3 * width, bias=False)
        self.project_out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, visibility: Visibility, cache: KeyValueCache | None, layer: int) -> Tensor:
        """Return (B, Q, D) from the new positions `x` (B, Q, D) and those that `cache` holds."""
        heads = (*x.shape[:2], self.num_heads, -1)
        query, key, value = (part.view(heads).transpose(1, 2) for part in self.project_in(x).chunk(3, dim=-1))
        if cache is not None:
            key, value = cache.extended(layer, key, value)
        attended = scaled_dot_product_attention(
            query, key, value, attn_mask=visibility.mask, is_causal=visibility.is_causal
        )
        return self.project_out(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a feed-forward layer, each after a norm and around a residual."""

    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.expansion * config.width
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, config.num_heads)
        self.norm_feed = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden, bias=False)
        self.contract = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, visibility: Visibility, cache: KeyValueCache | None, layer: int) -> Tensor:
        x = x + self.attention(self.norm_attention(x), visibility, cache, layer)
        return x + self.contract(nn.functional.gelu(self.expand(self.norm_feed(x))))


class LanguageModel(nn.Module):
    """Tokens (B, K, S) to logits of the next step's, given visual vectors."""

    null_visual: Tensor

    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        # The special token is read and never predicted: tables have a row more than heads have outputs.
        self.embeddings = nn.ModuleList(
            nn.Embedding(config.codebook_size + 1, width) for _ in range(config.num_codebooks)
        )
        self.visual_in = nn.Linear(config.feature_width, width)
        if config.visual.null == "learned":
            self.null_visual = nn.Parameter(torch.zeros(width))
        else:
            self.register_buffer("null_visual", torch.zeros(width), persistent=False)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(
            nn.Linear(width, config.codebook_size, bias=False) for _ in range(config.num_codebooks)
        )
        self.reset_()

    def reset_(self) -> None:
        """Draw weights as AudioCraft does: cut normals by fan-in, falling with depth; the fused q/k/v keeps torch's."""
        for table in (*self.embeddings, *self.heads):
            normal_(table.weight, self.config.width)  # type: ignore[arg-type]
        for depth, layer in enumerate(self.layers):
            assert isinstance(layer, Block)
            for linear in (layer.attention.project_out, layer.expand, layer.contract):
                normal_(linear.weight, linear.in_features, gain=1 / math.sqrt(2 * (depth + 1)))

    def condition(self, features: Tensor, has_video: Tensor) -> Tensor:
        """Return visual vectors (B, N, D) of `features` (B, N, W); the null where `has_video` (B,) is False."""
        visual = self.visual_in(features.to(self.visual_in.weight.dtype))
        return torch.where(has_video[:, None, None], visual, self.null_visual.to(visual.dtype))

    def forward(self, tokens: Tensor, visual: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Return logits (B, K, S, V): those at step s predict step s + 1.

        `tokens` (B, K, S) are all steps or, with a `cache`, those after the steps it has seen; `visual` (B, N, D), from
        `condition`, is that of the whole window in every call.
        """
        is_prefixed = self.config.visual.mechanism != "aligned"
        num_visual = visual.shape[1]
        num_prefix = num_visual if is_prefixed else 0
        first = 0 if cache is None else cache.length
        x = self._embed(tokens)
        if is_prefixed and first == 0:
            x = torch.cat((visual.to(x.dtype), x), dim=1)
        positions = torch.arange(first, first + x.shape[1], device=x.device)
        if not is_prefixed and num_visual:
            x = x + visual[:, self.config.timing.frame_at(positions, num_visual)].to(x.dtype)
        x = x + sinusoids(positions, self.config.width).to(x.dtype)
        visibility = self._visibility(positions, first, num_prefix)
        for index, layer in enumerate(self.layers):
            x = layer(x, visibility, cache, index)
        if cache is not None:
            cache.length += x.shape[1]
        x = self.norm(x[:, -tokens.shape[2] :])
        return torch.stack([head(x) for head in self.heads], dim=1)

    def _embed(self, tokens: Tensor) -> Tensor:
        """Return the sum (B, S, D) of the embeddings of `tokens` (B, K, S)."""
        if tokens.ndim != 3 or tokens.shape[1] != self.config.num_codebooks or not tokens.shape[2]:
            raise InputError(
                f"the model reads one step or more of {self.config.num_codebooks} codebooks, not {tuple(tokens.shape)}"
            )
        return torch.stack([table(row) for table, row in zip(self.embeddings, tokens.unbind(1), strict=True)]).sum(
            dim=0
        )

    def _visibility(self, positions: Tensor, first: int, num_prefix: int) -> Visibility:
        """Return what the new `positions`, from `first` on, see; a mask only where nothing simpler says the same."""
        visual, count = self.config.visual, len(positions)
        attention = "all_frame" if visual.mechanism == "aligned" else visual.mechanism
        if num_prefix == 0 or is_plainly_causal(attention, visual.rows):
            if first == 0:
                return Visibility(mask=None, is_causal=True)
            if count == 1:
                return Visibility(mask=None, is_causal=False)
        mask = prefix_mask(
            positions,
            torch.arange(first + count, device=positions.device),
            num_prefix,
            attention,
            self.config.timing,
            visual_rows=visual.rows,
        )
        return Visibility(mask=mask, is_causal=False)


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Return position vectors (P, width), in fp32: cosines, then sines, of rates from 1 down to 1/10000."""
    half = width // 2
    rates = 10_000.0 ** (-torch.arange(half, device=positions.device, dtype=torch.float32) / (half - 1))
    angles = positions[:, None].float() * rates
    return torch.cat((angles.cos(), angles.sin()), dim=1)


def normal_(weight: Tensor, fan_in: int, *, gain: float = 1.0) -> None:
    """Fill `weight` from a normal distribution of deviation gain / sqrt(fan_in), cut at three deviations."""
    deviation = gain / math.sqrt(fan_in)
    nn.init.trunc_normal_(weight, std=deviation, a=-3 * deviation, b=3 * deviation)
