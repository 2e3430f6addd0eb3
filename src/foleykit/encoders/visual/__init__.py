"""Frozen encoders of pictures: which there are, and how one is loaded from a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from torch import nn

from foleykit.core.checkpoint import with_weights
from foleykit.encoders.visual.clip import ClipConfig
from foleykit.encoders.visual.imagebind_frames import ImageBindFramesConfig
from foleykit.encoders.visual.two_rate import TwoRateConfig
from foleykit.encoders.visual.videomae import VideoMaeConfig
from foleykit.encoders.visual.vit import VitConfig

VisualEncoderConfig = TwoRateConfig | ClipConfig | VitConfig | VideoMaeConfig | ImageBindFramesConfig


def load_visual_encoder(config: VisualEncoderConfig, folder: Path) -> nn.Module:
    """Return the encoder of the model folder `folder`: frames (B, T, 3, H, W) in [0, 1] to features (B, N, D).

    Ours is the file `video.safetensors`; published ones are a folder `video`, laid out as their programs lay it out.
    Nothing is downloaded. Raises ModelError when it is missing, damaged or of another size than `config` says.
    """
    match config:
        case TwoRateConfig():
            from foleykit.encoders.visual.two_rate import TwoRateEncoder

            return with_weights(TwoRateEncoder(config), folder / "video.safetensors")
        case ClipConfig():
            from foleykit.encoders.visual.clip import ClipFrames

            return ClipFrames.load(config, folder / "video")
        case VitConfig():
            from foleykit.encoders.visual.vit import VitFrames

            return VitFrames.load(config, folder / "video")
        case VideoMaeConfig():
            from foleykit.encoders.visual.videomae import VideoMaeStretches

            return VideoMaeStretches.load(config, folder / "video")
        case ImageBindFramesConfig():
            from foleykit.encoders.visual.imagebind_frames import ImageBindFrames

            return ImageBindFrames.load(config, folder / "video")
        case _:
            assert_never(config)
