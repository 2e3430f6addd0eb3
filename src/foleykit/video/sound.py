"""Read the sound track of a video on the clock of its pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import MediaWarning
from foleykit.core.signals import Signal, zeros
from foleykit.core.timeline import Timeline
from foleykit.video.info import DEFAULT_LIMITS, MediaLimits, VideoInfo
from foleykit.video.probe import exact, open_media, packets_of, probe, sound_stream

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# Time stamps of some containers are whole milliseconds; only larger steps are gaps or jumps of the sound itself.
_JUMP_SECONDS = 0.02
_COARSE_CLOCK = Fraction(1, 8000)
_WORTH_A_WARNING_SECONDS = 0.25


def to_float(frame: AudioFrame) -> NDArray[np.float32]:
    """Return the samples of a decoded frame as (C, S) float32, full scale at 1."""
    samples: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - np.float32(128)) / np.float32(128)
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float32)


class _Placer:
    """Where each decoded frame belongs on the pictures' clock, in samples."""

    def __init__(self, start_time: Fraction, sample_rate: int) -> None:
        self._start_time = start_time
        self._sample_rate = sample_rate
        self._next: int | None = None

    def place(self, frame: AudioFrame) -> int:
        """Return the sample at which `frame` starts: counted on from the last one unless its time stamp jumps."""
        position = self._next
        if frame.pts is not None:
            time_base = exact(frame.time_base)
            seconds = frame.pts * time_base - self._start_time
            # Rounding to milliseconds hides that the first sample belongs to the first picture exactly.
            if position is None and time_base > _COARSE_CLOCK and abs(seconds) < 3 * time_base / 2:
                seconds = Fraction(0)
            stamped = round(seconds * self._sample_rate)
            if position is None or abs(stamped - position) > _JUMP_SECONDS * self._sample_rate:
                position = stamped
        position = position or 0
        self._next = position + frame.samples
        return position


def _frames(container: InputContainer, stream: AudioStream, failures: list[float]) -> Iterator[AudioFrame]:
    """Yield what decodes, adding the seconds of each packet that does not to `failures`."""
    time_base = float(stream.time_base or 0)
    for packet in packets_of(container, stream):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            failures.append((packet.duration or 0) * time_base)


def read_audio_track(source: str | Path | VideoInfo, limits: MediaLimits = DEFAULT_LIMITS) -> tuple[Signal, int] | None:
    """Return (waveform (C, S), sample rate) that starts with the first picture and lasts as long as they do.

    A late track is padded in front, an early one trimmed; encoder priming and edit lists are respected. S is
    `round(duration * sample_rate)`. Channels are in the file's order, not mixed down. Returns None for a video without
    sound; a track that cannot be read counts as none, with a MediaWarning, as does the part that cannot be decoded.
    """
    info = source if isinstance(source, VideoInfo) else probe(source, limits)
    if info.audio is None:
        if info.audio_problem:
            _warn(f"{info.path.name} is treated as silent: {info.audio_problem}")
        return None
    waveform: Signal | None = None
    failures: list[float] = []
    with open_media(info.path) as container:
        stream, _ = sound_stream(container)
        assert stream is not None
        for frame in _frames(container, stream, failures):
            if waveform is None:
                sample_rate = frame.sample_rate
                timeline = Timeline.from_seconds(info.duration, sample_rate)
                waveform = zeros(frame.layout.nb_channels, timeline.num_samples)
                placer = _Placer(info.start_time, sample_rate)
            if frame.sample_rate == sample_rate:
                _add(waveform, to_float(frame), placer.place(frame))
    if waveform is None:
        _warn(f"{info.path.name} is treated as silent: nothing of its {info.audio.codec} sound track decodes")
        return None
    if sum(failures) > _WORTH_A_WARNING_SECONDS:
        _warn(f"{info.path.name}: {sum(failures):.1f} s of its sound track cannot be decoded and are left silent")
    return waveform, sample_rate


def _add(waveform: Signal, samples: NDArray[np.float32], position: int) -> None:
    """Write the part of `samples` (C, s) that falls inside `waveform` at `position`; a single channel fills all."""
    first, last = max(position, 0), min(position + samples.shape[1], waveform.shape[1])
    if first >= last:
        return
    part = samples[:, first - position : last - position]
    if part.shape[0] != waveform.shape[0]:
        part = np.broadcast_to(part.mean(axis=0), (waveform.shape[0], last - first))
    waveform[:, first:last] = part


def _warn(message: str) -> None:
    warnings.warn(MediaWarning(message), stacklevel=3)
