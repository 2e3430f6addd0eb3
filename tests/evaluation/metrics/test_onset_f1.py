"""Onset F1: closed forms, bounds, and the matching is the largest there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.onset_f1 import match_onsets, onset_counts, sum_counts

times = st.lists(st.integers(0, 60), max_size=6, unique=True).map(lambda values: sorted(value / 50 for value in values))


def test_a_list_against_itself_is_perfect() -> None:
    counts = onset_counts([0.1, 0.5, 2.0], [0.1, 0.5, 2.0])
    assert (counts.precision, counts.recall, counts.f1) == (1, 1, 1)


def test_closed_form() -> None:
    counts = onset_counts([1.0, 2.0, 3.0, 4.0], [1.05, 2.07, 3.0])
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 4)
    assert counts.f1 == pytest.approx(4 / 7)


def test_exactly_at_the_tolerance_agrees() -> None:
    assert onset_counts([0.3], [0.36]).f1 == 1
    assert onset_counts([0.3], [0.3601]).f1 == 0


def test_one_onset_serves_one_reference() -> None:
    assert match_onsets([1.0, 1.04], [1.02]) == [(0, 0)]


def test_nothing_against_nothing_is_perfect_and_against_something_is_not() -> None:
    assert onset_counts([], []).f1 == 1
    assert onset_counts([1.0], []).f1 == 0
    assert onset_counts([], [1.0]).f1 == 0


def test_ignored_spans_count_neither_way() -> None:
    plain = onset_counts([1.0], [1.0, 2.0, 2.5, 4.0])
    forgiven = onset_counts([1.0], [1.0, 2.0, 2.5, 4.0], ignored_spans=[(2.05, 2.44)])
    assert (plain.num_generated, forgiven.num_generated) == (4, 2)
    assert forgiven.num_matched == plain.num_matched == 1


def test_counts_add_to_the_micro_average() -> None:
    clips = [onset_counts([1.0], [1.0]), onset_counts([1.0, 2.0, 3.0], [9.0])]
    assert sum_counts(clips).f1 == pytest.approx(2 / 6)


@given(times, times)
def test_the_matching_is_the_largest_one_and_symmetric(first: list[float], second: list[float]) -> None:
    pairs = match_onsets(first, second, tolerance=0.05)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(abs(first[i] - second[j]) <= 0.05 + 1e-6 for i, j in pairs)
    assert len(pairs) == len(match_onsets(second, first, tolerance=0.05)) == largest(first, second)


def largest(first: list[float], second: list[float]) -> int:
    """Return the size of the largest matching by augmenting paths."""
    edges = [(i, j) for i, a in enumerate(first) for j, b in enumerate(second) if abs(a - b) <= 0.05 + 1e-6]
    owner: dict[int, int] = {}

    def place(i: int, seen: set[int]) -> bool:
        for a, j in edges:
            if a == i and j not in seen:
                seen.add(j)
                if j not in owner or place(owner[j], seen):
                    owner[j] = i
                    return True
        return False

    return sum(place(i, set()) for i in range(len(first)))


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="sorted"):
        match_onsets([2.0, 1.0], [])
    with pytest.raises(InputError, match="tolerance"):
        match_onsets([1.0], [1.0], tolerance=-1)
    with pytest.raises(InputError, match="at least one clip"):
        sum_counts([])
