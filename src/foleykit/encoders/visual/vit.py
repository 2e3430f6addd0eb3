"""ViT trained on ImageNet (Dosovitskiy et al. 2021) through transformers: the class token of each frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from foleykit.core.packages import check_published
from foleykit.encoders.visual.frames import PictureConfig, in_batches, load_transformers, middle_square, normalised

MEAN = DEVIATION = (0.5, 0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class VitConfig(PictureConfig):
    """Which ViT, and how often it looks; the defaults are B/16 at one frame per second."""

    kind: Literal["vit"] = "vit"
    """Tells a saved encoder of this kind from others."""
    size: int = 224
    """Side of the square that is seen, in pixels."""
    width: int = 768
    """Channels of the class token."""

    @property
    def is_cropped(self) -> bool:
        """Whether the encoder sees the middle square of a picture; else the whole is stretched to a square."""
        return False


class VitFrames(nn.Module):
    """Frames to class tokens after the last norm."""

    def __init__(self, config: VitConfig, model: Any) -> None:
        """Take transformers' `ViTModel`."""
        super().__init__()
        self.config = config
        self.model = model

    @classmethod
    def load(cls, config: VitConfig, folder: Path) -> Self:
        """Return the encoder of a folder in transformers' layout; raises ModelError when it does not fit `config`."""
        check_published("transformers", "ViT")
        from transformers import ViTModel

        # The pooler is another network on top of the class token; not every published file has one.
        sizes = {"hidden_size": config.width, "image_size": config.size}
        return cls(config, load_transformers(ViTModel, folder, sizes, add_pooling_layer=False))

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (B, T, D) of `frames` (B, T, 3, size, size) in [0, 1]; raises InputError for other sizes."""
        pixels = normalised(middle_square(frames, self.config.size), MEAN, DEVIATION).flatten(0, 1)
        found = [self.model(pixel_values=part).last_hidden_state[:, 0] for part in in_batches(pixels, 32)]
        return torch.cat(found).unflatten(0, frames.shape[:2])
