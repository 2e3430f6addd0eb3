"""Whether two sounds begin things at the same moments, without a threshold for what an onset is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError


def sync_score(
    reference: NDArray[np.floating], generated: NDArray[np.floating], frame_rate: float, *, tolerance: float = 0.06
) -> float:
    """Return the sync score of two onset strengths (F,) at `frame_rate`, in [-1, 1]; higher is better, 1 at best.

    Pearson's correlation of both curves after each onset is spread over a bell whose half width at half height is half
    the `tolerance` in seconds, so that onsets farther apart than the tolerance hardly overlap. Over all circular shifts
    of one curve its mean is exactly 0, which is what chance scores. A generated sound in which nothing begins scores 0.

    Raises InputError when lengths differ or nothing begins in the reference.
    """
    if reference.ndim != 1 or reference.shape != generated.shape or len(reference) < 3:
        raise InputError(f"two curves of one length are compared, not {reference.shape} and {generated.shape}")
    first, second = (_spread(np.asarray(curve, np.float64), frame_rate, tolerance) for curve in (reference, generated))
    if not np.abs(first).max() > 1e-9:
        raise InputError("a sync score needs a reference in which something begins")
    if not np.abs(second).max() > 1e-9:
        return 0.0
    return float(np.clip(first @ second / np.sqrt((first @ first) * (second @ second)), -1, 1))


def _spread(curve: NDArray[np.float64], frame_rate: float, tolerance: float) -> NDArray[np.float64]:
    """Return the curve (F,) under a circular Gaussian, its mean removed."""
    deviation = tolerance / 2 / np.sqrt(2 * np.log(2)) * frame_rate
    frequencies = np.fft.rfftfreq(len(curve))
    bell = np.exp(-2 * np.square(np.pi * deviation * frequencies))
    # Without the zeroth bin the mean is 0, and with it the sum of the circular correlation over all shifts.
    bell[0] = 0.0
    return np.asarray(np.fft.irfft(np.fft.rfft(curve) * bell, len(curve)))
