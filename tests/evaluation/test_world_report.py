"""Scores on the world: the truth scores its ideal, chance does not, silence and noise score what they must."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import write_waveform
from foleykit.core.errors import InputError, MediaError
from foleykit.evaluation.clips import ClipInfo, cut_clips, read_clip, write_reference
from foleykit.evaluation.material_classifier import MaterialClassifier, MaterialClassifierConfig
from foleykit.evaluation.report import Report
from foleykit.evaluation.world import (
    NEIGHBOUR,
    SHUFFLED,
    TRUE_ACTION,
    TRUE_MIX,
    WorldProtocol,
    evaluate_world,
)
from foleykit.world.types import LongVideo

QUICK = WorldProtocol(num_resamples=50)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, drawn_video: Callable[..., LongVideo]) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    clips = [
        clip
        for seed in range(8)
        for clip in cut_clips(drawn_video(seed, ambient_level_db=-50 + 2.0 * seed), f"v{seed}", seconds=4.0)
    ]
    write_reference(folder, clips)
    return folder


@pytest.fixture(scope="module")
def report(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    def generated(name: str, sound: Callable[[ClipInfo], np.ndarray]) -> Path:
        folder = tmp_path_factory.mktemp(name)
        for info in infos:
            write_waveform(folder / f"{info.clip_id}.wav", sound(info), 16_000)
        return folder

    from foleykit.evaluation.clips import read_manifest

    infos = read_manifest(reference)
    conditions = {
        "late": generated("late", lambda info: np.roll(read_clip(reference, info).action, 4000)),
        "silent": generated("silent", lambda info: np.zeros(64_000, np.float32)),
        "louder room": generated(
            "louder",
            lambda info: read_clip(reference, info).action + 2 * read_clip(reference, info).ambient,
        ),
    }
    classifier = MaterialClassifier(MaterialClassifierConfig(channels=(4, 4), embedding_width=8)).eval()
    return evaluate_world(reference, conditions, classifier=classifier, protocol=QUICK)


def value(report: Report, name: str, key: str) -> float:
    return report.row(name).estimates[key].value


def test_the_true_action_stem_is_nearly_perfect(report: Report) -> None:
    assert value(report, TRUE_ACTION, "onset_f1") >= 0.97
    assert value(report, TRUE_ACTION, "envelope_correlation") == pytest.approx(1)
    assert value(report, TRUE_ACTION, "frechet_action") == pytest.approx(0, abs=1e-4)


def test_the_true_mix_has_the_true_ambience(report: Report) -> None:
    assert value(report, TRUE_MIX, "gap_bias_db") == pytest.approx(0, abs=0.3)
    assert value(report, TRUE_MIX, "gap_mean_absolute_db") == pytest.approx(0, abs=0.3)
    assert value(report, TRUE_MIX, "frechet_mix") == pytest.approx(0, abs=1e-4)
    assert value(report, TRUE_MIX, "onset_f1") > 0.8


@pytest.mark.parametrize("name", [SHUFFLED, NEIGHBOUR, "late"])
def test_sound_of_another_moment_is_at_chance(report: Report, name: str) -> None:
    row = report.row(name).estimates
    assert row["onset_f1"].value < 0.5
    assert row["envelope_correlation"].value < 0.4


def test_every_row_carries_its_own_shuffled_pairs(report: Report) -> None:
    assert value(report, TRUE_ACTION, "onset_f1_shuffled") < 0.5
    assert value(report, TRUE_ACTION, "envelope_correlation_shuffled") < 0.4


def test_twice_the_room_is_six_decibels(report: Report) -> None:
    assert value(report, "louder room", "gap_bias_db") == pytest.approx(6.02, abs=0.3)
    assert value(report, "louder room", "gap_reduction_db") == pytest.approx(-6.02, abs=0.3)
    assert value(report, "louder room", "frechet_mix") > value(report, TRUE_MIX, "frechet_mix")


def test_silence_finds_nothing_and_removes_all_ambience(report: Report) -> None:
    assert value(report, "silent", "onset_f1") == 0
    assert value(report, "silent", "envelope_correlation") == 0
    # -80 dBFS stands for silence; the scenes lie at -50 to -36 dBFS.
    assert value(report, "silent", "gap_reduction_db") == pytest.approx(80 - 43, abs=1.5)


def test_intervals_hold_their_figures(report: Report) -> None:
    for row in report.rows:
        for estimate in row.estimates.values():
            assert estimate.low <= estimate.value + 1e-9 and estimate.value <= estimate.high + 1e-9


def test_the_protocol_names_data_and_thresholds(report: Report) -> None:
    assert report.protocol["num_clips"] == 16 and report.protocol["num_videos"] == 8
    assert len(report.protocol["manifest_sha256"]) == 64
    assert set(report.protocol["thresholds"]) == {row.name for row in report.rows}


def test_a_report_is_json_and_a_table(report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report.save(tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["rows"][0]["onset_f1"]["value"] == value(report, TRUE_ACTION, "onset_f1")
    lines = report.to_markdown().splitlines()
    assert len(lines) == 2 + len(report.rows) and len({line.count("|") for line in lines}) == 1
    report.print()
    assert "late" in capsys.readouterr().out
    with pytest.raises(KeyError):
        report.row("nobody")


def test_the_same_protocol_gives_the_same_report(tmp_path: Path, drawn_video: Callable[..., LongVideo]) -> None:
    write_reference(
        tmp_path, [clip for seed in range(2) for clip in cut_clips(drawn_video(seed), f"v{seed}", seconds=4.0)]
    )
    first, second = (evaluate_world(tmp_path, {}, classifier=None, protocol=QUICK) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert "material_accuracy" not in first.row(TRUE_ACTION).estimates


def test_missing_sound_and_taken_names_are_refused(reference: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        evaluate_world(reference, {"mine": tmp_path}, classifier=None, protocol=QUICK)
    with pytest.raises(InputError, match="must not be named"):
        evaluate_world(reference, {TRUE_MIX: tmp_path}, classifier=None, protocol=QUICK)


def test_clips_of_one_video_only_are_refused(tmp_path: Path, drawn_video: Callable[..., LongVideo]) -> None:
    write_reference(tmp_path, cut_clips(drawn_video(0), "v", seconds=4.0))
    with pytest.raises(InputError, match="two long videos"):
        evaluate_world(tmp_path, {}, classifier=None, protocol=replace(QUICK, seed=1))
