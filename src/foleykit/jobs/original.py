"""The video's own sound, on the clock and at the rate of the new one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.resample import fit_length, resample
from foleykit.video.info import VideoInfo
from foleykit.video.sound import read_audio_track


def read_original(info: VideoInfo, sample_rate: int) -> NDArray[np.float32] | None:
    """Return the own sound (C, S) at `sample_rate`, as long as the pictures; None where there is none to read."""
    track = read_audio_track(info)
    if track is None:
        return None
    waveform, rate = track
    return fit_length(resample(waveform, rate, sample_rate), max(1, round(info.duration * sample_rate)))
