"""How far listeners agree beyond chance: Krippendorff's alpha for choices without an order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError


def krippendorff_alpha(counts: NDArray[np.int64], strata: NDArray[np.int64] | None = None) -> float:
    """Return nominal alpha (Krippendorff 2019, section 12) of `counts` (U, V): listeners who gave unit u the value v.

    1 is full agreement, 0 what chance gives; higher is better. NaN where every answer is the same, since chance would
    then agree as well. `strata` (U,) names groups of units whose values are not comparable, such as comparisons between
    other systems: chance is then taken within each group. Units with fewer than two answers are ignored.

    Raises InputError when no unit has two answers.
    """
    counts = np.asarray(counts, np.float64)
    answers = counts.sum(1)
    is_shared = answers >= 2
    if not is_shared.any():
        raise InputError("agreement needs two listeners who answered the same comparison")
    counts, answers = counts[is_shared], answers[is_shared]
    groups = np.zeros(len(counts), np.int64) if strata is None else np.asarray(strata)[is_shared]
    observed = float(((answers**2 - (counts**2).sum(1)) / (answers - 1)).sum())
    expected = 0.0
    for group in np.unique(groups):
        values = counts[groups == group].sum(0)
        total = values.sum()
        expected += float((total**2 - (values**2).sum()) / (total - 1))
    return 1 - observed / expected if expected else float("nan")


def observed_agreement(counts: NDArray[np.int64]) -> float:
    """Return the share of pairs of listeners who gave a unit the same value, of all pairs; `counts` is (U, V).

    Raises InputError when no unit has two answers.
    """
    counts = np.asarray(counts, np.float64)
    answers = counts.sum(1)
    num_pairs = float((answers * (answers - 1)).sum())
    if not num_pairs:
        raise InputError("agreement needs two listeners who answered the same comparison")
    return float((counts * (counts - 1)).sum()) / num_pairs
