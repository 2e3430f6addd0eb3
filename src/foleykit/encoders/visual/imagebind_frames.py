"""ImageBind's picture tower on single frames: the vector of a video that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from foleykit.core.errors import ModelError
from foleykit.encoders.visual.frames import PictureConfig, in_batches, middle_square
from foleykit.encoders.visual.imagebind import ImageBindEncoder, ImageBindVisionConfig, VisionTower, normalise


@dataclass(frozen=True, kw_only=True)
class ImageBindFramesConfig(PictureConfig):
    """How often ImageBind looks; the defaults are its published size at one frame per second."""

    kind: Literal["imagebind_frames"] = "imagebind_frames"
    """Tells a saved encoder of this kind from others."""
    vision: ImageBindVisionConfig = field(default_factory=ImageBindVisionConfig)

    @property
    def size(self) -> int:
        """Side of the square that is seen, in pixels."""
        return self.vision.size

    @property
    def width(self) -> int:
        """Channels of the vector."""
        return self.vision.embedding_width


class ImageBindFrames(nn.Module):
    """Frames to unit vectors in the space that pictures and sound share."""

    def __init__(self, config: ImageBindFramesConfig, tower: VisionTower) -> None:
        super().__init__()
        self.config = config
        self.tower = tower

    @classmethod
    def load(cls, config: ImageBindFramesConfig, folder: Path) -> Self:
        """Return the encoder of a folder that `foley models convert imagebind` made; raises ModelError."""
        encoder = ImageBindEncoder.load(folder)
        if encoder.config.vision != config.vision:
            raise ModelError(f"{folder} holds an ImageBind of another size than this model was made for")
        return cls(config, encoder.network.vision)

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (B, T, D) of `frames` (B, T, 3, H, W) in [0, 1]; raises InputError for another short side."""
        pixels = normalise(middle_square(frames, self.config.size)).flatten(0, 1)
        # A tube is two frames deep; a frame alone is shown twice, as the network's own code does with pictures.
        tubes = pixels[:, :, None].expand(-1, -1, self.config.vision.num_frames, -1, -1)
        return torch.cat([self.tower(part) for part in in_batches(tubes, 8)]).unflatten(0, frames.shape[:2])
