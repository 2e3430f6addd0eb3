"""ImageBind's eyes, and both senses of a published file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foleykit.core.checkpoint import save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.encoders.audio.imagebind import ImageBindAudioConfig
from foleykit.encoders.visual.imagebind import (
    ImageBind,
    ImageBindConfig,
    ImageBindEncoder,
    ImageBindVisionConfig,
    benchmark_crops,
    from_published,
    loader_crops,
    neighbour_tubes,
    published_name,
    resize_bytes,
    resize_floats,
    still_tube,
    three_crops,
)

SMALL = ImageBindConfig(
    vision=ImageBindVisionConfig(size=28, width=16, num_blocks=2, num_heads=2, embedding_width=8),
    audio=ImageBindAudioConfig(width=16, num_blocks=2, num_heads=2, embedding_width=8),
)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(240, 320, (224, 298)), (320, 240, (298, 224)), (224, 224, (224, 224)), (100, 100, (224, 224))],
)
def test_the_short_side_fits(height: int, width: int, expected: tuple[int, int]) -> None:
    frames = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    resized = resize_bytes(frames, 224)
    assert resized.shape[2:] == expected and resized.dtype == torch.uint8
    assert resize_floats(frames.float() / 255, 224).shape[2:] == expected


def test_one_way_of_resizing_aliases_and_the_other_does_not() -> None:
    stripes = (255 * (torch.arange(672) % 3 == 0)).to(torch.uint8).expand(1, 3, 672, 672)
    assert resize_bytes(stripes, 224).float().std() < 15
    assert (
        resize_floats(stripes.float(), 224).std() < 1e-3
    )  # Every third pixel is black: none of the white ones is seen.
    assert resize_floats(stripes.float(), 224).mean() == 0


def test_crops_are_the_ends_and_the_middle_of_the_long_side() -> None:
    ramp = torch.arange(9.0)
    wide = three_crops(ramp.expand(1, 3, 4, 9), 4)
    assert [crop[0, 0, 0].tolist() for crop in wide] == [[0, 1, 2, 3], [3, 4, 5, 6], [5, 6, 7, 8]]
    tall = three_crops(ramp[:, None].expand(1, 3, 9, 4), 4)
    assert [crop[0, 0, :, 0].tolist() for crop in tall] == [[0, 1, 2, 3], [3, 4, 5, 6], [5, 6, 7, 8]]


def test_tubes_go_pair_by_pair_through_the_crops() -> None:
    crops = torch.arange(12.0).view(3, 4, 1, 1, 1).expand(3, 4, 3, 2, 2)
    tubes = neighbour_tubes(crops)
    assert tubes.shape == (9, 3, 2, 2, 2)
    assert tubes[:, 0, :, 0, 0].tolist()[:4] == [[0, 1], [4, 5], [8, 9], [1, 2]]
    with pytest.raises(InputError, match="two frames"):
        neighbour_tubes(crops[:, :1])


def test_a_still_picture_is_a_video_that_stands_still() -> None:
    frame = torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8)
    tube = still_tube(frame, SMALL.vision)
    twice = neighbour_tubes(benchmark_crops(frame.expand(2, 3, 40, 60), SMALL.vision))
    assert torch.equal(tube[0], twice[1])


def test_other_pictures_are_refused() -> None:
    for crops in (benchmark_crops, loader_crops):
        with pytest.raises(InputError, match="of bytes"):
            crops(torch.zeros(2, 3, 40, 60), SMALL.vision)
        with pytest.raises(InputError, match="of bytes"):
            crops(torch.zeros(2, 40, 60, 3, dtype=torch.uint8), SMALL.vision)


def test_an_encoder_is_the_same_after_saving(tmp_path: Path) -> None:
    network = ImageBind(SMALL).eval()
    save_weights(network, tmp_path / "model.safetensors")
    save_config(SMALL, tmp_path / "config.json")
    encoder = ImageBindEncoder.load(tmp_path)
    frames = torch.randint(0, 256, (4, 3, 40, 60), dtype=torch.uint8)
    waveform = torch.randn(1, 64_000)
    video, audio = encoder.embed_video(frames), encoder.embed_audio(waveform)
    assert video.shape == audio.shape == (8,)
    torch.testing.assert_close(video, ImageBindEncoder(network).embed_video(frames))
    torch.testing.assert_close(audio, ImageBindEncoder(network).embed_audio(waveform))
    tubes = neighbour_tubes(benchmark_crops(frames, SMALL.vision))
    torch.testing.assert_close(video, network.vision(tubes).mean(dim=0).detach())


def published() -> dict[str, Tensor]:
    return {published_name(name): tensor for name, tensor in ImageBind(SMALL).state_dict().items()}


def test_other_senses_of_a_published_file_are_left_out() -> None:
    entries = published()
    others = {
        "modality_trunks.text.blocks.0.norm_1.bias": torch.zeros(4),
        "modality_preprocessors.imu.pos_embed": torch.zeros(1, 3, 4),
        "modality_heads.depth.0.bias": torch.zeros(4),
        "modality_postprocessors.thermal.1.log_logit_scale": torch.zeros(()),
    }
    taken = from_published(entries | others, SMALL, source="i.pth")
    assert taken.keys() == ImageBind(SMALL).state_dict().keys()
    assert torch.equal(taken["vision.proj.weight"], entries[published_name("vision.proj.weight")])


@pytest.mark.parametrize("extra", ["modality_trunks.smell.bias", "modality_trunks.vision.extra", "text.bias"])
def test_other_names_are_refused_in_one_line(extra: str) -> None:
    with pytest.raises(ModelError, match=f"i.pth does not fit; 1 unexpected: {extra}$"):
        from_published(published() | {extra: torch.zeros(1)}, SMALL, source="i.pth")
    missing = published()
    del missing["modality_trunks.audio.blocks.1.attn.bias_k"]
    with pytest.raises(ModelError, match=r"1 missing: modality_trunks.audio.blocks.1.attn.bias_k$"):
        from_published(missing, SMALL, source="i.pth")


def test_towers_must_meet_in_one_space() -> None:
    with pytest.raises(ConfigError, match="one embedding_width"):
        replace(SMALL, audio=replace(SMALL.audio, embedding_width=4))
