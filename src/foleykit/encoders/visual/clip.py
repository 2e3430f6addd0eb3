"""CLIP's picture tower (Radford et al. 2021) through transformers: one projected vector per frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from foleykit.core.packages import check_published
from foleykit.encoders.clip import DEVIATION, MEAN
from foleykit.encoders.visual.frames import PictureConfig, in_batches, load_transformers, middle_square, normalised


@dataclass(frozen=True, kw_only=True)
class ClipConfig(PictureConfig):
    """Which CLIP, and how often it looks; the defaults are ViT-B/32 at one frame per second."""

    kind: Literal["clip"] = "clip"
    """Tells a saved encoder of this kind from others."""
    size: int = 224
    """Side of the square that is seen, in pixels."""
    width: int = 512
    """Channels of the projected vector."""


class ClipFrames(nn.Module):
    """Frames to the vectors that CLIP compares with texts, before they are brought to length one."""

    def __init__(self, config: ClipConfig, model: Any) -> None:
        """Take transformers' `CLIPVisionModelWithProjection`."""
        super().__init__()
        self.config = config
        self.model = model

    @classmethod
    def load(cls, config: ClipConfig, folder: Path) -> Self:
        """Return the encoder of a folder in transformers' layout; raises ModelError when it does not fit `config`."""
        check_published("transformers", "CLIP")
        from transformers import CLIPVisionModelWithProjection

        sizes = {"projection_dim": config.width, "image_size": config.size}
        return cls(config, load_transformers(CLIPVisionModelWithProjection, folder, sizes))

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (B, T, D) of `frames` (B, T, 3, H, W) in [0, 1]; raises InputError for another short side."""
        pixels = normalised(middle_square(frames, self.config.size), MEAN, DEVIATION).flatten(0, 1)
        found = [self.model(pixel_values=part).image_embeds for part in in_batches(pixels, 32)]
        return torch.cat(found).unflatten(0, frames.shape[:2])
