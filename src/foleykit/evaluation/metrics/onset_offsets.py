"""How early or late generated onsets are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.onset_f1 import match_onsets


@dataclass(frozen=True, kw_only=True)
class OffsetSummary:
    """A distribution of offsets in seconds; each is best at 0."""

    num_offsets: int
    median: float
    """Positive when the generated sound is late."""
    mean_absolute: float
    share_late: float
    """Share of offsets above 0; 0.5 when early and late ones are equally many."""


def onset_offsets(reference: ArrayLike, generated: ArrayLike, *, tolerance: float = 0.06) -> NDArray[np.float64]:
    """Return generated minus reference time in seconds (N,) of the onsets that match; nearer 0 is better.

    Both lists (M,) are sorted seconds. Only onsets at most `tolerance` apart match, so offsets are never larger, and
    those of unrelated sounds spread evenly over that range.
    """
    first, second = np.asarray(reference, np.float64), np.asarray(generated, np.float64)
    pairs = match_onsets(first, second, tolerance=tolerance)
    return np.array([second[j] - first[i] for i, j in pairs], np.float64)


def summarise_offsets(offsets: ArrayLike) -> OffsetSummary:
    """Return median, mean absolute value and share of late ones of offsets (N,). Raises InputError without offsets."""
    values = np.asarray(offsets, np.float64)
    if values.ndim != 1 or not len(values):
        raise InputError("offsets are summarised of at least one pair of onsets that match")
    late, level = (values > 0).mean(), (values == 0).mean()
    return OffsetSummary(
        num_offsets=len(values),
        median=float(np.median(values)),
        mean_absolute=float(np.abs(values).mean()),
        share_late=float(late + level / 2),
    )
