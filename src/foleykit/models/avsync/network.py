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


class SyncTransformer(nn.Module):
    """All tokens of sound and of pictures to the probability that they are in time; published names.

    Strides, paddings and activations stand in no published file; they were chosen by what gives one recorded output.
    """

    def __init__(self, feature_width: int = 768, *, width: int = 512, num_positions: int = 16) -> None:
        super().__init__()
        self.conv_audio = nn.Sequential(
            nn.Conv1d(feature_width, width, 10, stride=5, padding=5), nn.GELU(), nn.Conv1d(width, width, 5, stride=2)
        )
        self.linear_video = nn.Linear(feature_width, width)
        self.norm_audio = nn.LayerNorm(width)
        self.norm_video = nn.LayerNorm(width)
        self.pos_audio = nn.Parameter(torch.zeros(1, num_positions, width))
        self.pos_video = nn.Parameter(torch.zeros(1, num_positions, width))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        layer = nn.TransformerEncoderLayer(width, nhead=8, dim_feedforward=4 * width, dropout=0.0, batch_first=True)
        self.transformer_head = nn.TransformerEncoder(
            layer, num_layers=2, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.mlp = nn.Sequential(nn.Linear(width, 1))

    def forward(self, audio: Tensor, video: Tensor) -> Tensor:
        """Return probabilities (B,) of AST's tokens, `audio` (B, 170, D), and frame features, `video` (B, 16, D)."""
        heard = self.norm_audio(self.conv_audio(audio.transpose(1, 2)).transpose(1, 2)) + self.pos_audio
        seen = self.norm_video(self.linear_video(video)) + self.pos_video
        summary = self.cls_token.expand(len(audio), -1, -1)
        tokens = self.transformer_head(torch.cat((summary, heard, seen), dim=1))
        return self.mlp(tokens[:, 0])[:, 0].sigmoid()
