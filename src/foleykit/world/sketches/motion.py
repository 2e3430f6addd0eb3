"""How points move: one eased way after another, and smooth chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

Ease = Literal["even", "minimum jerk", "speeding up", "slowing down", "sine"]
Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Way:
    start: float
    end: float
    origin: Values
    goal: Values
    ease: Ease
    power: float

    def at(self, times: Values) -> Values:
        share = np.clip((times - self.start) / max(self.end - self.start, 1e-6), 0, 1)
        return self.origin + (self.goal - self.origin) * eased(share, self.ease, self.power)[:, None]


def eased(share: Values, ease: Ease, power: float = 2.0) -> Values:
    """Return how much of a way is done (N,) after each share (N,) of its time, both 0 to 1.

    "speeding up" goes with that power of the share and arrives at full speed, as a blow does; "slowing down" is its
    mirror image; "minimum jerk" is how a hand reaches (Flash and Hogan 1985).
    """
    match ease:
        case "even":
            return share
        case "minimum jerk":
            return share**3 * (10 - 15 * share + 6 * share**2)
        case "speeding up":
            return share**power
        case "slowing down":
            return 1 - (1 - share) ** power
        case "sine":
            return 0.5 - 0.5 * np.cos(np.pi * share)
        case _:
            assert_never(ease)


@dataclass(kw_only=True)
class Course:
    """Where a point (2,) goes, in pixels and seconds; grows at its end."""

    time: float
    point: Values
    _ways: list[_Way] = field(default_factory=list)

    def go(self, goal: Values, seconds: float, ease: Ease, power: float = 2.0) -> None:
        end = self.time + seconds
        self._ways.append(_Way(start=self.time, end=end, origin=self.point, goal=goal, ease=ease, power=power))
        self.time, self.point = end, goal

    def stay(self, seconds: float) -> None:
        self.go(self.point, seconds, "even")

    def at(self, times: Values) -> Values:
        """Return the points (N, 2) at `times` (N,)."""
        points = np.repeat(self.point[None], len(times), axis=0)
        for way in reversed(self._ways):
            earlier = times <= way.end
            points[earlier] = way.at(times[earlier])
        return points


def wander(rng: np.random.Generator, times: Values, rate: float, size: float) -> Values:
    """Return values (N,) at `times` (N,): drawn `rate` times a second, with `size` as deviation, and eased between."""
    first, last = float(times.min()), float(times.max())
    knots = rng.normal(0, size, max(4, int((last - first) * rate) + 4))
    place = (times - first) / max(last - first, 1e-6) * (len(knots) - 1)
    index = np.clip(place.astype(int), 0, len(knots) - 2)
    share = place - index
    return knots[index] + (knots[index + 1] - knots[index]) * share**2 * (3 - 2 * share)


def direction(angle: float) -> Values:
    """Return the unit vector (2,) of an angle, right and down."""
    return np.array([np.cos(angle), np.sin(angle)])


def angle_of(vector: Values) -> float:
    return float(np.arctan2(vector[1], vector[0]))
