"""The recordings from which a soundtrack takes its ambience: the user's, or the quietest part of a video's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.ambient import AmbientClip
from foleykit.audio.files import read_waveform
from foleykit.core.errors import MediaError

BUILT_IN = ("auto", "quiet", "original")
MAX_RECORDING_SECONDS = 600.0
SILENCE_DBFS = -90.0
"""Below this a recording holds no ambience; digital silence also lies outside what models were trained on."""
HOP_SECONDS = 0.1
BACKGROUND_QUANTILE = 0.25
"""Share of a recording that is taken to hold nothing but background."""


def read_recording(path: str, sample_rate: int, num_samples: int) -> AmbientClip:
    """Return the middle `num_samples` of a recording, mono at `sample_rate`; raises MediaError when it is no use."""
    if not Path(path).is_file():
        raise MediaError(f'no recording "{path}"; an ambience is auto, quiet, original or the path of a sound file')
    waveform, _ = read_waveform(path, sample_rate=sample_rate, seconds=MAX_RECORDING_SECONDS, mono=True)
    middle = middle_of(waveform, num_samples)
    if is_silent(middle):
        raise MediaError(f"{path} is silent in its middle; use a recording with sound, or the ambience quiet")
    return AmbientClip(name=Path(path).name, waveform=middle)


def middle_of(waveform: NDArray[np.float32], num_samples: int) -> NDArray[np.float32]:
    """Return the middle `num_samples` of `waveform` (C, S), or all of it where it is shorter."""
    start = max(0, (waveform.shape[-1] - num_samples) // 2)
    return waveform[:, start : start + num_samples]


def quietest_stretch(waveform: NDArray[np.float32], sample_rate: int, num_samples: int) -> NDArray[np.float32] | None:
    """Return the quietest stretch (1, num_samples) of a mono `waveform` (1, S) that is not silent, or None.

    Stretches start every tenth of a second; a shorter waveform is returned whole.
    """
    powers, stretches = _stretches(waveform, sample_rate, num_samples)
    powers[powers < 10 ** (SILENCE_DBFS / 10)] = np.inf
    best = int(powers.argmin())
    return waveform[:, stretches[best]] if np.isfinite(powers[best]) else None


def background_stretch(waveform: NDArray[np.float32], sample_rate: int, num_samples: int) -> NDArray[np.float32]:
    """Return a stretch (1, num_samples) of a mono `waveform` (1, S) than which a quarter of all are softer.

    It holds what is mostly there, rather than an action or a gap. A shorter waveform is returned whole.
    """
    powers, stretches = _stretches(waveform, sample_rate, num_samples)
    return waveform[:, stretches[int(powers.argsort()[int(BACKGROUND_QUANTILE * len(powers))])]]


def _stretches(
    waveform: NDArray[np.float32], sample_rate: int, num_samples: int
) -> tuple[NDArray[np.float64], list[slice]]:
    """Return the power of every stretch of `num_samples`, one every tenth of a second, and where each lies."""
    hop = max(1, round(HOP_SECONDS * sample_rate))
    power = np.concatenate([[0.0], np.cumsum(np.square(waveform[0], dtype=np.float64))])
    starts = np.arange(0, max(1, waveform.shape[-1] - num_samples + 1), hop)
    ends = np.minimum(starts + num_samples, waveform.shape[-1])
    powers = (power[ends] - power[starts]) / (ends - starts)
    return powers, [slice(first, last) for first, last in zip(starts.tolist(), ends.tolist(), strict=True)]


def background_level_db(waveform: NDArray[np.float32], sample_rate: int) -> float:
    """Return the level in dBFS that three quarters of the tenths of a second of `waveform` (C, S) exceed.

    Of a steady sound it is the RMS; what stands out for less than that, such as an action, does not count.
    """
    hop = min(waveform.shape[-1], max(1, round(HOP_SECONDS * sample_rate)))
    whole = waveform[:, : waveform.shape[-1] // hop * hop]
    power = np.square(whole.reshape(len(whole), -1, hop), dtype=np.float64).mean(axis=(0, 2))
    level = float(np.quantile(power, BACKGROUND_QUANTILE))
    return 10 * float(np.log10(level)) if level > 0 else float("-inf")


def at_level(waveform: NDArray[np.float32], level_db: float) -> NDArray[np.float32]:
    """Return `waveform` scaled to an RMS of `level_db` dBFS; silence stays silence."""
    current = rms_dbfs(waveform)
    return waveform if current == -np.inf else waveform * np.float32(10 ** ((level_db - current) / 20))


def is_silent(waveform: NDArray[np.float32]) -> bool:
    """Return whether `waveform` holds nothing that could be taken for an ambience."""
    return rms_dbfs(waveform) < SILENCE_DBFS


def rms_dbfs(waveform: NDArray[np.float32]) -> float:
    """Return the RMS level in dB relative to 1; minus infinity for silence."""
    power = float(np.square(waveform, dtype=np.float64).mean())
    return 10 * float(np.log10(power)) if power > 0 else float("-inf")
