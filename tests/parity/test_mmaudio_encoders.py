"""What MMAudio sees and reads with, against the numbers of the public implementations."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foleykit.core.checkpoint import shapes_of
from foleykit.encoders.clip import (
    ClipConfig,
    ClipImageConfig,
    ClipImageTower,
    ClipTextConfig,
    ClipTextTower,
    from_open_clip,
)
from foleykit.encoders.text.clip_tokens import ClipTokenizer, read_merges
from foleykit.encoders.visual.synchformer import (
    UNUSED,
    Synchformer,
    SynchformerConfig,
    from_published,
    normalise,
    segments_of,
)
from parity.fixtures import assert_near, formula_video, manifest, root, shapes
from parity.mmaudio import FOLDER, check_spots, config_of, recorded, weights

VOCABULARY = "FOLEYKIT_CLIP_VOCABULARY"


@pytest.mark.parametrize(
    ("name", "tolerance", "stride"),
    [("synchformer_tiny", 1e-4, 7), pytest.param("synchformer", 3e-4, 7, marks=pytest.mark.slow)],
)
@torch.inference_mode()
def test_synchformer(name: str, tolerance: float, stride: int) -> None:
    recording, stated = recorded(name), config_of(name)
    config = SynchformerConfig(
        size=stated["img_size"],
        patch_size=stated["patch_size"],
        patch_frames=stated["patch_size_temp"],
        width=stated["embed_dim"],
        num_blocks=stated["depth"],
        num_heads=stated["num_heads"],
        expansion=stated["mlp_ratio"],
    )
    assert config.tokens_per_segment == stated["temporal_resolution"]
    published = weights(name)
    check_spots(recording, published)
    network = Synchformer(config).eval().requires_grad_(False)
    network.load_state_dict(from_published(published, config, source=name))
    video = formula_video(1, stated["frames"], config.size, stated["phi"])[0]
    assert_near(f"mmaudio {name}: input", video[:, :, :2, :2], recording.given("video_corner"), 1e-6)
    # The recorded frames are normalised already.
    segments = segments_of((video + 1) / 2, config)
    assert len(segments) == config.num_segments(len(video))
    blocks: list[Tensor] = []
    hook = network.blocks[0].register_forward_hook(lambda module, given, made: blocks.append(made))
    tokens = network.tokens(normalise(segments))
    hook.remove()
    expected = recording.expected("block0_tokens")
    shown = blocks[0][:1, ::stride][:, : expected.shape[1], : expected.shape[2]]
    assert_near(f"mmaudio {name}: block0_tokens", shown, expected, tolerance)
    expected = recording.expected("norm_tokens")
    # The recorded tokens are those of patches alone.
    assert_near(f"mmaudio {name}: norm_tokens", tokens[:1, 1::97, : expected.shape[2]], expected, tolerance)
    made = network.summarise(tokens).flatten(0, 1)[None]
    assert_near(f"mmaudio {name}: features", made, recording.expected("features"), tolerance)


def test_names_of_the_published_synchformer() -> None:
    own = shapes_of(lambda: Synchformer(SynchformerConfig()))
    published = {name.removeprefix("vfeat_extractor."): shape for name, shape in shapes("mmaudio_synchformer").items()}
    assert {name: shape for name, shape in published.items() if name not in UNUSED} == own
    assert set(UNUSED) <= published.keys()


def clip_config(stated: dict) -> ClipConfig:
    vision, text = stated["vision"], stated["text"]
    return ClipConfig(
        image=ClipImageConfig(
            input_size=stated.get("input_size", 384),
            size=vision["image_size"],
            patch_size=vision["patch_size"],
            width=vision["width"],
            num_blocks=vision["layers"],
            num_heads=vision["width"] // vision["head_width"],
        ),
        text=ClipTextConfig(
            vocabulary_size=text["vocab_size"],
            num_tokens=text["context_length"],
            width=text["width"],
            num_blocks=text["layers"],
            num_heads=text["heads"],
        ),
        embedding_width=stated["embed_dim"],
    )


@torch.inference_mode()
def test_clip() -> None:
    recording = recorded("clip_tiny")
    config = clip_config(config_of("clip_tiny"))
    published = weights("clip_tiny")
    check_spots(recording, published)
    image, text = ClipImageTower(config).eval(), ClipTextTower(config).eval()
    image_weights, text_weights = from_open_clip(published, config, source="clip_tiny")
    image.load_state_dict(image_weights)
    text.load_state_dict(text_weights)
    frames = recording.given("frames")
    ids = recording.given("text_ids").long()
    for what, made in {
        "image_unnormalized": image.project(frames),
        "image": image(frames),
        "text_tokens_before_l2": text.hidden(ids),
        "text_tokens": text(ids),
    }.items():
        assert_near(f"mmaudio clip_tiny: {what}", made, recording.expected(what), 1e-4)


def test_every_name_of_the_published_clip_is_known() -> None:
    config = clip_config(manifest("mmaudio_clip_vit_h14_378")["config"])
    assert config == ClipConfig()
    entries = {name: torch.zeros(()).expand(shape) for name, shape in shapes("mmaudio_clip_vit_h14_378").items()}
    image, text = from_open_clip(entries, config, source="clip")
    assert {name: tuple(tensor.shape) for name, tensor in image.items()} == shapes_of(lambda: ClipImageTower(config))
    assert {name: tuple(tensor.shape) for name, tensor in text.items()} == shapes_of(lambda: ClipTextTower(config))


def test_clip_tokens() -> None:
    stated = json.loads((root() / FOLDER / "clip_tokens.json").read_text())
    if VOCABULARY not in os.environ:
        pytest.skip(f"{VOCABULARY} does not name CLIP's bpe_simple_vocab_16e6.txt.gz")
    merges = read_merges(Path(os.environ[VOCABULARY]), stated["eot"] + 1)
    tokenizer = ClipTokenizer(merges, num_tokens=stated["context_length"])
    with pytest.warns(UserWarning, match="tokens"):
        ids = tokenizer(stated["texts"])
    assert ids.tolist() == stated["ids"]
