"""The sound of many spans, from one pass over a track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from foleykit.audio.resample import StreamResampler
from foleykit.core.errors import MediaError
from foleykit.data.span_types import CutConfig, Span
from foleykit.video.probe import exact
from foleykit.video.sound import to_float

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet

_JUMP_SECONDS = 0.02


@dataclass
class HeardSpan:
    """What was heard of one span so far."""

    span: Span
    first: int
    """Sample of the long video at which the span starts."""
    waveform: NDArray[np.float32]
    missing: float = 0.0
    is_done: bool = False


class SpanSound:
    """Resamples the track of a whole video as it is decoded and hands each span its part."""

    def __init__(self, path: Path, spans: Sequence[Span], config: CutConfig, start_time: Fraction) -> None:
        self._path = path
        self._rate_out = config.sample_rate
        self._start_time = start_time
        self.spans = [
            HeardSpan(
                span=span,
                first=round(span.start * self._rate_out),
                waveform=np.zeros(round((span.end - span.start) * self._rate_out), np.float32),
            )
            for span in spans
        ]
        self._open = list(self.spans)
        self._needed_seconds = max((span.end for span in spans), default=0.0) + 1
        self._has_begun = False
        self._resampler: StreamResampler | None = None
        self._rate_in = 0
        self._num_in = 0
        self._num_out = 0
        self._gaps: list[tuple[float, float]] = []

    def take(self, packet: Packet[AudioStream]) -> None:
        """Decode a packet of the track, or step over it when it is damaged."""
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return
        for frame in frames:
            self._push(frame)

    def _push(self, frame: AudioFrame) -> None:
        if self._resampler is None:
            self._rate_in = frame.sample_rate
            self._resampler = StreamResampler(self._rate_in, self._rate_out, 1)
        elif frame.sample_rate != self._rate_in:
            raise MediaError(f"{self._path}: its sound changes from {self._rate_in} to {frame.sample_rate} Hz")
        samples = to_float(frame).mean(axis=0)
        position = self._position(frame)
        self._has_begun = True
        if position > self._num_in:
            self._gaps.append((self._num_in / self._rate_in, position / self._rate_in))
            # Nothing is wanted after the last span: a wild time stamp must not become hours of silence.
            limit = round(self._needed_seconds * self._rate_in)
            self._feed(np.zeros(max(0, min(position, limit) - self._num_in), np.float32))
            if position > limit:
                return
        self._feed(samples[max(0, self._num_in - position) :])

    def finish(self) -> None:
        """Say that there is no more."""
        if self._resampler is not None:
            self._deliver(self._resampler.push(np.zeros((1, 0), np.float32), last=True)[0])
            self._gaps.append((self._num_in / self._rate_in, np.inf))
        else:
            self._gaps.append((0.0, np.inf))
        for heard in self._open:
            self._close(heard)
        self._open.clear()

    def _position(self, frame: AudioFrame) -> int:
        """Return the sample at which `frame` starts: counted on from the last one unless its time stamp jumps."""
        if frame.pts is None:
            return self._num_in
        time_base = exact(frame.time_base)
        stamped = round((frame.pts * time_base - self._start_time) * self._rate_in)
        # Some containers round times to whole milliseconds: smaller steps are no gaps, but the first one is an offset.
        is_jump = abs(stamped - self._num_in) > _JUMP_SECONDS * self._rate_in
        return stamped if is_jump or not self._has_begun else self._num_in

    def _feed(self, samples: NDArray[np.float32]) -> None:
        if samples.size and self._resampler is not None:
            self._num_in += samples.size
            self._deliver(self._resampler.push(samples[None])[0])

    def _deliver(self, samples: NDArray[np.float32]) -> None:
        start, self._num_out = self._num_out, self._num_out + samples.size
        still_open = []
        for index, heard in enumerate(self._open):
            if heard.first >= self._num_out:
                # In order of their start: none of the rest has begun.
                still_open += self._open[index:]
                break
            low = max(start, heard.first)
            high = min(self._num_out, heard.first + heard.waveform.size)
            if low < high:
                heard.waveform[low - heard.first : high - heard.first] = samples[low - start : high - start]
            if self._num_out >= heard.first + heard.waveform.size:
                self._close(heard)
            else:
                still_open.append(heard)
        self._open = still_open

    def _close(self, heard: HeardSpan) -> None:
        overlaps = (min(end, heard.span.end) - max(start, heard.span.start) for start, end in self._gaps)
        heard.missing = sum(overlap for overlap in overlaps if overlap > 0)
        heard.is_done = True
