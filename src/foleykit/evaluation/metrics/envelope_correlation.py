"""How well loudness follows loudness."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foleykit.core.errors import InputError


def energy_envelope_db(
    waveform: NDArray[np.float32], sample_rate: int, *, frame_rate: float = 100.0, floor_db: float = -60.0
) -> NDArray[np.float64]:
    """Return the level (F,) of a mono `waveform` (S,) in dBFS at `frame_rate`, `F = floor(seconds * frame_rate)`.

    Each value is the RMS of two frame lengths of sound around the frame's middle, at least `floor_db`. Raises
    InputError when the waveform is shorter than one frame.
    """
    if waveform.ndim != 1:
        raise InputError(f"an envelope needs one channel, got shape {waveform.shape}")
    num_frames = int(len(waveform) * frame_rate / sample_rate)
    if num_frames < 1:
        raise InputError(f"an envelope needs at least {1 / frame_rate:g} s of sound, got {len(waveform)} samples")
    energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    middles = (np.arange(num_frames) + 0.5) * sample_rate / frame_rate
    first = np.clip(np.round(middles - sample_rate / frame_rate), 0, len(waveform)).astype(int)
    last = np.clip(np.round(middles + sample_rate / frame_rate), 0, len(waveform)).astype(int)
    mean_square = (energy[last] - energy[first]) / (last - first)
    # The cumulative sum leaves rounding dust, also below zero, where the sound is silent.
    return 10 * np.log10(np.maximum(mean_square, 10 ** (floor_db / 10)))


def envelope_correlation(reference: ArrayLike, generated: ArrayLike) -> float:
    """Return Pearson's correlation of two envelopes (F,) in dB, in [-1, 1]; higher is better.

    A generated envelope that never moves follows nothing and scores 0. Raises InputError when the lengths differ, there
    are fewer than three frames, or the reference never moves.
    """
    first, second = np.asarray(reference, np.float64), np.asarray(generated, np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 3:
        raise InputError(
            f"envelope correlation needs two envelopes of one length, at least 3 frames; "
            f"got {first.shape} and {second.shape}"
        )
    first, second = first - first.mean(), second - second.mean()
    if not np.abs(first).max() > 1e-9:
        raise InputError("envelope correlation needs a reference whose level moves")
    if not np.abs(second).max() > 1e-9:
        return 0.0
    return float(np.clip(first @ second / np.sqrt((first @ first) * (second @ second)), -1, 1))
