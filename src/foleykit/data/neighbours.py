"""Which other moment of a long video lends a clip its ambience.

Action2Sound trains with the sound of a *different* moment as condition; it shares the ambience but not the action.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from foleykit.core.errors import ConfigError, InputError
from foleykit.data.manifest import ClipRecord

Fallback = Literal["skip", "quietest", "zeros"]


@dataclass(frozen=True, kw_only=True)
class NearestRows:
    """The published rule: the rows next to a clip in file order, where they are of the same video.

    Nothing keeps them apart in time: on the published test list 5.7 % of draws overlap their clip. Row 0 is never a
    neighbour on the left, an oddity of the release that exact parity needs.
    """

    left: int = 3
    """Rows before the clip."""
    right: int = 3
    """Rows after it."""

    def __post_init__(self) -> None:
        if self.left < 0 or self.right < 0 or self.left + self.right < 1:
            raise ConfigError(f"left and right count rows and one of them is positive, got {self.left}, {self.right}")


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The nearest clips in time that share no moment with a clip."""

    num_each_side: int = 3
    """Clips before, and as many after."""
    min_gap_seconds: float = 0.5
    """Least time between the end of the earlier clip and the start of the later one."""
    max_gap_seconds: float = 600.0
    """Most time between them: further away the ambience may be another."""

    def __post_init__(self) -> None:
        if self.num_each_side < 1:
            raise ConfigError(f"num_each_side must be at least 1, got {self.num_each_side}")
        if not 0 <= self.min_gap_seconds <= self.max_gap_seconds:
            raise ConfigError(
                f"gaps must satisfy 0 <= min <= max, got {self.min_gap_seconds:g} and {self.max_gap_seconds:g} s"
            )


NeighbourRule = NearestRows | Apart


@dataclass(frozen=True, kw_only=True)
class NeighbourAmbient:
    """Train with a neighbour's sound as condition. Every field must be stated: none of them has a harmless default."""

    rule: NeighbourRule
    """Who may be a neighbour."""
    fallback: Fallback
    """A clip without a neighbour: leave it out, take the quietest clip of all, or take zeros as the release does."""
    probability: float
    """Chance that a clip keeps its condition in a step, above 0; use `NoAmbient` for none."""

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise ConfigError(
                f"probability must be above 0 and at most 1, got {self.probability:g}; "
                "to train without the ambient condition say so with NoAmbient()"
            )


@dataclass(frozen=True, kw_only=True)
class NoAmbient:
    """Train without an ambient condition, on purpose."""


AmbientCondition = NeighbourAmbient | NoAmbient

REFERENCE = NeighbourAmbient(rule=NearestRows(), fallback="zeros", probability=1.0)
"""What the published run did."""
APART = NeighbourAmbient(rule=Apart(), fallback="skip", probability=1.0)
"""What we recommend."""


@dataclass(frozen=True, kw_only=True)
class AmbientChoice:
    """Where a clip's condition comes from in one step."""

    kind: Literal["neighbour", "zeros", "none"]
    index: int | None = None
    """The clip that lends its sound, for a neighbour."""


@dataclass(frozen=True, kw_only=True)
class AmbientPlan:
    """The neighbours of every clip, and what becomes of those that have none."""

    condition: AmbientCondition
    candidates: tuple[tuple[int, ...], ...]
    """Positions in the list of records, for each of them; with the quietest clip where that is the fallback."""
    usable: tuple[int, ...]
    """Positions of the clips to train on."""
    num_without: int
    """Clips without a neighbour of their own."""

    def draw(self, index: int, rng: np.random.Generator) -> AmbientChoice:
        """Return the condition of clip `index` for one step, uniform over its candidates."""
        match self.condition:
            case NoAmbient():
                return AmbientChoice(kind="none")
            case NeighbourAmbient(probability=probability):
                if rng.random() >= probability:
                    return AmbientChoice(kind="none")
                candidates = self.candidates[index]
                if not candidates:
                    return AmbientChoice(kind="zeros")
                return AmbientChoice(kind="neighbour", index=candidates[int(rng.integers(len(candidates)))])
            case _:
                assert_never(self.condition)


def plan_ambient(
    records: Sequence[ClipRecord], condition: AmbientCondition, levels_db: Sequence[float] | None = None
) -> AmbientPlan:
    """Return who may condition whom among `records`, which are in file order.

    `levels_db` (N,) is the level of each clip's sound and is needed for the fallback "quietest". Raises InputError
    when it is missing or when no clip is left to train on.
    """
    everyone = tuple(range(len(records)))
    if isinstance(condition, NoAmbient):
        return AmbientPlan(condition=condition, candidates=((),) * len(records), usable=everyone, num_without=0)
    candidates = list(neighbours(records, condition.rule))
    without = [index for index in everyone if not candidates[index]]
    usable = everyone
    match condition.fallback:
        case "skip":
            usable = tuple(index for index in everyone if candidates[index])
        case "quietest":
            if without and (levels_db is None or len(levels_db) != len(records)):
                raise InputError('the fallback "quietest" needs the level of every clip')
            for index in without:
                assert levels_db is not None
                others = [other for other in everyone if not records[index].overlaps(records[other])]
                if others:
                    candidates[index] = (min(others, key=lambda other: levels_db[other]),)
        case "zeros":
            pass
        case _:
            assert_never(condition.fallback)
    if not usable:
        raise InputError(f"none of {len(records)} clips has a neighbour; prepare more of each long video")
    return AmbientPlan(condition=condition, candidates=tuple(candidates), usable=usable, num_without=len(without))


def neighbours(records: Sequence[ClipRecord], rule: NeighbourRule) -> tuple[tuple[int, ...], ...]:
    """Return for each record the positions of its candidates: nearest first, those before it, then those after."""
    match rule:
        case NearestRows():
            return nearest_rows([record.video_id for record in records], rule)
        case Apart():
            return _apart(records, rule)
        case _:
            assert_never(rule)


def nearest_rows(video_ids: Sequence[str], rule: NearestRows) -> tuple[tuple[int, ...], ...]:
    """Return the candidates of the published rule for rows in file order, of which only the video matters."""
    found = []
    for index, video_id in enumerate(video_ids):
        rows = [index - step for step in range(1, rule.left + 1) if index - step > 0]
        rows += [index + step for step in range(1, rule.right + 1) if index + step < len(video_ids)]
        found.append(tuple(row for row in rows if video_ids[row] == video_id))
    return tuple(found)


def _apart(records: Sequence[ClipRecord], rule: Apart) -> tuple[tuple[int, ...], ...]:
    by_video: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        by_video.setdefault(record.video_id, []).append(index)
    found: list[tuple[int, ...]] = [()] * len(records)
    for members in by_video.values():
        by_end = sorted(members, key=lambda index: (records[index].end, index))
        by_start = sorted(members, key=lambda index: (records[index].start, index))
        ends = [records[index].end for index in by_end]
        starts = [records[index].start for index in by_start]
        for index in members:
            record = records[index]
            # Clips cut at the very limit of the gap must not depend on rounding.
            latest_end = record.start - rule.min_gap_seconds + 1e-6
            before = by_end[: bisect_left(ends, latest_end)][: -rule.num_each_side - 1 : -1]
            after = by_start[bisect_left(starts, record.end + rule.min_gap_seconds - 1e-6) :][: rule.num_each_side]
            near = [other for other in before if record.start - records[other].end <= rule.max_gap_seconds]
            near += [other for other in after if records[other].start - record.end <= rule.max_gap_seconds]
            found[index] = tuple(near)
    return tuple(found)
