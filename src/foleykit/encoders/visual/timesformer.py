"""Space-time vision transformer of Frozen-in-Time (Bain et al. 2021) and EgoVLP: what Action2Sound sees with.

Parameters carry the published names, so that published files need their prefix removed and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from foleykit.core.errors import ConfigError, InputError

Pool = Literal["max", "mean"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class TimeSformerConfig:
    size: int = 224
    """Side of the square frames, in pixels."""
    patch_size: int = 16
    num_frames: int = 16
    """Frames of a clip; fewer are allowed and use the beginning of the temporal table."""
    width: int = 768
    """Channels of the residual stream and of the features."""
    num_blocks: int = 12
    num_heads: int = 12
    """Attention heads; must divide `width`."""
    expansion: int = 4
    """Hidden channels of the feed-forward layers over `width`."""
    pool: Pool = "max"
    """How the patches of a frame become one feature."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")
        if self.size % self.patch_size:
            raise ConfigError(f"size {self.size} is not divisible by patch_size {self.patch_size}")
        if self.pool not in ("max", "mean"):
            raise ConfigError(f'pool is max or mean, not "{self.pool}"')

    @property
    def num_patches(self) -> int:
        """Patches of one frame."""
        return (self.size // self.patch_size) ** 2


class PatchEmbed(nn.Module):
    """Frames to patch tokens."""

    def __init__(self, config: TimeSformerConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, frames: Tensor) -> Tensor:
        """Return tokens (B, T, P, D), row by row within a frame, of `frames` (B, T, 3, H, W)."""
        patches = self.proj(frames.flatten(0, 1)).flatten(2).transpose(1, 2)
        return patches.unflatten(0, frames.shape[:2])


class GroupedAttention(nn.Module):
    """Attention within groups of patches that all share one class token; the class token attends to everything."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, *, num_frames: int, along: Literal["space", "time"]) -> Tensor:
        """Return (B, 1 + T P, D) for `x` (B, 1 + T P, D): class token, then patches frame by frame.

        Along "space" a group is the patches of one frame, along "time" one patch position in all frames.
        """
        query, key, value = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        attend = nn.functional.scaled_dot_product_attention
        summary = attend(query[:, :, :1], key, value)

        def grouped(tokens: Tensor) -> Tensor:
            patches = tokens[:, :, 1:].unflatten(2, (num_frames, -1))  # (B, heads, T, P, d)
            return patches if along == "space" else patches.transpose(2, 3)

        def with_class(tokens: Tensor) -> Tensor:
            groups = grouped(tokens)
            shared = tokens[:, :, None, :1].expand(-1, -1, groups.shape[2], -1, -1)
            return torch.cat((shared, groups), dim=3)

        patches = attend(grouped(query), with_class(key), with_class(value))
        if along == "time":
            patches = patches.transpose(2, 3)
        joined = torch.cat((summary, patches.flatten(2, 3)), dim=2)  # (B, heads, N, d)
        return self.proj(joined.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class SpaceTimeBlock(nn.Module):
    """Attention over time, then over space, then a feed-forward layer."""

    def __init__(self, width: int, num_heads: int, expansion: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.norm3 = nn.LayerNorm(width, eps=1e-6)
        self.attn = GroupedAttention(width, num_heads)
        self.timeattn = GroupedAttention(width, num_heads)
        self.mlp = FeedForward(width, expansion * width)

    def forward(self, x: Tensor, num_frames: int) -> Tensor:
        """Return tokens (B, 1 + T P, D)."""
        in_time = x + self.timeattn(self.norm3(x), num_frames=num_frames, along="time")
        # The residual of the spatial attention starts from x, not from in_time: Frozen-in-Time, sec. 3.1.
        x = x + self.attn(self.norm1(in_time), num_frames=num_frames, along="space")
        return x + self.mlp(self.norm2(x))


class TimeSformer(nn.Module):
    """Frames to one feature per frame, or to one embedding of the clip."""

    def __init__(self, config: TimeSformerConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + config.num_patches, config.width))
        self.temporal_embed = nn.Parameter(torch.zeros(1, config.num_frames, config.width))
        self.blocks = nn.ModuleList(
            SpaceTimeBlock(config.width, config.num_heads, config.expansion) for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)

    @property
    def size(self) -> int:
        return self.config.size

    @property
    def width(self) -> int:
        return self.config.width

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (B, T, D), one per frame, of `frames` (B, T, 3, H, W) in [0, 1]."""
        return self.pool(self.tokens(normalise(frames)), frames.shape[1])

    def embed(self, frames: Tensor) -> Tensor:
        """Return the class token (B, D), a summary of the clip `frames` (B, T, 3, H, W) in [0, 1]."""
        return self.tokens(normalise(frames))[:, 0]

    def pool(self, tokens: Tensor, num_frames: int) -> Tensor:
        """Return features (B, T, D) of `tokens` (B, 1 + T P, D) as `tokens` gives them; the class token is left out."""
        patches = tokens[:, 1:].unflatten(1, (num_frames, -1))
        match self.config.pool:
            case "max":
                return patches.amax(dim=2)
            case "mean":
                return patches.mean(dim=2)
            case _:
                assert_never(self.config.pool)

    def tokens(self, pictures: Tensor) -> Tensor:
        """Return all tokens (B, 1 + T P, D) after the last norm: class token, then patches frame by frame.

        `pictures` (B, T, 3, H, W) are frames that went through `normalise`. Raises InputError for another size or for
        more frames than the temporal table has entries.
        """
        config = self.config
        batch, num_frames = pictures.shape[:2]
        if pictures.ndim != 5 or pictures.shape[2:] != (3, config.size, config.size):
            raise InputError(
                f"frames must be (B, T, 3, {config.size}, {config.size}), not {tuple(pictures.shape)}; resize them"
            )
        if num_frames > config.num_frames:
            raise InputError(f"a clip has at most {config.num_frames} frames, not {num_frames}")
        spatial = self.pos_embed[:, None, 1:]
        temporal = self.temporal_embed[:, :num_frames, None]
        patches = self.patch_embed(pictures) + spatial + temporal
        summary = (self.cls_token + self.pos_embed[:, :1]).expand(batch, -1, -1)
        x = torch.cat((summary, patches.flatten(1, 2)), dim=1)
        for block in self.blocks:
            x = block(x, num_frames)
        return self.norm(x)


def normalise(frames: Tensor) -> Tensor:
    """Return `frames` (B, T, 3, H, W) in [0, 1] with the mean and deviation of ImageNet removed."""
    mean = frames.new_tensor(IMAGENET_MEAN)[:, None, None]
    deviation = frames.new_tensor(IMAGENET_DEVIATION)[:, None, None]
    return (frames - mean) / deviation


def even_frame_indices(num_frames: int, count: int) -> list[int]:
    """Return `count` indices spread evenly over `num_frames` decoded frames, first and last included.

    Indices repeat where there are fewer frames than asked for.
    """
    if num_frames < 1 or count < 1:
        raise InputError(f"cannot take {count} of {num_frames} frames")
    return [int(position) for position in torch.linspace(0, num_frames - 1, count, dtype=torch.float64)]
