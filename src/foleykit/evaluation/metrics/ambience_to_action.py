"""How loud the ambience is beside the action."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.gap_level import SILENCE_DB, gap_level_db


def ambience_to_action_db(
    waveform: NDArray[np.float32], gaps: NDArray[np.bool_], sample_rate: int, *, min_seconds: float = 0.2
) -> float:
    """Return the ambience's level minus the action's in dB; lower is cleaner, the reference's is the right one.

    The ambience is what sounds in the `gaps` (S,) of `waveform` (S,); the action is what the rest has more than that.
    Levels are at least `SILENCE_DB`. Raises InputError when gaps or rest are shorter than `min_seconds`, or when both
    are silent.
    """
    ambience_db = gap_level_db(waveform, gaps, sample_rate, min_seconds=min_seconds)
    rest_db = gap_level_db(waveform, ~gaps, sample_rate, min_seconds=min_seconds)
    floor = 10 ** (SILENCE_DB / 10)
    action = max(10 ** (rest_db / 10) - 10 ** (ambience_db / 10), floor)
    if rest_db <= SILENCE_DB and ambience_db <= SILENCE_DB:
        raise InputError("silence has no ambience and no action to compare")
    return float(ambience_db - 10 * np.log10(action))
