"""Whether one quantity rises whenever another does."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foleykit.core.errors import InputError


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation of two lists (N,), in [-1, 1]; 1 when they rise together. Ties share ranks.

    Raises InputError when the lengths differ, there are fewer than three values, or one list is constant.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 3:
        raise InputError(f"a rank correlation needs two lists of at least 3 values, got {a.shape} and {b.shape}")
    a, b = _ranks(a), _ranks(b)
    a, b = a - a.mean(), b - b.mean()
    if not a.any() or not b.any():
        raise InputError("a rank correlation needs values that differ, one list is constant")
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, position, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[position]
