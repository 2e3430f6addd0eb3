"""VideoMAE (Tong et al. 2022) through transformers: one vector per stretch of sixteen frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from foleykit.core.packages import check_published
from foleykit.encoders.visual.frames import PictureConfig, in_batches, load_transformers, middle_square, normalised

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class VideoMaeConfig(PictureConfig):
    """Which VideoMAE, and how often it looks; the defaults are the base size at one vector per second.

    A vector stands at the start of the stretch that it saw, so it knows up to `1 / feature_rate` seconds that follow:
    a network of moving pictures has no vector of one instant.
    """

    kind: Literal["videomae"] = "videomae"
    """Tells a saved encoder of this kind from others."""
    fps: float = 16.0
    """Frames per second; `num_frames` of them make one vector."""
    size: int = 224
    """Side of the square that is seen, in pixels."""
    num_frames: int = 16
    """Frames of a stretch."""
    width: int = 768
    """Channels of the vector, the mean over patches and time."""

    @property
    def feature_rate(self) -> float:
        """Features per second."""
        return self.fps / self.num_frames


class VideoMaeStretches(nn.Module):
    """Stretches of frames to the mean of their patches' features."""

    def __init__(self, config: VideoMaeConfig, model: Any) -> None:
        """Take transformers' `VideoMAEModel`."""
        super().__init__()
        self.config = config
        self.model = model

    @classmethod
    def load(cls, config: VideoMaeConfig, folder: Path) -> Self:
        """Return the encoder of a folder in transformers' layout; raises ModelError when it does not fit `config`."""
        check_published("transformers", "VideoMAE")
        from transformers import VideoMAEModel

        sizes = {"hidden_size": config.width, "image_size": config.size, "num_frames": config.num_frames}
        return cls(config, load_transformers(VideoMAEModel, folder, sizes))

    def forward(self, frames: Tensor) -> Tensor:
        """Return features (B, N, D) of `frames` (B, T, 3, H, W) in [0, 1], N = T / num_frames rounded up.

        The last frame is held where a stretch is not whole. Raises InputError for another short side.
        """
        pixels = normalised(middle_square(frames, self.config.size), MEAN, DEVIATION)
        missing = -frames.shape[1] % self.config.num_frames
        held = pixels[:, -1:].expand(-1, missing, -1, -1, -1)
        stretches = torch.cat((pixels, held), dim=1).unflatten(1, (-1, self.config.num_frames))
        found = [
            self.model(pixel_values=part).last_hidden_state.mean(dim=1)
            for part in in_batches(stretches.flatten(0, 1), 4)
        ]
        return torch.cat(found).unflatten(0, stretches.shape[:2])
