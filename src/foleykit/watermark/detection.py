"""Look for the mark: at every offset and over small changes of speed, with error rates known for this very sound."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.resample import fit_length, resample
from foleykit.core.errors import InputError
from foleykit.watermark.code import PUBLIC_KEY, read_chips, signs
from foleykit.watermark.embedding import check_waveform
from foleykit.watermark.spectrum import FRAME, HOP, RATE, frames_of, inside_bins, num_frames, power_of
from foleykit.watermark.tiles import (
    PERIOD_HOPS,
    Plane,
    agreement,
    aligned,
    by_period,
    clearance_of,
    louder_than_around,
    pattern_spectra,
    plane_of,
    weighted,
    weights_of,
)

Verdict = Literal["found", "not found", "too little"]

FALSE_ALARM_RATE = 1e-5
"""A sound counts as marked when unmarked ones look so at most this often."""
MIN_SECONDS = 3.0
"""Audible sound below which the absence of a mark means nothing."""
NUM_DECOYS = 47
_GROWTH = 0.1
_MOST_GROWTH = 2.0
"""Independent tries become more the rarer what is asked for, for then neighbouring speeds and the two ways of weighting
agree less: by this power of the rarity, and to at most so many times as many. By 2048 decoys on each of 32 sounds they
are 1.2 times as many at one in ten, 1.4 at one in a hundred and 1.6 at one in a thousand."""
SPEED_RANGE = 0.02
PART_SECONDS = 60.0
STEP_SECONDS = 48.0
"""Long sounds are searched in parts that overlap, so that memory stays flat."""

# Half a step moves the ends of 12 s by less than a slot.
_SPEED_STEP = 0.004
_AUDIBLE_POWER = 10 ** (-70 / 10) * 0.375 * FRAME * FRAME / 2
_WINDOW_PERIODS = (3, 6, 12)
_PERIOD_SECONDS = PERIOD_HOPS * HOP / RATE
# Inside a sound that is marked for certain a second may be taken for marked more easily.
_LOCAL_RATE = 1e-3
_EMPTY_PERIOD = 1.5
# In noise the lead exceeds this in less than one of fifty cases.
_CLEAR_LEAD = 0.7


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What a detector says about a sound."""

    verdict: Verdict
    """"too little": nothing was found, and there is too little audible sound to expect it."""
    p_value: float | None
    """Chance that an unmarked sound looks like this one, all offsets, speeds and stretches that were tried included;
    None for a mark whose detector has nothing to calibrate it by."""
    score: float
    """Agreement with the key in standard deviations of that with other keys, where it is best; of AudioSeal, the share
    of samples in [0, 1] that are taken for marked in the second with the most."""
    message: int | None
    """The 16 bits; None where there is no mark or they cannot be read for certain."""
    spans: tuple[tuple[float, float], ...]
    """Seconds (start, end) that are marked, to about 1 s."""
    speed: float
    """How many times as fast as it was made the sound is played."""
    audible_seconds: float


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What is found in one part of a long sound."""

    start: float
    """Seconds."""
    p_value: float
    detection: Detection


@dataclass(frozen=True, kw_only=True, eq=False)
class _Match:
    """The best agreement over some speeds."""

    score: float
    p_value: float
    speed: float
    periods: NDArray[np.float32]
    first: int
    count: int
    hop: int
    slot: int


def detect(
    waveform: NDArray[np.float32], sample_rate: int, key: bytes = PUBLIC_KEY, *, speed_range: float = SPEED_RANGE
) -> Detection:
    """Return whether `waveform` (C, S) carries the mark of `key`, where, and with what message.

    The same search is made with `NUM_DECOYS` keys that nobody uses; how well they agree calibrates the p-value for
    this sound. `speed_range` is the largest change of speed looked for, 0 for none. Sounds longer than a minute are
    searched in parts.

    Raises InputError for an empty waveform, a rate under 8 kHz or a speed range beyond 0 to 0.2.
    """
    size, step = (round(seconds * sample_rate) for seconds in (PART_SECONDS, STEP_SECONDS))
    starts = range(0, max(1, waveform.shape[-1] - (size - step)), step)
    return detect_parts(
        (waveform[:, start : start + size] for start in starts), sample_rate, key, speed_range=speed_range
    )


def detect_parts(
    parts: Iterable[NDArray[np.float32]],
    sample_rate: int,
    key: bytes = PUBLIC_KEY,
    *,
    speed_range: float = SPEED_RANGE,
) -> Detection:
    """Return what `detect` says of a sound whose parts (C, S) of `PART_SECONDS` each start `STEP_SECONDS` apart."""
    if not 0 <= speed_range <= 0.2:
        raise InputError(f"speed_range lies between 0 and 0.2, not {speed_range:g}")
    found: list[_Part] = []
    seconds = 0.0
    for number, part in enumerate(parts):
        start = number * STEP_SECONDS
        p_value, detection = _detect_part(part, sample_rate, key, speed_range)
        found.append(_Part(start=start, p_value=p_value, detection=detection))
        seconds = start + part.shape[-1] / sample_rate
    return _joined(found, seconds)


def _detect_part(
    waveform: NDArray[np.float32], sample_rate: int, key: bytes, speed_range: float
) -> tuple[float, Detection]:
    check_waveform(waveform.shape, sample_rate)
    sound = resample(waveform, sample_rate, RATE)
    sound = fit_length(sound, max(1, sound.shape[-1]))
    power = power_of(frames_of(sound, 0, num_frames(sound.shape[-1])))
    audible = float(((power @ inside_bins()) > _AUDIBLE_POWER).sum() * HOP / RATE)
    plane = plane_of(power, float(power.max()))
    patterns = pattern_spectra(np.stack([signs(key, decoy) for decoy in range(NUM_DECOYS + 1)]))
    steps = round(speed_range / _SPEED_STEP)
    others = [1 + step * _SPEED_STEP for step in range(-steps, steps + 1) if step]
    match = _search(plane, (1.0,), patterns)
    p_value = match.p_value
    if others:
        is_found = 2 * p_value <= FALSE_ALARM_RATE
        # Where the mark shows already, the speed only has to be found out, which needs no decoys.
        changed = _search(plane, others, patterns[:1] if is_found else patterns)
        p_value = min(1.0, 2 * (p_value if is_found else min(p_value, changed.p_value)))
        match = max(match, changed, key=lambda one: one.score if is_found else -one.p_value)
    fold = match.periods[match.first : match.first + match.count].sum(0)
    message, lead = read_chips(aligned(fold, match.hop, match.slot), key)
    return p_value, Detection(
        verdict="not found",
        p_value=p_value,
        score=match.score,
        message=message if lead >= _CLEAR_LEAD else None,
        spans=_spans(match, patterns[:1]),
        speed=match.speed,
        audible_seconds=audible,
    )


def _joined(parts: Sequence[_Part], seconds: float) -> Detection:
    """Return what the parts of one sound say together."""
    leading = min(parts, key=lambda part: (part.p_value, -part.detection.score))
    best, p_value = leading.detection, min(1.0, leading.p_value * len(parts))
    audible = min(seconds, sum(part.detection.audible_seconds for part in parts))
    is_found = p_value <= FALSE_ALARM_RATE
    marked = [part for part in parts if part.p_value * len(parts) <= FALSE_ALARM_RATE]
    spans = [
        (part.start + first, min(seconds, part.start + last)) for part in marked for first, last in part.detection.spans
    ]
    return Detection(
        verdict="found" if is_found else "too little" if audible < MIN_SECONDS else "not found",
        p_value=p_value,
        score=best.score,
        message=best.message if is_found else None,
        spans=merged_spans(spans),
        speed=best.speed if is_found else 1.0,
        audible_seconds=audible,
    )


def _search(plane: Plane, speeds: Sequence[float], patterns: NDArray[np.complex64]) -> _Match:
    """Return the best agreement of the first pattern over stretches, offsets, speeds and both ways of weighting.

    The others are given the same choice, and so calibrate it.
    """
    best = np.full(len(patterns), -np.inf)
    found: tuple[float, NDArray[np.float32], int, int, int, int] | None = None
    weights = weights_of(plane)
    weightings = (weights, weights * clearance_of(plane))
    for speed in speeds:
        louder = louder_than_around(plane, speed)
        for weighting in weightings:
            periods = by_period(weighted(louder, weighting), speed)
            stretches = _stretches(len(periods))
            sums = np.concatenate([np.zeros_like(periods[:1]), np.cumsum(periods, 0)])
            folds = np.stack([sums[first + count] - sums[first] for first, count in stretches])
            scores = agreement(folds, patterns)
            if scores[0].max() > best[0]:
                stretch, hop, slot = np.unravel_index(scores[0].argmax(), scores[0].shape)
                found = (speed, periods, *stretches[stretch], int(hop), int(slot))
            best = np.maximum(best, scores.reshape(len(patterns), -1).max(1))
    assert found is not None
    speed, periods, first, count, hop, slot = found
    return _Match(
        score=float(best[0]),
        p_value=calibrated(float(best[0]), best[1:]) if len(best) > 1 else 1.0,
        speed=speed,
        periods=periods,
        first=first,
        count=count,
        hop=hop,
        slot=slot,
    )


def calibrated(score: float, decoys: NDArray[np.float64]) -> float:
    """Return the chance that the best agreement of an unrelated key reaches `score`, given that of `decoys` (K,).

    A best agreement is the largest of many standard normal values; how many independent ones, the median of the decoys
    tells; the rarer the score, the more there are.
    """
    usual, own = _upper_tail(float(np.median(decoys))), min(max(_upper_tail(score), 1e-300), 1 - 1e-12)
    growth = min((usual / own) ** _GROWTH, _MOST_GROWTH) if own < usual else 1.0
    return -math.expm1(growth * max(1.0, math.log(2) / usual) * math.log1p(-own))


def _upper_tail(score: float) -> float:
    return 0.5 * math.erfc(score / math.sqrt(2))


def _stretches(num_periods: int) -> list[tuple[int, int]]:
    """Return the runs of periods (first, count) that are folded together: about 3, 6 and 12 s, or all there is."""
    counts = [count for count in _WINDOW_PERIODS if count < num_periods]
    runs = [(first, count) for count in counts for first in range(0, num_periods - count + 1, count // 3)]
    return runs if num_periods > _WINDOW_PERIODS[-1] else [*runs, (0, num_periods)]


def _spans(match: _Match, pattern: NDArray[np.complex64]) -> tuple[tuple[float, float], ...]:
    """Return the marked seconds: every short stretch that agrees by itself, and the best one."""
    num_periods = len(match.periods)
    count = min(_WINDOW_PERIODS[0], num_periods)
    is_marked = np.zeros(num_periods, bool)
    windows = [(first, count) for first in range(num_periods - count + 1)] + [(match.first, match.count)]
    for first, length in windows:
        scores = agreement(match.periods[None, first : first + length].sum(1), pattern)[0, 0]
        if PERIOD_HOPS * _upper_tail(float(scores.max())) > _LOCAL_RATE and (first, length) != windows[-1]:
            continue
        hop, slot = np.unravel_index(scores.argmax(), scores.shape)
        own = agreement(match.periods[first : first + length], pattern)[0, :, hop, slot]
        inside = np.flatnonzero(own >= max(_EMPTY_PERIOD, own.max() / 2))
        if inside.size:
            is_marked[first + inside[0] : first + inside[-1] + 1] = True
    seconds = _PERIOD_SECONDS / match.speed
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_marked, [False]])))
    return tuple((float(a * seconds), float(b * seconds)) for a, b in edges.reshape(-1, 2))


def merged_spans(spans: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return `spans` in order, joined where they meet."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1] + 1e-6:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple((round(start, 3), round(end, 3)) for start, end in joined)
