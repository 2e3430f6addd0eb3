"""Up to which frequency a sound has anything: a sound that was resampled upwards shows here, and nowhere else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError

BAND_HZ = 100.0
WINDOW_SECONDS = 0.04
BELOW_PEAK_DB = 80.0
FLOOR_DB = -110.0
"""Level of a band per spectrum bin, as of a sine in dBFS, that is never heard; rounding to 16 bits is lower."""


def effective_bandwidth(waveform: NDArray[np.float32], sample_rate: int) -> float:
    """Return the highest frequency in Hz that `waveform` (S,) contains; higher is better, up to half the rate.

    The upper edge of the last band of 100 Hz whose mean power over the sound is within 80 dB of the strongest band's
    and above `FLOOR_DB`. Raises InputError for silence and for less than one window of 40 ms.
    """
    size = 1 << round(np.log2(WINDOW_SECONDS * sample_rate))
    if waveform.ndim != 1 or len(waveform) < size:
        raise InputError(f"a bandwidth needs a waveform (S,) of {size} samples at least, not {waveform.shape}")
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    pieces = np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float32, copy=False), size)[:: size // 2]
    power = np.zeros(size // 2 + 1)
    for first in range(0, len(pieces), 256):
        part = np.fft.rfft(pieces[first : first + 256] * window, axis=1)
        power += np.square(np.abs(part), dtype=np.float64).sum(axis=0)
    power /= len(pieces) * np.square(window.sum(dtype=np.float64) / 2)
    hz = np.fft.rfftfreq(size, 1 / sample_rate)
    # The first bins hold the offset from zero and its leakage.
    band = (hz / BAND_HZ).astype(int)[2:]
    counts = np.bincount(band)
    levels = np.bincount(band, weights=power[2:]) / np.maximum(counts, 1)
    levels_db = 10 * np.log10(np.maximum(levels, 1e-20))
    is_heard = levels_db >= max(levels_db.max() - BELOW_PEAK_DB, FLOOR_DB)
    if not is_heard.any():
        raise InputError("silence has no bandwidth")
    return float(min((np.flatnonzero(is_heard)[-1] + 1) * BAND_HZ, sample_rate / 2))
