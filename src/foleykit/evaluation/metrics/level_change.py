"""How much a sound's level moves from one moment to the next, at chosen places and everywhere else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.envelope_correlation import energy_envelope_db

FRAME_RATE = 100.0


def level_changes_db(
    waveform: NDArray[np.float32], sample_rate: int, spans: Sequence[tuple[float, float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the absolute changes of level, in dB from one 10 ms frame to the next, inside `spans` and outside them.

    `waveform` is mono (S,), spans are seconds (start, end); a change belongs to a span when the sound that either of
    its two levels is taken from touches it. A cut that can be heard moves the level more than the sound itself does.
    Raises InputError where nothing lies inside or nothing outside.
    """
    levels = energy_envelope_db(waveform, sample_rate, frame_rate=FRAME_RATE, floor_db=-90.0)
    changes = np.abs(np.diff(levels))
    # Each level is of two frame lengths of sound, each change of two levels.
    middles, reach = (np.arange(len(changes)) + 1) / FRAME_RATE, 1.5 / FRAME_RATE
    is_inside = np.zeros(len(changes), bool)
    for start, end in spans:
        is_inside |= (middles + reach > start) & (middles - reach < end)
    if not is_inside.any() or is_inside.all():
        raise InputError("changes of level are compared inside spans and outside; one of them holds none")
    return changes[is_inside], changes[~is_inside]
