"""The pictures of many spans, from one pass over a stream: decoded where needed, scaled, encoded as clips."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from foleykit.data.span_types import CutConfig, Span
from foleykit.video.encode import ColorTags, encode_video
from foleykit.video.frames import Scaler
from foleykit.video.info import DEFAULT_LIMITS, Orientation
from foleykit.video.probe import exact, prepare_decoder, upright

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_CLIP_CLOCK = Fraction(1, 90_000)
_TICK_SECONDS = 1e-6
_BT709, _UNSTATED, _BT601 = 1, 2, 6
_HD_HEIGHT = 720


@dataclass
class SeenSpan:
    """What was seen of one span so far."""

    span: Span
    frames: list[VideoFrame] = field(default_factory=list)
    """Scaled pictures, dropped when they are encoded."""
    times: list[float] = field(default_factory=list)
    """Seconds from the start of the span."""
    longest_hold: float = 0.0
    movie: bytes = b""
    num_frames: int = 0
    problem: str = ""
    is_done: bool = False


class SpanPictures:
    """Scales the pictures that some span needs, and encodes each span when it is complete."""

    def __init__(self, spans: Sequence[Span], config: CutConfig, stream: VideoStream) -> None:
        prepare_decoder(stream, DEFAULT_LIMITS, num_threads=1)
        rate = stream.average_rate or stream.guessed_rate
        self._rate = exact(rate) if rate else Fraction(25)
        self._start_time = float((stream.start_time or 0) * exact(stream.time_base))
        self._time_base = float(exact(stream.time_base))
        self._config = config
        # A slow picture rate holds every picture long; that is not damage.
        self._max_hold = max(config.max_missing_pictures, 2.5 / float(self._rate))
        self.spans = [SeenSpan(span=span) for span in spans]
        self._upcoming = deque(self.spans)
        self._active: list[SeenSpan] = []
        self._shown: VideoFrame | None = None
        self._latest = float("-inf")
        self._shrink = _Shrinker(config.size)
        self._context = stream.codec_context
        self._groups = _Groups(spans, self._start_time, self._time_base)
        self.num_errors = 0

    def take(self, packet: Packet) -> None:
        """Decode a packet of the pictures as soon as it is known whether its group is needed."""
        for ready in self._groups.take(packet):
            self._decode(ready)

    def _decode(self, packet: Packet | None) -> None:
        """Decode one packet, or, for None, take what the decoder still holds and let it start anew."""
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            self.num_errors += 1
            frames = []
        for frame in frames:
            self._push(frame)
        if packet is None:
            self._context.flush_buffers()

    def _push(self, frame: VideoFrame) -> None:
        if frame.is_corrupt or frame.pts is None:
            self.num_errors += 1
            return
        time = frame.pts * self._time_base - self._start_time
        if time <= self._latest:
            return
        while self._upcoming and self._upcoming[0].span.start <= time + _TICK_SECONDS:
            seen = self._upcoming.popleft()
            self._active.append(seen)
            if seen.span.start < time - _TICK_SECONDS and self._shown is not None:
                self._add(seen, self._shown, seen.span.start)
        for seen in self._active:
            if time >= seen.span.end - _TICK_SECONDS:
                self._close(seen, time)
            else:
                self._add(seen, frame, time)
        self._active = [seen for seen in self._active if not seen.is_done]
        self._shown, self._latest = frame, time

    def finish(self) -> None:
        """Say that there are no more."""
        for ready in self._groups.finish():
            self._decode(ready)
        end = self._latest + 1 / float(self._rate)
        for seen in (*self._active, *self._upcoming):
            self._close(seen, end)
        self._active.clear()
        self._upcoming.clear()

    def _add(self, seen: SeenSpan, frame: VideoFrame, time: float) -> None:
        relative = max(0.0, time - seen.span.start)
        previous = seen.times[-1] if seen.times else 0.0
        seen.longest_hold = max(seen.longest_hold, relative - previous)
        seen.times.append(relative)
        seen.frames.append(self._shrink(frame))

    def _close(self, seen: SeenSpan, next_time: float) -> None:
        """Finish a span; the picture after its last one appears at `next_time`."""
        span = seen.span
        covered = next_time - span.start
        length = span.end - span.start
        last = seen.times[-1] if seen.times else 0.0
        hold = max(seen.longest_hold, min(covered, length) - last)
        if not seen.frames:
            seen.problem = "the pictures end before it"
        elif covered < length - self._max_hold:
            seen.problem = f"the pictures end {length - covered:.2f} s early"
        elif self.num_errors and hold > self._max_hold:
            seen.problem = f"{hold:.2f} s of its pictures are damaged"
        else:
            seen.movie = encode_clip(seen.frames, seen.times, length, self._rate, self._shrink.colors)
            seen.num_frames = len(seen.frames)
        seen.frames.clear()
        seen.is_done = True


class _Groups:
    """Lets only those groups of pictures through that some span needs: from a key picture to the next."""

    def __init__(self, spans: Sequence[Span], start_time: float, time_base: float) -> None:
        self._start_time, self._time_base = start_time, time_base
        self._spans = deque(spans)
        self._latest_end = 0.0
        self._packets: list[Packet] = []
        self._is_running = False

    def take(self, packet: Packet) -> list[Packet | None]:
        """Return the packets to decode now; None where the decoder is to be emptied, because pictures are left out."""
        if not packet.size:
            return []
        ready: list[Packet | None] = []
        if packet.is_keyframe and packet.pts is not None and self._packets:
            ready = self._close(packet.pts * self._time_base - self._start_time)
        self._packets.append(packet)
        return ready

    def finish(self) -> list[Packet | None]:
        """Return what is left to decode."""
        return [*self._close(float("inf")), *([None] if self._is_running else [])]

    def _close(self, end: float) -> list[Packet | None]:
        """Return what to do about the gathered group, which is on show until the next key picture at `end`."""
        packets, self._packets = self._packets, []
        times = [packet.pts for packet in packets if packet.pts is not None]
        begin = min(times) * self._time_base - self._start_time if len(times) == len(packets) else float("-inf")
        # In order of start; a long span may still be open when later ones have begun.
        while self._spans and self._spans[0].start < end:
            self._latest_end = max(self._latest_end, self._spans.popleft().end)
        if self._latest_end > begin - _TICK_SECONDS:
            self._is_running = True
            return list(packets)
        was_running, self._is_running = self._is_running, False
        return [None] if was_running else []


class _Shrinker:
    """Scales pictures to the size of clips, upright, at most once each."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._reformatter = VideoReformatter()
        self._scaler: Scaler | None = None
        self._last: tuple[VideoFrame, VideoFrame] | None = None
        self._orientation: Orientation | None = None
        self.colors = ColorTags()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Return `frame` in 8-bit 4:2:0 of the clips' size."""
        if self._last is None or self._last[0] is not frame:
            self._last = (frame, self._scaled(frame))
        return self._last[1]

    def _scaled(self, frame: VideoFrame) -> VideoFrame:
        if self._orientation is None:
            self._orientation = upright(frame)
            if self._orientation != Orientation():
                self._scaler = Scaler(self._orientation, self._size)
            else:
                guess = _BT709 if frame.height >= _HD_HEIGHT else _BT601
                self.colors = ColorTags(
                    matrix=frame.colorspace if frame.colorspace != _UNSTATED else guess, primaries=2, transfer=2
                )
        if self._scaler is not None:
            turned = av.VideoFrame.from_ndarray(np.ascontiguousarray(self._scaler(frame)), format="rgb24")
            return turned.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        height, width = self._size
        return self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="yuv420p",
            src_color_range=frame.color_range,
            dst_color_range="MPEG",
            interpolation=Interpolation.AREA,
            threads=1,
        )


def encode_clip(
    frames: Sequence[VideoFrame], times: Sequence[float], seconds: float, rate: Fraction, colors: ColorTags
) -> bytes:
    """Return an mp4 of `frames` shown at `times` (seconds, the first at 0 or just after) and ending after `seconds`.

    The same input gives the same bytes, on any number of cores.
    """
    first = frames[0]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = encode_video(
            container, width=first.width, height=first.height, rate=rate, time_base=_CLIP_CLOCK, colors=colors
        )
        stream.codec_context.thread_count = 1
        ends = [*times[1:], max(seconds, times[-1])]
        for frame, time, end in zip(frames, times, ends, strict=True):
            # A picture may be in several spans: each gets a copy with its own time stamp.
            copy = av.VideoFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name)
            copy.pts, copy.time_base = round(time / _CLIP_CLOCK), _CLIP_CLOCK
            copy.duration = max(1, round(end / _CLIP_CLOCK) - copy.pts)
            container.mux(stream.encode(copy))
        container.mux(stream.encode(None))
    return buffer.getvalue()
