"""What the towers descend: each clip's sound finds its pictures among those of the batch, and the other way round."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.core.types import Losses
from foleykit.models.contrastive.network import AudioVisualTowers

MAX_LOG_SCALE = math.log(100.0)


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    frames: Tensor
    """(B, T, 3, H, W) in [0, 1]"""
    waveform: Tensor
    """(B, S) the sound of the same clips"""


class InfoNceObjective(nn.Module):
    """Symmetric InfoNCE with a learnt temperature (van den Oord et al. 2018, eq. 4; Radford et al. 2021, fig. 3)."""

    def __init__(self, model: AudioVisualTowers) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: PairBatch, generator: torch.Generator) -> Losses:
        """Return the loss; nothing is drawn from `generator`."""
        scale = self.model.log_scale.clamp(max=MAX_LOG_SCALE).exp()
        sounds, pictures = self.model.embed_audio(batch.waveform), self.model.embed_video(batch.frames)
        scores = scale * sounds @ pictures.T
        own = torch.arange(len(scores), device=scores.device)
        parts = {
            "sounds": nn.functional.cross_entropy(scores, own),
            "pictures": nn.functional.cross_entropy(scores.T, own),
        }
        return Losses(total=0.5 * (parts["sounds"] + parts["pictures"]), parts=parts)
