"""Whether one system is better than another on the same clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError

Figure = Callable[[NDArray[np.float64]], float]
"""Values of clips (N, K) to one figure, such as the mean of a column or F1 of summed counts."""


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """First minus second system."""

    difference: float
    low: float
    """95 % interval of the difference over clips."""
    high: float
    p_value: float
    """Probability of a difference at least as large when it does not matter which system made which sound."""
    num_clips: int


def paired_difference(
    figure: Figure,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    seed: int = 0,
    num_resamples: int = 1000,
) -> PairedDifference:
    """Return the difference of two systems' figures on the same clips, both (N, K), with interval and p-value.

    The interval redraws clips, each with both its values (paired percentile bootstrap). The p-value is of a two-sided
    permutation test that exchanges the two systems' values within random clips; it is at least 1 / (resamples + 1).
    Raises InputError when the shapes differ or there are fewer than two clips.
    """
    if first.ndim != 2 or first.shape != second.shape or len(first) < 2:
        raise InputError(f"two systems need values (N, K) of the same clips, got {first.shape} and {second.shape}")
    generator = np.random.default_rng(seed)
    num_clips = len(first)
    observed = figure(first) - figure(second)
    redrawn, exchanged = [], []
    for _ in range(num_resamples):
        clips = generator.integers(num_clips, size=num_clips)
        redrawn.append(figure(first[clips]) - figure(second[clips]))
        swap = generator.random(num_clips)[:, None] < 0.5
        exchanged.append(figure(np.where(swap, second, first)) - figure(np.where(swap, first, second)))
    low, high = np.percentile(redrawn, [2.5, 97.5])
    # Rounding must not make an exchange that changes nothing look smaller than what was observed.
    num_as_large = int((np.abs(exchanged) >= abs(observed) - 1e-12).sum())
    return PairedDifference(
        difference=float(observed),
        low=float(low),
        high=float(high),
        p_value=(1 + num_as_large) / (1 + num_resamples),
        num_clips=num_clips,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's method, in the same order, at most 1."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for position, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = largest
    return adjusted
