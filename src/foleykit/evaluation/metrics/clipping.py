"""How much of a sound is cut off at full scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError

FULL_SCALE = 32767 / 32768
"""Largest sample of a 16-bit file."""


def clipped_share(waveform: NDArray[np.float32], *, min_run: int = 3) -> float:
    """Return the share of samples of `waveform` (C, S) that are clipped, in [0, 1]; lower is better.

    Clipped are samples beyond full scale, which no integer format holds, and runs of `min_run` or more samples at full
    scale: a single one is a peak. Raises InputError without samples.
    """
    if waveform.ndim != 2 or waveform.shape[1] == 0:
        raise InputError(f"clipping is counted in a waveform (C, S), not {waveform.shape}")
    num_clipped = int((np.abs(waveform) > 1).sum())
    for channel in waveform:
        for side in (channel, -channel):
            is_full = np.concatenate([[False], (side >= FULL_SCALE) & (side <= 1), [False]])
            edges = np.flatnonzero(np.diff(is_full))
            runs = edges[1::2] - edges[::2]
            num_clipped += int(runs[runs >= min_run].sum())
    return num_clipped / waveform.size
