"""The recipe of tiny-foleygen at debug size: all stages, a run killed and resumed, a folder that generates."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.codecs.hifigan_discriminators import debug_discriminators
from foleykit.core.checkpoint import load_tensors, save_weights
from foleykit.core.errors import FoleyError, ModelError, UsageError
from foleykit.encoders.visual.steering import OnsetSteering
from foleykit.models.foleygen.pipeline import FoleyGenPipeline
from foleykit.models.foleygen.presets import debug
from foleykit.recipes.avldm_evaluation import (
    WorldSetArgs,
    generate_condition,
    quiet_ambient,
    write_world_reference,
)
from foleykit.recipes.foleygen_batches import CodedVideo, CodesBatches
from foleykit.recipes.foleygen_world import STAGES, FoleyGenTrainArgs, bundle, config_of, train
from foleykit.recipes.world_data import WorldDataArgs
from foleykit.world.config import WorldConfig


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory, debug_model: Path) -> FoleyGenTrainArgs:
    """Return a codec stage on a world of short videos; skip where it cannot be rendered."""
    if find_spec("mujoco") is None:
        pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'")
    from foleykit.world.stream import make_take

    world = WorldConfig(seconds=6.0, frame_size=(32, 32))
    try:
        make_take(world, seed=0, index=0, split="train")
    except FoleyError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")
    cache = tmp_path_factory.mktemp("cache")
    return FoleyGenTrainArgs(
        preset="debug",
        stage="codec",
        data=WorldDataArgs(cache=cache, num_videos=1, workers=0, world=world),
        base=debug_model,
        output=cache / "unused",
        num_steps=4,
        batch_size=2,
        checkpoint_every=2,
        discriminators=debug_discriminators(),
    )


class Killed(Exception):
    pass


def kill_at_three(step: int, loss: float) -> None:
    if step == 3:
        raise Killed


def numbers_of(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "step" in line]


def test_all_stages_train_resume_and_the_bundle_generates(args: FoleyGenTrainArgs, tmp_path: Path) -> None:
    whole, cut = (replace(args, output=tmp_path / name) for name in ("whole", "cut"))
    with pytest.raises(ModelError, match="train the stage"):
        train(replace(whole, stage="lm"))
    with pytest.raises(ModelError, match="train the stage"):
        train(replace(whole, stage="decoder"))
    for stage in STAGES:
        folder = train(replace(whole, stage=stage))
        with pytest.raises(Killed):
            train(replace(cut, stage=stage), on_step=kill_at_three)
        resumed = train(replace(cut, stage=stage))
        one, other = (load_tensors(place / "model.safetensors") for place in (folder, resumed))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
        assert numbers_of(folder) == numbers_of(resumed)

    lines = numbers_of(whole.output / "codec")
    assert {"mel", "spectral", "energy", "commitment", "dead_share"} <= lines[0].keys()
    assert not any("judging" in line for line in lines)
    assert 0 <= lines[-1]["valid/unused_share"] <= 1 and lines[-1]["valid/perplexity_3"] >= 1
    assert "judging" in numbers_of(whole.output / "decoder")[0]
    before, after = (load_tensors(whole.output / stage / "model.safetensors") for stage in ("codec", "decoder"))
    changed = {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed == {"synthesis", "decoder", "vocoder"}
    lines = numbers_of(whole.output / "lm")
    assert {f"cross_entropy_{index}" for index in range(4)} <= lines[0].keys()
    assert lines[0]["perplexity_2"] == pytest.approx(np.exp(lines[0]["cross_entropy_2"]), rel=1e-3)
    assert lines[-1]["valid/loss_other_video"] > 0

    base = shutil.copytree(whole.base, tmp_path / "base")
    save_weights(OnsetSteering(config_of(whole).video.width), base / "steering.safetensors")
    whole = replace(whole, base=base)
    bundle(whole, tmp_path / "model")
    with pytest.raises(UsageError, match="already holds a model"):
        bundle(whole, tmp_path / "model")
    pipeline = FoleyGenPipeline.load(tmp_path / "model")
    assert pipeline.steering is not None
    sound = pipeline([np.zeros((75, 32, 32, 3), np.uint8)], num_samples=48_000, ambient=pipeline.quiet())
    assert sound.shape == (1, 48_000) and np.isfinite(sound).all()

    held_out = WorldSetArgs(data=whole.data, folder=tmp_path / "set", num_clips=1)
    infos = write_world_reference(held_out)
    quiet = generate_condition(held_out, pipeline, "quiet", quiet_ambient(pipeline))
    assert [path.stem for path in quiet.glob("*.wav")] == [info.clip_id for info in infos] != []


def test_each_mechanism_has_its_own_folder_and_rate(args: FoleyGenTrainArgs, tmp_path: Path) -> None:
    run = replace(args, output=tmp_path, num_steps=1)
    train(run)
    for mechanism, rate in (("causal", 1.0), ("frame_wise", 1.0), ("aligned", 25.0)):
        chosen = replace(run, stage="lm", mechanism=mechanism)
        assert config_of(chosen).lm.visual.rate == rate
        assert train(chosen) == tmp_path / f"lm-{mechanism}"


def test_a_base_of_another_size_is_refused(args: FoleyGenTrainArgs, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="another size than that of tiny"):
        train(replace(args, preset="tiny-foleygen", output=tmp_path))
    with pytest.raises(ModelError, match=r"no config\.json"):
        train(replace(args, base=tmp_path / "nothing", output=tmp_path))


@pytest.mark.parametrize("rate", [1.0, 5.0, 25.0])
def test_codes_and_pictures_of_a_window_are_of_the_same_time(rate: float) -> None:
    """Codes and features that state their own time: the first of each window agree, at every rate."""
    config = debug()
    config = replace(config, lm=replace(config.lm, visual=replace(config.lm.visual, rate=rate)))
    video = CodedVideo(
        features=np.repeat(np.arange(100, dtype=np.float16)[:, None], 32, axis=1),
        codes=np.broadcast_to(np.arange(200, dtype=np.int16), (3, 4, 200)),
    )
    batches = CodesBatches(videos=[video], config=config, batch_size=8, device="cpu")
    batch = batches(0)
    assert batch.codes.shape == (8, 4, 100) and batch.video.shape == (8, round(2 * rate), 32)
    assert torch.equal(batch.codes[:, 0, 0], 2 * batch.video[:, 0, 0].long())
    steps = batch.codes[:, 0, :: round(50 / rate)]
    assert torch.equal(steps, 2 * batch.video[:, :, 0].long())
    assert torch.equal(batches(0).codes, batch.codes) and not torch.equal(batches(1).codes, batch.codes)
    assert len(batch.codes[:, 0, 0].unique()) > 1
