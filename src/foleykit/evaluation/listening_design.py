"""Which comparisons a listening test asks for, in which order, and which sound comes first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

Layout = Literal["all", "pairs"]

QUESTIONS = {
    "overall": "Which sounds best overall?",
    "relevance": "Which sound fits best what is seen?",
    "alignment": "Which sound is best in time with what is seen?",
    "action": "Which has the best sound of the action itself?",
    "ambience": "Which has the least background sound?",
}
"""Questions by criterion: the first three after FoleyGen (Mei et al. 2023), the others after Action2Sound (2024)."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Systems that a listener compares on one clip."""

    clip: int
    systems: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """A comparison as one listener gets it."""

    comparison: int
    systems: tuple[int, ...]
    """In the order of the page."""


def plan_comparisons(
    num_clips: int, num_systems: int, layout: Layout, *, num_trials: int | None = None, seed: int = 0
) -> tuple[Comparison, ...]:
    """Return what every listener compares: "all" systems at once on each clip, or each clip by every pair of systems.

    With fewer `num_trials` a part is drawn in which each clip, and each pair, occurs as often as any other, give or
    take one. All listeners get the same part, so that their agreement can be measured.
    """
    groups = [tuple(range(num_systems))] if layout == "all" else list(combinations(range(num_systems), 2))
    clips = np.random.default_rng(seed).permutation(num_clips).tolist()
    # Groups follow each other without a break; when they would meet the same clips again, they are all equally frequent
    # and move on by one.
    period = len(groups) // math.gcd(len(groups), num_clips)
    planned = []
    for turn in range(len(groups)):
        start = turn * num_clips + turn // period
        planned += [
            Comparison(clip=clip, systems=groups[(start + place) % len(groups)]) for place, clip in enumerate(clips)
        ]
    return tuple(planned[:num_trials])


def plan_trials(comparisons: Sequence[Comparison], *, seed: int, listener: int) -> tuple[PlannedTrial, ...]:
    """Return the comparisons in a random order of the listener's own.

    Within each group of systems every system stands in each place equally often, give or take one, at random moments.
    """
    generator = np.random.default_rng([seed, listener])
    order = generator.permutation(len(comparisons)).tolist()
    arranged: dict[int, tuple[int, ...]] = {}
    for group in sorted({comparison.systems for comparison in comparisons}):
        members = [index for index, comparison in enumerate(comparisons) if comparison.systems == group]
        base = generator.permutation(group).tolist()
        turns = generator.permutation(len(members)) % len(base)
        for index, turn in zip(members, turns.tolist(), strict=True):
            arranged[index] = (*base[turn:], *base[:turn])
    return tuple(PlannedTrial(comparison=index, systems=arranged[index]) for index in order)
