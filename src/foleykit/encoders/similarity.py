"""Audio-visual similarity (AV-Sim): which ambience belongs to which picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class AvSimilarityConfig:
    map_width: int = 128
    """Channels of the video encoder's appearance maps."""
    surroundings_width: int = 48
    """Channels of what the video tower makes of a cell."""
    latent_width: int = 32
    """Channels of the audio latents."""
    hidden_width: int = 128
    embedding_width: int = 64
    num_kinds: int = 12
    """Kinds of ambience, and none."""
    dropout: float = 0.2


class AvSimilarity(nn.Module):
    """Two towers into one space (contrastive, Radford et al. 2021) on what the frozen stages already know.

    Anchors are where the kinds of ambience lie in it: what pulls the towers of two places with one kind together.
    The video tower reads maps, not features: features look where something moves or is touched, and what an ambience
    comes from stands elsewhere in the picture.
    """

    def __init__(self, config: AvSimilarityConfig) -> None:
        super().__init__()
        self.config = config
        width = config.surroundings_width
        self.reduce = nn.Conv2d(config.map_width, width, 1)
        self.gather = nn.Conv2d(width, width, 3, padding=1)
        self.name = nn.Conv2d(width, width, 3, padding=1)
        self.video = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(3 * width, config.hidden_width),
            nn.GELU(),
            nn.Linear(config.hidden_width, config.embedding_width),
        )
        self.audio = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(3 * config.latent_width, config.hidden_width),
            nn.GELU(),
            nn.Linear(config.hidden_width, config.embedding_width),
        )
        self.anchors = nn.Parameter(torch.randn(config.num_kinds, config.embedding_width))
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def survey(self, maps: Tensor) -> Tensor:
        """Return surroundings (B, T, P), what stands anywhere in each of the pictures, of `maps` (B, T, A, C, C)."""
        cells = nn.functional.gelu(self.reduce(maps.flatten(0, 1)))
        cells = cells + nn.functional.gelu(self.gather(cells))
        cells = nn.functional.gelu(self.name(cells)).flatten(2)
        # A source fills a few cells, rain all of them: the largest response finds the one, the mean the other.
        return torch.cat((cells.mean(dim=2), cells.amax(dim=2)), dim=1).unflatten(0, maps.shape[:2])

    def embed_video(self, surroundings: Tensor) -> Tensor:
        """Return unit embeddings (B, E) of `surroundings` (B, T, P)."""
        largest = surroundings[..., self.config.surroundings_width :]
        summary = torch.cat((surroundings.mean(dim=1), largest.std(dim=1, correction=0)), dim=1)
        return nn.functional.normalize(self.video(summary), dim=1)

    def embed_audio(self, latents: Tensor) -> Tensor:
        """Return unit embeddings (B, E) of `latents` (B, D, L)."""
        changes = latents.diff(dim=2, prepend=latents[:, :, :1])
        # How much and how fast it changes tells babble from traffic, whose spectra are alike.
        spreads = [part.std(dim=2, correction=0) for part in (latents, changes)]
        return nn.functional.normalize(self.audio(torch.cat((latents.mean(dim=2), *spreads), dim=1)), dim=1)

    def nearness(self, embedding: Tensor) -> Tensor:
        """Return the cosines (B, K) of `embedding` (B, E) with the kinds of ambience."""
        return embedding @ nn.functional.normalize(self.anchors, dim=1).T
