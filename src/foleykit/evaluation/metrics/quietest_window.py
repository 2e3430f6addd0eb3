"""Ambient energy: how much sound there is where a recording is quietest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError


def quietest_window(
    waveform: NDArray[np.float32], sample_rate: int, *, seconds: float = 0.5, step: float = 0.1
) -> tuple[float, int]:
    """Return the energy (sum of squares) of the quietest window of `waveform` (S,), and the sample that it starts at.

    Windows of `seconds` start every `step` seconds; of equally quiet ones the first counts. Raises InputError when the
    recording is shorter than a window.
    """
    length, stride = round(seconds * sample_rate), round(step * sample_rate)
    if waveform.ndim != 1 or len(waveform) < length:
        raise InputError(f"the quietest {seconds:g} s need a waveform (S,) of {length} samples, not {waveform.shape}")
    total = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    starts = np.arange(0, len(waveform) - length + 1, stride)
    energies = total[starts + length] - total[starts]
    quietest = int(energies.argmin())
    return float(energies[quietest]), int(starts[quietest])
