"""How much a figure would move with other clips: bootstrap over clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    num_clips: int
    """Clips that the figure rests on."""


def bootstrap_percentile(
    statistic: Callable[[NDArray[np.int64]], float], num_clips: int, *, seed: int = 0, num_resamples: int = 1000
) -> Estimate:
    """Return `statistic` of all clips with the middle 95 % of its values on clips redrawn with replacement.

    `statistic` takes clip indices (num_clips,), in which a clip may occur several times: a micro-averaged figure sums
    the counts of those clips. Raises InputError for fewer than two clips, which say nothing about other clips.
    """
    draws = _resample(statistic, num_clips, seed, num_resamples)
    low, high = np.percentile(draws, [2.5, 97.5])
    value = statistic(np.arange(num_clips))
    return Estimate(value=float(value), low=float(low), high=float(high), num_clips=num_clips)


def bootstrap_normal(
    statistic: Callable[[NDArray[np.int64]], float], num_clips: int, *, seed: int = 0, num_resamples: int = 100
) -> Estimate:
    """Return `statistic` of all clips, plus and minus 1.96 standard deviations of its values on redrawn clips.

    For statistics such as a Fréchet distance, which repeated clips push to one side so that percentiles would lie
    beside the figure. Raises InputError for fewer than two clips.
    """
    reach = 1.96 * float(np.std(_resample(statistic, num_clips, seed, num_resamples), ddof=1))
    value = float(statistic(np.arange(num_clips)))
    return Estimate(value=value, low=value - reach, high=value + reach, num_clips=num_clips)


def _resample(
    statistic: Callable[[NDArray[np.int64]], float], num_clips: int, seed: int, num_resamples: int
) -> NDArray[np.float64]:
    if num_clips < 2:
        raise InputError(f"an interval over clips needs at least two clips, got {num_clips}")
    generator = np.random.default_rng(seed)
    return np.array([statistic(generator.integers(num_clips, size=num_clips)) for _ in range(num_resamples)])
