"""Whether sound and pictures belong together in time: a classifier on the two embeddings of a clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SyncClassifier(nn.Module):
    """Embeddings of sound and of pictures to the probability that they are in time; published names."""

    def __init__(self, embedding_width: int = 256) -> None:
        super().__init__()
        width = 2 * embedding_width
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """Return probabilities (B,) of `audio` (B, E) and `video` (B, E)."""
        return self.mlp(torch.cat((audio, video), dim=1))[:, 0].sigmoid()
