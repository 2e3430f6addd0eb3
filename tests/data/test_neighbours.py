from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.core.errors import ConfigError, InputError
from foleykit.data.manifest import ClipRecord
from foleykit.data.neighbours import (
    APART,
    REFERENCE,
    Apart,
    NearestRows,
    NeighbourAmbient,
    NoAmbient,
    nearest_rows,
    neighbours,
    plan_ambient,
)

quarters = st.integers(0, 240).map(lambda count: count / 4)
starts = st.lists(st.tuples(st.sampled_from("ab"), quarters), min_size=1, max_size=20)


def clips(places: list[tuple[str, float]]) -> list[ClipRecord]:
    return [
        ClipRecord(clip_id=f"c{index}", video_id=video, path=f"{video}.mp4", start=start, end=start + 3)
        for index, (video, start) in enumerate(places)
    ]


@given(places=starts, gap=quarters, limit=st.integers(60, 90), count=st.integers(1, 4))
def test_neighbours_that_keep_apart_never_overlap(places, gap, limit, count):
    records = clips(places)
    rule = Apart(num_each_side=count, min_gap_seconds=gap, max_gap_seconds=limit)
    for record, found in zip(records, neighbours(records, rule), strict=True):
        others = [records[index] for index in found]
        assert len(set(found)) == len(found) <= 2 * count
        for other in others:
            assert other.video_id == record.video_id and not other.overlaps(record)
            distance = max(other.start - record.end, record.start - other.end)
            assert gap <= distance <= limit
        # Nobody nearer on the same side was passed over.
        after = [other for other in records if other.video_id == record.video_id and other.start - record.end >= gap]
        taken = [other for other in others if other.start > record.start]
        nearest = sorted(other.start for other in after if other.start - record.end <= limit)[: len(taken)]
        assert sorted(other.start for other in taken) == pytest.approx(nearest)


def test_published_rule_counts_rows_and_forgets_row_zero():
    found = nearest_rows(["a", "a", "a", "a", "b", "a"], NearestRows(left=2, right=2))
    assert found == ((1, 2), (2, 3), (1, 3), (2, 1, 5), (), (3,))


def test_published_rule_overlaps_and_ours_does_not():
    records = clips([("a", 0.0), ("a", 1.0), ("a", 4.6), ("a", 20.0)])
    assert neighbours(records, NearestRows())[0] == (1, 2, 3)
    assert neighbours(records, Apart())[0] == (2, 3)


def test_forgetting_the_condition_is_an_error():
    with pytest.raises(TypeError):
        NeighbourAmbient()
    with pytest.raises(TypeError):
        NeighbourAmbient(rule=Apart(), fallback="skip")
    with pytest.raises(ConfigError, match=r"NoAmbient\(\)"):
        NeighbourAmbient(rule=Apart(), fallback="skip", probability=0.0)
    with pytest.raises(TypeError):
        plan_ambient(clips([("a", 0.0)]))


def test_each_fallback_does_what_it_says():
    records = clips([("a", 0.0), ("a", 10.0), ("b", 0.0)])
    skipped = plan_ambient(records, APART)
    assert skipped.usable == (0, 1) and skipped.num_without == 1
    zeros = plan_ambient(records, REFERENCE)
    assert zeros.usable == (0, 1, 2)
    assert zeros.draw(2, np.random.default_rng(0)).kind == "zeros"
    quietest = NeighbourAmbient(rule=Apart(), fallback="quietest", probability=1.0)
    plan = plan_ambient(records, quietest, levels_db=[-20.0, -60.0, -90.0])
    assert plan.candidates[2] == (1,)
    with pytest.raises(InputError, match="level of every clip"):
        plan_ambient(records, quietest)
    with pytest.raises(InputError, match="none of 1 clips has a neighbour"):
        plan_ambient(records[:1], APART)


def test_draws_are_uniform_reproducible_and_as_likely_as_stated():
    records = clips([("a", 10.0 * index) for index in range(7)])
    plan = plan_ambient(records, NeighbourAmbient(rule=Apart(), fallback="skip", probability=0.75))
    drawn = [plan.draw(3, np.random.default_rng([0, step])) for step in range(4000)]
    assert drawn == [plan.draw(3, np.random.default_rng([0, step])) for step in range(4000)]
    kept = [choice.index for choice in drawn if choice.kind == "neighbour"]
    assert len(kept) / len(drawn) == pytest.approx(0.75, abs=0.03)
    counts = np.bincount([index for index in kept if index is not None], minlength=7)
    assert counts[3] == 0
    assert counts[[0, 1, 2, 4, 5, 6]] / len(kept) == pytest.approx([1 / 6] * 6, abs=0.03)
    assert plan_ambient(records, NoAmbient()).draw(0, np.random.default_rng(0)).kind == "none"
