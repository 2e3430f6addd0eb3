"""How far levels are from the levels they should have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from foleykit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class LevelError:
    """Generated minus reference levels over many clips, in dB; each is best at 0."""

    bias_db: float
    """Mean difference; positive when the generated sound is too loud."""
    mean_absolute_db: float
    median_absolute_db: float


def level_error(reference_db: ArrayLike, generated_db: ArrayLike) -> LevelError:
    """Return the differences of levels (N,), one pair per clip. Raises InputError without clips or when N differs."""
    first, second = np.asarray(reference_db, np.float64), np.asarray(generated_db, np.float64)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise InputError(f"level errors need equally many levels, at least one; got {first.shape} and {second.shape}")
    difference = second - first
    return LevelError(
        bias_db=float(difference.mean()),
        mean_absolute_db=float(np.abs(difference).mean()),
        median_absolute_db=float(np.median(np.abs(difference))),
    )
