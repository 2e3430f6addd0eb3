"""The level that a sound never falls below: hiss, hum, and what a codec leaves behind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.evaluation.metrics.envelope_correlation import energy_envelope_db

SILENCE_DB = -120.0


def noise_floor_db(waveform: NDArray[np.float32], sample_rate: int, *, quantile: float = 0.05) -> float:
    """Return the noise floor of `waveform` (S,) in dBFS, at least `SILENCE_DB`; right when it is the reference's.

    The low `quantile` of levels over 50 ms. Sound that never pauses has no lower floor than itself. Raises InputError
    for less than 25 ms of sound.
    """
    levels = energy_envelope_db(waveform, sample_rate, frame_rate=40.0, floor_db=SILENCE_DB)
    return float(np.quantile(levels, quantile))
