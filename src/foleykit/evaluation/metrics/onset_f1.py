"""Agreement of two lists of onset times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foleykit.core.errors import InputError

SLACK = 1e-9
"""Seconds that keep an onset exactly at the tolerance inside it despite rounding."""


@dataclass(frozen=True, kw_only=True)
class OnsetCounts:
    """How two lists of onsets agree; the counts of several clips add up."""

    num_matched: int
    num_reference: int
    num_generated: int

    def __add__(self, other: OnsetCounts) -> OnsetCounts:
        return OnsetCounts(
            num_matched=self.num_matched + other.num_matched,
            num_reference=self.num_reference + other.num_reference,
            num_generated=self.num_generated + other.num_generated,
        )

    @property
    def precision(self) -> float:
        """Share of generated onsets that are right; 1 when none was generated."""
        return self.num_matched / self.num_generated if self.num_generated else 1.0

    @property
    def recall(self) -> float:
        """Share of reference onsets that were found; 1 when there are none."""
        return self.num_matched / self.num_reference if self.num_reference else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]; higher is better; 1 when both lists are empty."""
        total = self.num_reference + self.num_generated
        return 2 * self.num_matched / total if total else 1.0


def match_onsets(reference: ArrayLike, generated: ArrayLike, *, tolerance: float = 0.06) -> list[tuple[int, int]]:
    """Return the largest one-to-one matching of two onset lists (N,) as index pairs (reference, generated).

    Two onsets may match when they lie at most `tolerance` seconds apart. On a line, pairing each reference with the
    earliest onset that is still free, in order of time, is a maximum matching. Raises InputError when a list is
    unsorted or not one-dimensional, or the tolerance is negative.
    """
    first, second = _checked(reference, "reference"), _checked(generated, "generated")
    if tolerance < 0:
        raise InputError(f"the tolerance must not be negative, got {tolerance:g} s")
    pairs = []
    i = j = 0
    while i < len(first) and j < len(second):
        if second[j] < first[i] - tolerance - SLACK:
            j += 1
        elif second[j] > first[i] + tolerance + SLACK:
            i += 1
        else:
            pairs.append((i, j))
            i, j = i + 1, j + 1
    return pairs


def onset_counts(
    reference: ArrayLike, generated: ArrayLike, *, tolerance: float = 0.06, ignored_spans: ArrayLike = ()
) -> OnsetCounts:
    """Return the counts behind precision, recall and F1 of one clip; times (N,) in seconds, sorted.

    A generated onset that matches no reference counts neither for nor against when it lies, within the tolerance, in
    one of the `ignored_spans` (M, 2) of start and end.
    """
    matched = match_onsets(reference, generated, tolerance=tolerance)
    free = np.delete(_checked(generated, "generated"), [j for _, j in matched])
    spans = np.asarray(ignored_spans, np.float64).reshape(-1, 2)
    is_ignored = (free >= spans[:, :1] - tolerance - SLACK) & (free <= spans[:, 1:] + tolerance + SLACK)
    return OnsetCounts(
        num_matched=len(matched),
        num_reference=len(np.asarray(reference)),
        num_generated=len(matched) + int((~is_ignored.any(axis=0)).sum()),
    )


def sum_counts(counts: Iterable[OnsetCounts]) -> OnsetCounts:
    """Return the sum over clips, whose F1 is the micro-average. Raises InputError when there is no clip."""
    clips: Sequence[OnsetCounts] = list(counts)
    if not clips:
        raise InputError("onset F1 needs at least one clip")
    total = clips[0]
    for clip in clips[1:]:
        total = total + clip
    return total


def _checked(times: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(times, dtype=np.float64)
    if array.ndim != 1 or (np.diff(array) < 0).any():
        raise InputError(f"the {name} onsets must be one sorted list of seconds")
    return array
