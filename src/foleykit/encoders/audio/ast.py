"""Audio Spectrogram Transformer (Gong et al. 2021), base size: a filter bank to one embedding.

Parameters carry the published names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.core.errors import ConfigError, InputError


@dataclass(frozen=True, kw_only=True)
class AstConfig:
    num_mels: int = 128
    num_frames: int = 149
    """Frames of the filter bank: a second and a half at 10 ms, and one of zeros."""
    patch_size: int = 16
    stride: int = 10
    """Of the patches, along both axes."""
    width: int = 768
    num_blocks: int = 12
    num_heads: int = 12
    """Attention heads; must divide `width`."""
    embedding_width: int = 256

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")

    @property
    def num_patches(self) -> int:
        rows = (self.num_mels - self.patch_size) // self.stride + 1
        return rows * ((self.num_frames - self.patch_size) // self.stride + 1)


class SpectrogramPatches(nn.Module):
    def __init__(self, config: AstConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, config.width, config.patch_size, stride=config.stride)

    def forward(self, bank: Tensor) -> Tensor:
        """Return tokens (B, P, D), frequency-major, of `bank` (B, F, M)."""
        return self.proj(bank.transpose(1, 2)[:, None]).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """A block of the vision transformer, under the names of the library it came from; PaSST has the same."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, num_heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Trunk(nn.Module):
    """The transformer with its two summary tokens."""

    def __init__(self, config: AstConfig) -> None:
        super().__init__()
        self.patch_embed = SpectrogramPatches(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, config.num_patches + 2, config.width))
        self.blocks = nn.ModuleList(Block(config.width, config.num_heads) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, bank: Tensor) -> Tensor:
        """Return tokens (B, 2 + P, D) after the last norm: the class token, the distillation token, the patches."""
        summaries = torch.cat((self.cls_token, self.dist_token), dim=1).expand(len(bank), -1, -1)
        x = torch.cat((summaries, self.patch_embed(bank)), dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class SpectrogramTransformer(nn.Module):
    """A filter bank to an embedding."""

    def __init__(self, config: AstConfig) -> None:
        super().__init__()
        self.config = config
        self.v = Trunk(config)
        # The head keeps the library's epsilon, 1e-5, where the trunk has 1e-6.
        self.mlp_head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.embedding_width))

    def forward(self, bank: Tensor) -> Tensor:
        """Return embeddings (B, E) of filter banks `bank` (B, F, M); raises InputError for other sizes."""
        if bank.shape[1:] != (self.config.num_frames, self.config.num_mels):
            raise InputError(
                f"a filter bank must be (B, {self.config.num_frames}, {self.config.num_mels}), not {tuple(bank.shape)}"
            )
        return self.mlp_head(self.v(bank)[:, :2].mean(dim=1))
