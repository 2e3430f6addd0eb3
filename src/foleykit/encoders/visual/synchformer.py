"""The visual half of Synchformer (Iashin et al. 2024): what happens when, in tokens 80 ms apart, from raw pixels.

A space-time transformer over stretches of 16 frames. Parameters carry the published names without their prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import check_entries, shapes_of
from foleykit.core.errors import ConfigError, InputError
from foleykit.encoders.visual.timesformer import SpaceTimeBlock

PREFIX = "vfeat_extractor."
"""Of this encoder in the published file, which holds a whole synchronisation model."""
UNUSED = ("patch_embed.proj.weight", "patch_embed.proj.bias")
"""Weights for still pictures that the published encoder has and never uses."""


@dataclass(frozen=True, kw_only=True)
class SynchformerConfig:
    kind: Literal["synchformer"] = "synchformer"
    """Tells a saved encoder of this kind from others."""
    fps: float = 25.0
    """Frames per second."""
    size: int = 224
    """Side of the square frames, in pixels."""
    patch_size: int = 16
    patch_frames: int = 2
    """Frames of a patch."""
    segment_frames: int = 16
    """Frames of a stretch that is seen at once."""
    segment_stride: int = 8
    """Frames from one stretch to the next."""
    width: int = 768
    """Channels of the residual stream and of the tokens."""
    num_blocks: int = 12
    num_heads: int = 12
    """Attention heads; must divide `width`."""
    expansion: int = 4
    """Hidden channels of the feed-forward layers over `width`."""

    def __post_init__(self) -> None:
        if self.kind != "synchformer":
            raise ConfigError(f'kind is "synchformer", not "{self.kind}"')
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")
        if self.size % self.patch_size or self.segment_frames % self.patch_frames:
            raise ConfigError("size and segment_frames must be whole numbers of patches")

    @property
    def num_places(self) -> int:
        """Patches of one frame."""
        return (self.size // self.patch_size) ** 2

    @property
    def tokens_per_segment(self) -> int:
        return self.segment_frames // self.patch_frames

    @property
    def segment_seconds(self) -> float:
        """From the start of one stretch to that of the next."""
        return self.segment_stride / self.fps

    def num_segments(self, num_frames: int) -> int:
        """Return the stretches in `num_frames`; an incomplete one at the end is left out."""
        return max(0, (num_frames - self.segment_frames) // self.segment_stride + 1)


class PatchEmbed(nn.Module):
    def __init__(self, config: SynchformerConfig) -> None:
        super().__init__()
        kernel = (config.patch_frames, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(3, config.width, kernel, stride=kernel)

    def forward(self, frames: Tensor) -> Tensor:
        """Return patches (B, T / 2, P, D), row by row within a frame, of `frames` (B, T, 3, H, W)."""
        return self.proj(frames.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)


class Block(SpaceTimeBlock):
    """TimeSformer's layers, each around a residual of its own (Bertasius et al. 2021)."""

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """Return tokens (B, 1 + T P, D)."""
        x = x + self.timeattn(self.norm3(x), num_frames=num_frames, along="time")
        x = x + self.attn(self.norm1(x), num_frames=num_frames, along="space")
        return x + self.mlp(self.norm2(x))


class SpatialSummary(nn.TransformerEncoderLayer):
    """The places of one moment to one vector: a transformer layer with a class token."""

    def __init__(self, config: SynchformerConfig) -> None:
        super().__init__(
            config.width,
            config.num_heads,
            config.expansion * config.width,
            dropout=0.0,
            activation=nn.functional.gelu,
            batch_first=True,
            norm_first=True,
            layer_norm_eps=1e-6,
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))

    def summarise(self, places: Tensor) -> Tensor:
        """Return (N, D) of `places` (N, P, D)."""
        tokens: Tensor = self(torch.cat((self.cls_token.expand(len(places), -1, -1), places), dim=1))
        return tokens[:, 0]


class Synchformer(nn.Module):
    """Stretches of frames to tokens."""

    def __init__(self, config: SynchformerConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed_3d = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.num_places, config.width))
        self.temp_embed = nn.Parameter(torch.zeros(1, config.tokens_per_segment, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, config.expansion) for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.spatial_attn_agg = SpatialSummary(config)

    def tokens(self, segments: Tensor) -> Tensor:
        """Return (N, 1 + T P, D) of `segments` (N, 16, 3, H, W) after the last norm, the class token first."""
        patches = self.patch_embed_3d(segments)
        patches = patches + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        summary = (self.cls_token + self.pos_embed[:, :1]).expand(len(segments), -1, -1)
        x = torch.cat((summary, patches.flatten(1, 2)), dim=1)
        for block in self.blocks:
            x = block(x, self.config.tokens_per_segment)
        return self.norm(x)

    def forward(self, segments: Tensor) -> Tensor:
        """Return (N, 8, D), a token for every second frame, of `segments` (N, 16, 3, H, W) in [0, 1].

        Raises InputError for other sizes.
        """
        config = self.config
        if segments.shape[1:] != (config.segment_frames, 3, config.size, config.size):
            raise InputError(
                f"segments must be (N, {config.segment_frames}, 3, {config.size}, {config.size}), "
                f"not {tuple(segments.shape)}"
            )
        return self.summarise(self.tokens(normalise(segments).to(self.norm.weight.dtype))).float()

    def summarise(self, tokens: Tensor) -> Tensor:
        """Return (N, 8, D) of `tokens` (N, 1 + T P, D); the class token is left out."""
        places = tokens[:, 1:].unflatten(1, (self.config.tokens_per_segment, -1))
        return self.spatial_attn_agg.summarise(places.flatten(0, 1)).unflatten(0, places.shape[:2])


def normalise(frames: Tensor) -> Tensor:
    """Return `frames` in [0, 1] as the network takes them, in [-1, 1]."""
    return (frames - 0.5) / 0.5


def segments_of(frames: Tensor, config: SynchformerConfig) -> Tensor:
    """Return overlapping stretches (N, 16, ...) of `frames` (T, ...), without a copy."""
    return frames.unfold(0, config.segment_frames, config.segment_stride).movedim(-1, 1)


def from_published(entries: Mapping[str, Tensor], config: SynchformerConfig, *, source: str) -> dict[str, Tensor]:
    """Return the encoder's tensors from a published synchronisation model, which `source` names in errors.

    The rest of the file is left out. Raises ModelError when a name is missing or unknown or a shape differs.
    """
    own = shapes_of(lambda: Synchformer(config))
    seen = {name.removeprefix(PREFIX): tensor for name, tensor in entries.items() if name.startswith(PREFIX)}
    check_entries(seen, own, source=source, ignored=frozenset(UNUSED))
    return {name: seen[name].float() for name in own}
