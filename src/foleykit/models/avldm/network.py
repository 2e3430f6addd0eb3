"""The denoiser: a diffusion transformer, timing from aligned video features, ambience from another clip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.models.avldm.config import DenoiserConfig
from foleykit.nn.attention import CrossAttention, SelfAttention


@dataclass(frozen=True, kw_only=True)
class AvConditioning:
    """What a denoiser may know (Action2Sound, sec. 4): video for the action, a neighbour for the ambience."""

    video: Tensor
    """(B, L, D) video features, one per latent frame, each followed by its row of the event track."""
    ambient: Tensor
    """(B, D, L') latents of another moment of the same place."""
    has_video: Tensor
    """(B,) bool; False replaces the features by the learned null."""

    def without_video(self) -> AvConditioning:
        """Return the null of guidance: the video dropped, the ambience kept, exactly as in training."""
        return AvConditioning(video=self.video, ambient=self.ambient, has_video=torch.zeros_like(self.has_video))


def time_features(t: Tensor, width: int) -> Tensor:
    """Return sinusoids (B, width) of `t` (B,) in [0, 1]."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(width // 2, device=t.device) / (width // 2))
    angles = 1000.0 * t[:, None].float() * rates
    return torch.cat((angles.cos(), angles.sin()), dim=1)


class Block(nn.Module):
    """Self-attention, cross-attention to the ambience and a feed-forward layer, modulated by time and ambience levels.

    The modulation is shared by all blocks up to an offset (PixArt-alpha, Chen et al. 2023, sec. 2.3).
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.width
        self.modulation = nn.Parameter(torch.randn(6, width) / math.sqrt(width))
        self.norm_attention = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = SelfAttention(width, config.num_heads)
        self.norm_context = nn.LayerNorm(width)
        self.cross_attention = CrossAttention(width, config.num_heads)
        self.norm_feed = nn.LayerNorm(width, elementwise_affine=False)
        self.feed = nn.Sequential(
            nn.Linear(width, config.expansion * width), nn.GELU(), nn.Linear(config.expansion * width, width)
        )

    def forward(self, x: Tensor, context: Tensor, shared: Tensor) -> Tensor:
        """Return (B, L, D) from `x`, the ambience tokens `context` (B, P, D) and the `shared` modulation (B, 6, D)."""
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (shared + self.modulation).unsqueeze(2).unbind(1)
        x = x + gate_a * self.attention(self.norm_attention(x) * (1 + scale_a) + shift_a)
        x = x + self.cross_attention(self.norm_context(x), context)
        return x + gate_f * self.feed(self.norm_feed(x) * (1 + scale_f) + shift_f)


class Denoiser(nn.Module):
    """Velocity of the latents given video features and an ambient clip."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.project_in = nn.Conv1d(config.latent_width, width, 3, padding=1)
        self.video_in = nn.Sequential(
            nn.Linear(config.video_width + config.event_width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.null_video = nn.Parameter(torch.zeros(width))
        self.ambient_in = nn.Linear(config.latent_width * config.ambient_pool, width)
        self.statistics_in = nn.Linear(2 * config.latent_width, width)
        self.time_in = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(width)
        self.project_out = nn.Linear(width, config.latent_width)
        nn.init.zeros_(self.project_out.weight)
        nn.init.zeros_(self.project_out.bias)

    def forward(self, x: Tensor, t: Tensor, conditioning: AvConditioning) -> Tensor:
        """Return the velocity (B, D, L) at `x` (B, D, L) and times `t` (B,)."""
        # Cross-attention does not find the moment of a hit in a small model; adding each frame's feature to its own
        # latent frame does.
        video = self.video_in(conditioning.video)
        video = torch.where(conditioning.has_video[:, None, None], video, self.null_video)
        tokens, statistics = self._ambient(conditioning.ambient)
        hidden = self.project_in(x).transpose(1, 2) + video
        summary = self.time_in(time_features(t, self.config.width)) + statistics
        shared = self.modulation(summary).unflatten(1, (6, -1))
        for block in self.blocks:
            hidden = block(hidden, tokens, shared)
        return self.project_out(self.norm(hidden)).transpose(1, 2)

    def _ambient(self, ambient: Tensor) -> tuple[Tensor, Tensor]:
        """Return context tokens (B, L' / pool, D) and pooled statistics (B, D) of the ambient latents (B, D, L')."""
        pool = self.config.ambient_pool
        if not self.config.uses_ambient:
            ambient = torch.zeros_like(ambient)
        whole = ambient[..., : ambient.shape[-1] // pool * pool]
        tokens = self.ambient_in(whole.unflatten(2, (-1, pool)).permute(0, 2, 1, 3).flatten(2))
        statistics = torch.cat((ambient.mean(dim=2), ambient.std(dim=2)), dim=1)
        return tokens, self.statistics_in(statistics)
