"""The shift in time that brings two sounds together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError

MIN_CORRELATION = 0.4
"""Curves that nowhere correlate better than this have no shift that could be called theirs."""


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Where two curves fit best."""

    seconds: float
    """How much later the generated sound is; best at 0."""
    correlation: float
    """Of the curves at that shift, in [-1, 1]."""

    @property
    def is_found(self) -> bool:
        """Whether the curves fit well enough for the shift to mean anything."""
        return self.correlation >= MIN_CORRELATION


def alignment_shift(
    reference: NDArray[np.floating],
    generated: NDArray[np.floating],
    frame_rate: float,
    *,
    max_seconds: float = 0.5,
) -> Alignment:
    """Return how much later `generated` is than `reference`, both onset strengths (F,) at `frame_rate`; best at 0 s.

    The shift of at most `max_seconds` whose linear cross-correlation is highest, refined between frames by a parabola.
    Raises InputError when lengths differ, a curve never moves, or the curves are not twice as long as the largest
    shift.
    """
    if reference.ndim != 1 or reference.shape != generated.shape:
        raise InputError(f"two curves of one length are aligned, not {reference.shape} and {generated.shape}")
    num_frames, reach = len(reference), round(max_seconds * frame_rate)
    if num_frames < 2 * reach or reach < 1:
        raise InputError(f"a shift of up to {max_seconds:g} s needs curves of {2 * max_seconds:g} s at least")
    first, second = (
        np.asarray(curve, np.float64) - np.mean(curve, dtype=np.float64) for curve in (reference, generated)
    )
    energy = float(np.sqrt((first @ first) * (second @ second)))
    if not energy > 1e-12:
        raise InputError("a shift needs two curves that move")
    size = 1 << (2 * num_frames - 1).bit_length()
    spectrum = np.conj(np.fft.rfft(first, size)) * np.fft.rfft(second, size)
    products = np.fft.irfft(spectrum, size)
    lags = np.arange(-reach, reach + 1)
    correlation = products[lags] / energy
    best = int(np.argmax(correlation))
    offset, top = 0.0, float(correlation[best])
    if 0 < best < len(lags) - 1:
        before, after = float(correlation[best - 1]), float(correlation[best + 1])
        bend = before - 2 * top + after
        if bend < 0:
            offset = (before - after) / (2 * bend)
            top -= (before - after) * offset / 4
    return Alignment(seconds=float((lags[best] + offset) / frame_rate), correlation=float(np.clip(top, -1, 1)))
