"""The video's own sound, on the clock and at the rate of the new one."""

from __future__ import annotations

from foleykit.audio.resample import resample_blocks
from foleykit.core.signals import Signal, blocks_of, write_blocks, zeros
from foleykit.video.info import VideoInfo
from foleykit.video.sound import read_audio_track


def read_original(info: VideoInfo, sample_rate: int) -> Signal | None:
    """Return the own sound (C, S) at `sample_rate`, as long as the pictures; None where there is none to read."""
    track = read_audio_track(info)
    if track is None:
        return None
    waveform, rate = track
    own = zeros(waveform.shape[0], max(1, round(info.duration * sample_rate)))
    return write_blocks(own, resample_blocks(blocks_of(waveform), rate, sample_rate))
