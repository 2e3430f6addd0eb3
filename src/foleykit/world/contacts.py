"""Turns the contact forces of a simulation into sound events: impacts, scrapes and rolls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MERGE_SECONDS = 0.04
"""Impacts of one body closer than this are heard as one."""
AUDIBLE_IMPULSE = 0.025
"""N s; weaker impacts make no event: 100 g that settle at a hand's pace."""
AUDIBLE_TOUCH = 0.004
"""N s; the same for blows with a tool or a fingertip, which are meant."""
LEAP = 0.2
"""N; smaller leaps of force are not looked at."""
PROFILE_RATE = 100
"""Values per second of an event's profile."""


@dataclass(frozen=True, kw_only=True)
class Contacts:
    """Every contact of a simulation, one row per contact and step."""

    step: NDArray[np.int32]
    """(N,) step number, ascending."""
    bodies: NDArray[np.int32]
    """(N, 2) body numbers, the smaller first."""
    force: NDArray[np.float32]
    """(N,) normal force in N."""
    point: NDArray[np.float32]
    """(N, 3) metres."""


@dataclass(frozen=True, kw_only=True)
class Impact:
    """One blow between two bodies."""

    step: int
    bodies: tuple[int, int]
    impulse: float
    point: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PairHistory:
    """The contact of one pair of bodies over all steps."""

    bodies: tuple[int, int]
    force: NDArray[np.float32]
    """(num_steps,) total normal force."""
    rows: NDArray[np.int64]
    """Rows of the contact table that belong to the pair."""


def pair_histories(contacts: Contacts, num_steps: int) -> list[PairHistory]:
    """Return one history per pair of bodies that ever touched."""
    if len(contacts.step) == 0:
        return []
    keys = contacts.bodies[:, 0].astype(np.int64) * 4096 + contacts.bodies[:, 1]
    histories = []
    for key in np.unique(keys):
        rows = np.flatnonzero(keys == key)
        force = np.bincount(contacts.step[rows], contacts.force[rows], minlength=num_steps)[:num_steps]
        histories.append(
            PairHistory(bodies=(int(key // 4096), int(key % 4096)), force=force.astype(np.float32), rows=rows)
        )
    return histories


def _trailing_minimum(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the smallest of the `width` values before each one; before the start counts as 0."""
    padded = np.concatenate([np.zeros(width, values.dtype), values])
    return np.lib.stride_tricks.sliding_window_view(padded, width)[: len(values)].min(axis=1)


def find_impacts(
    history: PairHistory, contacts: Contacts, step_seconds: float, *, apart: float = MERGE_SECONDS
) -> list[Impact]:
    """Return the moments at which the pair's force leaps above what it was, with the impulse of each leap.

    A leap within `apart` seconds of one that counts is part of it.
    """
    force = history.force
    short, spread = max(2, round(0.012 / step_seconds)), max(2, round(0.02 / step_seconds))
    merge = round(apart / step_seconds)
    before = _trailing_minimum(force, short)
    leaps = np.flatnonzero(force - before > LEAP)
    total = np.concatenate([[0.0], np.cumsum(force, dtype=np.float64)])
    impacts: list[Impact] = []
    free_from = 0
    for leap in leaps.tolist():
        if leap < free_from:
            continue
        end = min(leap + spread, len(force))
        first_later, last_later = min(end + spread, len(force)), min(end + 3 * spread, len(force))
        later = (total[last_later] - total[first_later]) / max(last_later - first_later, 1)
        resting = max(float(before[leap]), float(later))
        impulse = float(total[end] - total[leap] - resting * (end - leap)) * step_seconds
        if impulse < AUDIBLE_TOUCH:
            free_from = leap + 3
            continue
        first, last = np.searchsorted(contacts.step[history.rows], [leap, end])
        window = history.rows[first:last]
        strongest = window[np.argmax(contacts.force[window])]
        impacts.append(Impact(step=leap, bodies=history.bodies, impulse=impulse, point=contacts.point[strongest]))
        free_from = leap + merge
    return impacts


def merge_impacts(
    impacts: list[Impact], *, static: frozenset[int], tools: frozenset[int], softest_blow: float, step_seconds: float
) -> list[Impact]:
    """Return the audible impacts, one for all that a blow sets off within 40 ms in bodies that touch.

    A blow with a tool wins over what it makes the struck body do to its support; else the strongest wins and keeps the
    earliest time. A tool's blow counts from `softest_blow` N s on.
    """
    merge = round(MERGE_SECONDS / step_seconds)
    groups: list[list[Impact]] = []
    for impact in sorted(impacts, key=lambda i: i.step):
        moving = set(impact.bodies) - static
        for group in reversed(groups):
            if impact.step - group[0].step > merge:
                continue
            if any(moving & (set(other.bodies) - static) for other in group):
                group.append(impact)
                break
        else:
            groups.append([impact])
    merged = []
    for group in groups:
        by_tool = [i for i in group if set(i.bodies) & tools]
        loudest = max(by_tool or group, key=lambda i: i.impulse)
        step = min(i.step for i in (by_tool or group))
        if loudest.impulse >= (softest_blow if by_tool else AUDIBLE_IMPULSE):
            merged.append(Impact(step=step, bodies=loudest.bodies, impulse=loudest.impulse, point=loudest.point))
    return merged


def sounding_spells(
    intensity: NDArray[np.float32], *, threshold: float, gap: int, shortest: int
) -> list[tuple[int, int]]:
    """Return (start, end) steps where the intensity stays above the threshold but for dips shorter than `gap`."""
    above = np.flatnonzero(intensity > threshold)
    if len(above) == 0:
        return []
    breaks = np.flatnonzero(np.diff(above) > gap)
    starts = above[np.concatenate([[0], breaks + 1])]
    ends = above[np.concatenate([breaks, [len(above) - 1]])] + 1
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if b - a >= shortest]


def profile_of(intensity: NDArray[np.float32], step_seconds: float) -> NDArray[np.float32]:
    """Return the intensity averaged to 100 Hz and scaled to a maximum of 1, (P,)."""
    width = max(1, round(1 / PROFILE_RATE / step_seconds))
    count = max(1, -(-len(intensity) // width))
    padded = np.zeros(count * width, np.float32)
    padded[: len(intensity)] = intensity
    profile = padded.reshape(count, width).mean(1)
    return (profile / max(float(profile.max()), 1e-9)).astype(np.float32)
