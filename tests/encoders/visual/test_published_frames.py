"""CLIP, ViT, VideoMAE and ImageBind on frames: small ones with random weights, laid out as published folders are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from foleykit.core.checkpoint import save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import InputError, ModelError
from foleykit.encoders.audio.imagebind import ImageBindAudioConfig
from foleykit.encoders.visual import VisualEncoderConfig, load_visual_encoder
from foleykit.encoders.visual.clip import DEVIATION, MEAN, ClipConfig
from foleykit.encoders.visual.imagebind import ImageBind, ImageBindConfig, ImageBindVisionConfig
from foleykit.encoders.visual.imagebind_frames import ImageBindFramesConfig
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder
from foleykit.encoders.visual.videomae import VideoMaeConfig
from foleykit.encoders.visual.vit import VitConfig

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 32,
    "patch_size": 16,
}
VISION = ImageBindVisionConfig(size=28, width=16, num_blocks=1, num_heads=2, embedding_width=8)


def write_clip(folder: Path) -> VisualEncoderConfig:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    CLIPVisionModelWithProjection(CLIPVisionConfig(**SMALL, projection_dim=8)).save_pretrained(folder)
    return ClipConfig(size=32, width=8)


def write_vit(folder: Path) -> VisualEncoderConfig:
    from transformers import ViTConfig, ViTModel

    ViTModel(ViTConfig(**SMALL), add_pooling_layer=False).save_pretrained(folder)
    return VitConfig(size=32, width=16)


def write_videomae(folder: Path) -> VisualEncoderConfig:
    from transformers import VideoMAEConfig, VideoMAEModel

    VideoMAEModel(VideoMAEConfig(**SMALL, num_frames=4, tubelet_size=2)).save_pretrained(folder)
    return VideoMaeConfig(fps=4.0, size=32, num_frames=4, width=16)


def write_imagebind(folder: Path) -> VisualEncoderConfig:
    audio = ImageBindAudioConfig(width=16, num_blocks=1, num_heads=2, embedding_width=8)
    config = ImageBindConfig(vision=VISION, audio=audio)
    network = ImageBind(config)
    for parameter in network.vision.parameters():
        nn.init.normal_(parameter, std=0.2)
    save_weights(network, folder / "model.safetensors")
    save_config(config, folder / "config.json")
    return ImageBindFramesConfig(vision=VISION)


WRITERS: dict[str, Callable[[Path], VisualEncoderConfig]] = {
    "clip": write_clip,
    "vit": write_vit,
    "videomae": write_videomae,
    "imagebind": write_imagebind,
}


@pytest.fixture(params=WRITERS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[VisualEncoderConfig, Path]:
    """Return a config and a model folder with its encoder."""
    torch.manual_seed(0)
    return WRITERS[request.param](tmp_path / "video"), tmp_path


@torch.inference_mode()
def test_features_have_the_stated_width_and_rate_and_are_the_same_again(made: tuple[VisualEncoderConfig, Path]) -> None:
    config, folder = made
    first, second = (load_visual_encoder(config, folder).eval() for _ in range(2))
    frames = torch.rand(2, 8, 3, config.size, config.size)
    features = first(frames)
    assert features.shape == (2, round(8 * config.feature_rate / config.fps), config.width)
    assert torch.equal(features, second(frames)) and features.std() > 0
    torch.testing.assert_close(features[1:], first(frames[1:]), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_feature_knows_no_picture_outside_its_stretch(made: tuple[VisualEncoderConfig, Path]) -> None:
    config, folder = made
    encoder = load_visual_encoder(config, folder).eval()
    frames = torch.rand(1, 8, 3, config.size, config.size)
    other = frames.clone()
    other[:, 4:] = torch.rand_like(other[:, 4:])
    same = round(4 * config.feature_rate / config.fps)
    before, after = encoder(frames), encoder(other)
    torch.testing.assert_close(before[:, :same], after[:, :same], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(before[:, same:], after[:, same:])


@torch.inference_mode()
def test_of_a_wide_picture_the_middle_is_seen(made: tuple[VisualEncoderConfig, Path]) -> None:
    config, folder = made
    encoder = load_visual_encoder(config, folder).eval()
    wide = torch.rand(1, 4, 3, config.size, 2 * config.size)
    half = config.size // 2
    middle = wide[..., half : half + config.size]
    torch.testing.assert_close(encoder(wide), encoder(middle.contiguous()), atol=1e-5, rtol=1e-5)


def test_other_sizes_are_refused(made: tuple[VisualEncoderConfig, Path]) -> None:
    config, folder = made
    encoder = load_visual_encoder(config, folder).eval()
    with pytest.raises(InputError, match=f"short side of {config.size}"):
        encoder(torch.rand(1, 4, 3, config.size + 1, config.size + 1))


def test_weights_of_another_size_and_folders_that_are_not_whole_are_refused(
    made: tuple[VisualEncoderConfig, Path],
) -> None:
    config, folder = made
    if isinstance(config, ImageBindFramesConfig):
        other: VisualEncoderConfig = replace(config, vision=replace(VISION, num_heads=4))
    else:
        other = replace(config, width=24)
    with pytest.raises(ModelError, match=r"made for") as caught:
        load_visual_encoder(other, folder)
    assert "\n" not in str(caught.value)
    (folder / "video" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model.safetensors"):
        load_visual_encoder(config, folder)
    with pytest.raises(ModelError):
        load_visual_encoder(config, folder / "facebook" / "nothing-is-fetched")


@torch.inference_mode()
def test_clip_sees_what_transformers_processor_shows_it(tmp_path: Path) -> None:
    """The normalisation is that of the published processor."""
    torch.manual_seed(0)
    config = write_clip(tmp_path / "video")
    encoder = load_visual_encoder(config, tmp_path).eval()
    pixels = torch.rand(1, 1, 3, 32, 32)
    given = (pixels[0] - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    torch.testing.assert_close(encoder(pixels)[0], encoder.model(pixel_values=given).image_embeds)


@torch.inference_mode()
def test_a_stretch_that_is_not_whole_holds_its_last_frame(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = write_videomae(tmp_path / "video")
    encoder = load_visual_encoder(config, tmp_path).eval()
    frames = torch.rand(1, 5, 3, 32, 32)
    held = torch.cat((frames, frames[:, -1:].expand(-1, 3, -1, -1, -1)), dim=1)
    assert torch.equal(encoder(frames), encoder(held))


def test_ours_is_one_file_of_the_model_folder(tmp_path: Path) -> None:
    config = TwoRateConfig(
        size=32, width=32, motion_width=8, num_motion_blocks=1, appearance_width=8, num_temporal_blocks=1
    )
    encoder = TwoRateEncoder(config)
    save_weights(encoder, tmp_path / "video.safetensors")
    loaded = load_visual_encoder(config, tmp_path).eval()
    assert all(torch.equal(one, loaded.state_dict()[name]) for name, one in encoder.state_dict().items())
