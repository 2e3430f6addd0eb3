"""Ranking systems on the same clips: the order that was built in, and what must not be compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.test_media import ONSET, RATE, hits, write_set
from foleykit.audio.files import write_waveform
from foleykit.core.errors import MediaError, UsageError
from foleykit.evaluation.compare import System, compare_systems, read_system, system_of
from foleykit.evaluation.media import evaluate_media
from foleykit.evaluation.metrics import ONSET_F1, SYNC
from foleykit.evaluation.protocols import MediaProtocol

NUM = 10


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("compare") / "reference", num=NUM)


@pytest.fixture(scope="module")
def systems(reference: Path) -> dict[str, System]:
    """Return three systems: 10 ms late, 50 ms late, and of other clips."""
    folder = reference.parent
    write_set(folder / "late", shift_ms=10, num=NUM)
    write_set(folder / "later", shift_ms=50, num=NUM)
    write_set(folder / "chance", first_seed=100, num=NUM)
    result = {}
    for name in ("chance", "later", "late"):
        report = evaluate_media(folder / name, reference, protocol=ONSET)
        report.save(folder / "reports" / name)
        result[name] = read_system(name, folder / "reports" / name)
        again = system_of(name, report)
        assert again.clip_ids == result[name].clip_ids
        for key, column in again.columns.items():
            np.testing.assert_array_equal(column, result[name].columns[key])
    return result


def test_systems_are_ranked_and_equal_ones_share_a_rank(systems: dict[str, System]) -> None:
    comparison = compare_systems(list(systems.values()), num_resamples=400)
    assert [row.name for row in comparison.table.rows] == ["late", "later", "chance"]
    assert [comparison.rank(SYNC, name) for name in ("late", "later", "chance")] == [1, 2, 3]
    # Both are inside the tolerance, so their onsets agree about equally well.
    assert [comparison.rank(ONSET_F1, name) for name in ("late", "later", "chance")] == [1, 1, 3]
    values = comparison.to_json()
    contest = next(e for e in values["contests"] if e["metric"] == "sync_score" and e["second"] == "late")
    assert contest["winner"] == "late" and contest["p_adjusted"] < 0.05 and contest["num_clips"] == NUM
    assert "1. " in comparison.to_markdown() and "mean rank" in comparison.to_markdown()


def test_a_system_against_itself_is_a_tie(systems: dict[str, System]) -> None:
    from dataclasses import replace

    twin = replace(systems["late"], name="twin")
    comparison = compare_systems([systems["late"], twin], num_resamples=50)
    assert comparison.mean_rank("late") == comparison.mean_rank("twin") == 1
    assert all(entry.found.p_value == 1 for entry in comparison.contests)


def test_differing_clips_are_refused_or_named(systems: dict[str, System], reference: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "fewer", num=NUM - 2)
    fewer = system_of("fewer", evaluate_media(folder, reference, protocol=ONSET))
    with pytest.raises(MediaError, match=r"fewer has no score for 2 clips that another system has \(clip8, clip9\)"):
        compare_systems([systems["late"], fewer])
    comparison = compare_systems([systems["late"], fewer], is_partial=True, num_resamples=50)
    assert comparison.table.protocol["num_clips"] == NUM - 2
    assert comparison.left_out == {"late": [], "fewer": ["clip8", "clip9"]}
    assert "2 clips left out, fewer lacks them" in comparison.to_markdown()


def test_other_references_and_protocols_are_refused(
    systems: dict[str, System], reference: Path, tmp_path: Path
) -> None:
    changed = shutil.copytree(reference, tmp_path / "reference")
    other = evaluate_media(reference, reference, protocol=MediaProtocol(name="onset", num_resamples=51))
    with pytest.raises(UsageError, match="different protocols"):
        compare_systems([systems["late"], system_of("other", other)])
    write_waveform(changed / "clip3.wav", hits(77), RATE)
    moved = system_of("moved", evaluate_media(reference, changed, protocol=ONSET))
    with pytest.raises(MediaError, match="clip3: the systems were scored against different reference files"):
        compare_systems([systems["late"], moved])
    with pytest.raises(UsageError, match="two systems or more"):
        compare_systems([systems["late"]])


@pytest.mark.parametrize("write", [lambda path: None, lambda path: path.write_text('{"clips": 3}')])
def test_what_is_no_report_is_refused(write: Callable[[Path], object], tmp_path: Path) -> None:
    write(tmp_path / "report.json")
    with pytest.raises(MediaError, match="report"):
        read_system("a", tmp_path)
