"""Audio-visual similarity (AV-Sim): which ambience belongs to which picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class AvSimilarityConfig:
    video_width: int = 192
    """Channels of the video features."""
    latent_width: int = 32
    """Channels of the audio latents."""
    hidden_width: int = 128
    embedding_width: int = 64


class AvSimilarity(nn.Module):
    """Two towers into one space (contrastive, Radford et al. 2021) on what the frozen stages already know."""

    def __init__(self, config: AvSimilarityConfig) -> None:
        super().__init__()
        self.config = config
        self.video = nn.Sequential(
            nn.Linear(2 * config.video_width, config.hidden_width),
            nn.GELU(),
            nn.Linear(config.hidden_width, config.embedding_width),
        )
        self.audio = nn.Sequential(
            nn.Linear(3 * config.latent_width, config.hidden_width),
            nn.GELU(),
            nn.Linear(config.hidden_width, config.embedding_width),
        )
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def embed_video(self, features: Tensor) -> Tensor:
        """Return unit embeddings (B, E) of `features` (B, T, D)."""
        summary = torch.cat((features.mean(dim=1), features.std(dim=1, correction=0)), dim=1)
        return nn.functional.normalize(self.video(summary), dim=1)

    def embed_audio(self, latents: Tensor) -> Tensor:
        """Return unit embeddings (B, E) of `latents` (B, D, L)."""
        changes = latents.diff(dim=2, prepend=latents[:, :, :1])
        # How much and how fast it changes tells babble from traffic, whose spectra are alike.
        spreads = [part.std(dim=2, correction=0) for part in (latents, changes)]
        return nn.functional.normalize(self.audio(torch.cat((latents.mean(dim=2), *spreads), dim=1)), dim=1)
