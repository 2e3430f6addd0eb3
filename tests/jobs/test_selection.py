"""What is wrong with a take, and which of several is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures.foley import RATE, hits
from foleykit.audio.files import read_waveform
from foleykit.core.errors import UsageError
from foleykit.evaluation.sync_network import SyncNetwork
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.judge import Judge
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.selection import Verdict, faults_of, select
from foleykit.jobs.sidecar import read_sidecar
from foleykit.jobs.soundtrack import Settings
from foleykit.video.probe import probe

SOUND = hits()[0]


@pytest.fixture(scope="module")
def pipeline(debug_model: Path) -> FoleyPipeline:
    return load(debug_model)


@pytest.mark.parametrize("gain", [0.01, 1.0, 4.0])
def test_a_sound_without_faults_has_none_at_any_level(gain: float) -> None:
    assert faults_of(gain * SOUND, RATE) == ()


def test_every_fault_is_named() -> None:
    holed = SOUND.copy()
    holed[RATE : 2 * RATE] = 0
    assert faults_of(np.zeros(RATE, np.float32), RATE) == ("silent",)
    assert faults_of(1e-4 * SOUND / np.abs(SOUND).max(), RATE) == ("silent",)
    assert faults_of(np.clip(20 * SOUND, -1, 1), RATE) == ("clipped",)
    assert faults_of(SOUND + np.float32(0.05), RATE) == ("off centre",)
    assert faults_of(holed, RATE) == ("broken off",)


def test_silence_before_and_after_a_sound_is_no_hole() -> None:
    assert faults_of(np.pad(SOUND, RATE), RATE) == ()


def test_faults_outweigh_timing_and_the_first_of_equals_wins() -> None:
    late, clipped = Verdict(seed=5, sync=0.2), Verdict(seed=6, sync=0.9, faults=("clipped",))
    chosen = select([late, clipped, Verdict(seed=7, sync=0.6), Verdict(seed=8, sync=0.6)])
    assert chosen.seed == 7
    assert chosen.reason.startswith("seed 7 is the best of 4 takes: in time with the pictures at 0.60")
    assert "seed 6: 0.90, clipped" in chosen.reason and "\n" not in chosen.reason
    assert "although clipped" in select([clipped, replace(clipped, seed=7, sync=0.1)]).reason


def test_only_the_best_take_is_written_and_it_equals_a_single_run(
    pipeline: FoleyPipeline, debug_model: Path, clip: Path, tmp_path: Path
) -> None:
    request = GenerateRequest(
        video=clip,
        output=tmp_path / "a.wav",
        model=str(debug_model),
        settings=Settings(seed=3),
        num_takes=3,
        select="best",
    )
    result = generate(request, pipeline=pipeline)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.wav"]
    selection = read_sidecar(tmp_path / "a.json").selection
    assert selection is not None and selection == result.selection
    assert [take.seed for take in selection.takes] == [3, 4, 5]
    scores = {take.seed: take.sync for take in selection.takes}
    assert len(set(scores.values())) == 3 and all(0 <= score <= 1 for score in scores.values())
    assert selection.seed == result.takes[0].seed == max(scores, key=scores.__getitem__)
    assert json.loads(json.dumps(result.to_dict()))["selection"]["reason"] == selection.reason
    chosen = read_waveform(tmp_path / "a.wav")[0]
    single = replace(
        request, output=tmp_path / "b.wav", settings=Settings(seed=selection.seed), num_takes=1, select="all"
    )
    generate(single, pipeline=pipeline)
    np.testing.assert_array_equal(read_waveform(tmp_path / "b.wav")[0], chosen)
    generate(GenerateRequest(replay=tmp_path / "a.json", output=tmp_path / "c.wav"))
    np.testing.assert_array_equal(read_waveform(tmp_path / "c.wav")[0], chosen)
    np.testing.assert_array_equal(pipeline(clip, seed=3, num_takes=3).waveform, chosen)


def test_what_is_too_short_to_score_is_still_chosen_from(
    pipeline: FoleyPipeline, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    video = make_video(seconds=0.5, fps=10)
    result = generate(
        GenerateRequest(video=video, output=tmp_path / "a.wav", num_takes=2, select="best"), pipeline=pipeline
    )
    assert result.selection is not None
    assert (result.selection.seed, result.selection.takes[0].sync) == (0, None)
    assert "too short to be scored" in result.selection.reason


def test_only_a_model_that_saw_the_scene_with_the_judges_encoder_is_not_made_to_look_again(
    pipeline: FoleyPipeline, clip: Path
) -> None:
    network = SyncNetwork.load()
    shipped = load("tiny-avldm")
    shipped.matcher.video = network.encoder
    scene = shipped.look(probe(clip), Settings())
    stages: list[str] = []
    shared = Judge.watching(scene, shipped.model, lambda stage, fraction: stages.append(stage))
    assert stages == []
    sound = SOUND[None, : 2 * RATE]
    again = Judge.watching(scene, pipeline.model, lambda stage, fraction: stages.append(stage))
    assert stages == ["watch", "watch"]
    assert shared(sound, RATE, 0).sync == pytest.approx(again(sound, RATE, 0).sync, abs=1e-4)


def test_one_take_is_no_choice(clip: Path) -> None:
    with pytest.raises(UsageError, match="--num-takes"):
        GenerateRequest(video=clip, select="best")
