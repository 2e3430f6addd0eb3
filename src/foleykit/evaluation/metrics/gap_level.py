"""The level of sound where nothing happens: in the gaps between actions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foleykit.core.errors import InputError

SILENCE_DB = -80.0
"""Levels are not told apart below this: digital silence reads as -80 dBFS."""


def gap_mask(
    foreground: NDArray[np.float32],
    sample_rate: int,
    event_spans: ArrayLike,
    *,
    margin_before: float = 0.06,
    margin_after: float = 0.12,
    foreground_floor_db: float = -65.0,
) -> NDArray[np.bool_]:
    """Return which samples (S,) of a clip belong to gaps, from the truth alone.

    `foreground` (S,) holds everything that is not ambience; `event_spans` (N, 2) are the start and end of each
    excitation in seconds. A sample is in a gap when it is farther than the margins from every span and the foreground's
    level over the surrounding 40 ms is below `foreground_floor_db`, so that ringing after an impact is no gap.
    """
    if foreground.ndim != 1 or not len(foreground):
        raise InputError(f"a gap mask needs one channel with at least one sample, got shape {foreground.shape}")
    reach = max(1, round(0.02 * sample_rate))
    energy = np.concatenate([[0.0], np.cumsum(np.square(foreground, dtype=np.float64))])
    position = np.arange(len(foreground))
    first, last = np.maximum(position - reach, 0), np.minimum(position + reach, len(foreground))
    mask = (energy[last] - energy[first]) / (last - first) < 10 ** (foreground_floor_db / 10)
    for start, end in np.asarray(event_spans, np.float64).reshape(-1, 2):
        if end < start:
            raise InputError(f"an event ends at {end:g} s, before it starts at {start:g} s")
        begin, stop = round((start - margin_before) * sample_rate), round((end + margin_after) * sample_rate)
        mask[max(begin, 0) : max(stop, 0)] = False
    return mask


def gap_level_db(
    waveform: NDArray[np.float32], mask: NDArray[np.bool_], sample_rate: int, *, min_seconds: float = 0.2
) -> float:
    """Return the RMS level of `waveform` (S,) over `mask` (S,) in dBFS, at least `SILENCE_DB`.

    Raises InputError when the shapes differ or the gaps together are shorter than `min_seconds`.
    """
    if waveform.shape != mask.shape or waveform.ndim != 1:
        raise InputError(f"waveform and gap mask must have one shape (S,), got {waveform.shape} and {mask.shape}")
    if mask.sum() < min_seconds * sample_rate:
        raise InputError(f"a gap level needs {min_seconds:g} s of gaps, this clip has {mask.sum() / sample_rate:.3f} s")
    mean_square = np.square(waveform[mask], dtype=np.float64).mean()
    return float(10 * np.log10(max(mean_square, 10 ** (SILENCE_DB / 10))))
