"""The vocoder's recipe runs at debug size, and what it writes is what a converted model takes."""

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.audio.files import write_waveform
from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.codecs.unit_mel_vocoder import UnitMelVocoder, load_vocoder
from foleykit.core.errors import ConfigError, FoleyError
from foleykit.core.types import AudioBatch
from foleykit.recipes.avldm_batches import AudioBatches
from foleykit.recipes.unit_mel_vocoder import (
    SoundBatches,
    VocoderTrainArgs,
    debug,
    objective_of,
    recorded,
    train_vocoder,
    vocoder_128x16k,
)
from foleykit.recipes.world_data import WorldDataArgs, open_world
from foleykit.world.config import WorldConfig


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three sources of rain, of which training gets one or two and the test split one."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    rows = []
    for name in ("drizzle", "shower", "storm"):
        write_waveform(folder / f"{name}.wav", 0.1 * rng.standard_normal((1, 4000), np.float32), 16_000)
        rows.append({"file": f"{name}.wav", "class": "rain", "kind": "bed", "model_training_ok": "yes"})
    fields = ["file", "class", "kind", "model_training_ok", "material", "action", "onsets_s", "author", "licence"]
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*fields, "source_repository", "source_path"], restval="")
        table.writeheader()
        table.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, recordings: Path) -> WorldDataArgs:
    """Return a world of very short videos; skip where it cannot be rendered."""
    if find_spec("mujoco") is None:
        pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'")
    from foleykit.world.stream import make_take

    world = WorldConfig(seconds=2.0, frame_size=(16, 16))
    try:
        make_take(world, seed=0, index=0, split="train")
    except FoleyError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")
    cache = tmp_path_factory.mktemp("cache")
    return WorldDataArgs(cache=cache, num_videos=1, workers=0, world=world, recordings=recordings)


def test_the_recipe_trains_measures_and_writes_a_folder_that_models_take(data: WorldDataArgs, tmp_path: Path) -> None:
    args = VocoderTrainArgs(preset="debug", data=data, output=tmp_path, num_steps=4, checkpoint_every=2)
    folder = train_vocoder(args)
    assert folder == tmp_path / "vocoder-128x16k"
    assert sorted(path.name for path in folder.iterdir()) == [
        "ATTRIBUTION.md",
        "MODEL_CARD.md",
        "vocoder.json",
        "vocoder.safetensors",
    ]
    credits = (folder / "ATTRIBUTION.md").read_text().splitlines()
    assert sum(line.startswith("- ") for line in credits) == len(recorded(data.recordings, "train", 16_000))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    validated = [line for line in lines if "valid/world/log_spectral_distance_db" in line]
    assert [line["step"] for line in validated] == [2, 4]
    assert all(line["valid/griffin_lim/world/log_spectral_distance_db"] > 0 for line in validated)

    vocoder = load_vocoder(folder)
    assert vocoder.config == debug().generator
    mel = UnitMel(UnitMelConfig())
    made = vocoder.sound(mel.natural_log(mel(torch.randn(1, 8000).clamp(-1, 1))))
    assert made.shape == (1, 1, 32 * 256)
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| this vocoder |" in card and "Griffin-Lim" in card and "ATTRIBUTION" in card
    assert [line["step"] for line in lines if "judging" in line] == [3, 4]

    # A second call finds the run finished and writes the same folder.
    weights = (folder / "vocoder.safetensors").read_bytes()
    assert train_vocoder(args) == folder and (folder / "vocoder.safetensors").read_bytes() == weights

    pytest.importorskip("diffusers")
    from foleykit.jobs.convert import ConvertRequest, with_vocoder

    request = ConvertRequest(
        output=tmp_path / "model", video=tmp_path / "av.pth", latent_model=tmp_path / "epoch.ckpt", vocoder=folder
    )
    (tmp_path / "model").mkdir()
    config, num_tensors = with_vocoder(request, tmp_path / "model")
    assert config.vocoder == "istft" and config.istft == vocoder.config
    assert num_tensors == len(vocoder.state_dict())


def test_crops_of_recordings_are_drawn_by_step_and_stay_in_range(data: WorldDataArgs, recordings: Path) -> None:
    train, test = (recorded(recordings, split, 16_000) for split in ("train", "test"))
    assert len(train) + len(test) <= 3 and train and test
    assert not any(np.array_equal(one, other) for one in train for other in test)
    world = AudioBatches(videos=open_world(data, "train"), num_samples=6000, batch_size=6, device="cpu")
    alone = SoundBatches(world=world, recordings=train, recording_share=0.0)
    mixed = SoundBatches(world=world, recordings=train, recording_share=1.0)
    assert torch.equal(alone(3).waveform, world(3).waveform)
    assert torch.equal(mixed(3).waveform, mixed(3).waveform) and not torch.equal(mixed(3).waveform, mixed(4).waveform)
    # A recording of 4000 samples in a crop of 6000 leaves silence around it.
    assert ((mixed(3).waveform == 0).sum(dim=1) >= 2000).all() and mixed(3).waveform.abs().max() <= 1


def test_mel_and_crop_are_of_the_same_moment() -> None:
    """The mel of a crop with margins is the middle of the mel of the whole sound: nothing in it is mirrored."""
    sizes = debug()
    objective = objective_of(sizes, seed=0)
    margin, hop = objective.margin, objective.mel.config.hop_length
    whole = torch.randn(1, 64 * hop).clamp(-3, 3) / 4
    start = 20 * hop
    crop = AudioBatch(waveform=whole[:, start - margin : start + 8 * hop + margin])
    assert torch.equal(objective.reference(crop), whole[:, start : start + 8 * hop])
    expected = objective.mel.natural_log(objective.mel(whole))[..., 20:29]
    torch.testing.assert_close(objective.log_mel(crop), expected, atol=1e-4, rtol=1e-4)


def test_the_shipped_size_is_at_most_six_megabytes() -> None:
    vocoder = UnitMelVocoder(vocoder_128x16k().generator)
    assert 2 * sum(parameter.numel() for parameter in vocoder.parameters()) <= 6e6


def test_shares_are_shares(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        VocoderTrainArgs(data=WorldDataArgs(cache=tmp_path), output=tmp_path, solo_share=1.5)
