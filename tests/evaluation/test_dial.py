"""A dial that follows scores 1, one that is stuck or reversed does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from foleykit.audio.files import write_waveform
from foleykit.core.errors import InputError
from foleykit.evaluation.clips import cut_clips, write_reference
from foleykit.evaluation.dial import ALL_LEVELS, evaluate_dial
from foleykit.world.types import LongVideo


def dial(folder: Path, drawn_video: Callable[..., LongVideo], gain_db: Callable[[float], float]) -> dict[float, Path]:
    """Write a reference and, for four asked levels, its action with the ambience at `gain_db` of the level."""
    clips = [clip for seed in range(2) for clip in cut_clips(drawn_video(seed), f"v{seed}", seconds=4.0)]
    write_reference(folder / "reference", clips)
    levels = {level: folder / f"{level}" for level in (-60.0, -50.0, -40.0, -30.0)}
    for level, target in levels.items():
        target.mkdir()
        for info, audio in clips:
            sound = audio.action + 10 ** (gain_db(level) / 20) * audio.ambient
            write_waveform(target / f"{info.clip_id}.wav", sound, audio.sample_rate)
    return levels


def test_a_dial_that_follows_rises(tmp_path: Path, drawn_video: Callable[..., LongVideo]) -> None:
    levels = dial(tmp_path, drawn_video, lambda level: level + 45)
    report = evaluate_dial(tmp_path / "reference", levels, num_resamples=50)
    assert report.row(ALL_LEVELS).estimates["dial_spearman"].value == pytest.approx(1)
    assert report.protocol["is_strictly_rising"] and report.protocol["share_of_clips_rising"] == 1
    for level in (-50, -40, -30):
        assert report.row(f"{level} dBFS").estimates["gap_level_db"].value == pytest.approx(level, abs=2)


def test_a_reversed_dial_falls(tmp_path: Path, drawn_video: Callable[..., LongVideo]) -> None:
    levels = dial(tmp_path, drawn_video, lambda level: -45 - level)
    report = evaluate_dial(tmp_path / "reference", levels, num_resamples=50)
    assert report.row(ALL_LEVELS).estimates["dial_spearman"].value == pytest.approx(-1)
    assert not report.protocol["is_strictly_rising"]
    with pytest.raises(InputError, match="three levels"):
        evaluate_dial(tmp_path / "reference", {-60.0: tmp_path, -50.0: tmp_path})


def test_a_dial_without_effect_scores_zero(tmp_path: Path, drawn_video: Callable[..., LongVideo]) -> None:
    levels = dial(tmp_path, drawn_video, lambda level: -200.0)
    report = evaluate_dial(tmp_path / "reference", levels, num_resamples=20)
    assert report.row(ALL_LEVELS).estimates["dial_spearman"].value == 0
