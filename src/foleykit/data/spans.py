"""Cut many spans out of a long video in one pass over its file."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from foleykit.audio.resample import StreamResampler
from foleykit.core.errors import ConfigError, MediaError
from foleykit.data.manifest import Reason
from foleykit.video.encode import ColorTags, encode_video
from foleykit.video.frames import Scaler
from foleykit.video.info import DEFAULT_LIMITS, Orientation
from foleykit.video.probe import exact, open_media, packets_of, picture_stream, prepare_decoder, sound_stream, upright
from foleykit.video.sound import to_float

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_CLIP_CLOCK = Fraction(1, 90_000)
_TICK_SECONDS = 1e-6
_JUMP_SECONDS = 0.02
_BT709, _UNSTATED, _BT601 = 1, 2, 6
_HD_HEIGHT = 720


@dataclass(frozen=True, kw_only=True)
class CutConfig:
    """What a cut clip looks and sounds like."""

    size: tuple[int, int] = (224, 224)
    """(height, width) of the pictures; the aspect ratio is not kept, as in the published clips."""
    sample_rate: int = 16_000
    """Of the sound, which becomes mono."""
    max_missing_sound: float = 0.1
    """Seconds of a clip for which its track may hold no sound; more, and the clip is refused."""
    max_missing_pictures: float = 0.25
    """Seconds for which the pictures may end early, or stop after damage; more, and the clip is refused."""

    def __post_init__(self) -> None:
        if min(self.size) < 16 or any(side % 2 for side in self.size):
            raise ConfigError(f"size must be even and at least 16 pixels each way, got {self.size}")
        if self.sample_rate < 1000:
            raise ConfigError(f"sample_rate must be at least 1000 Hz, got {self.sample_rate}")
        if min(self.max_missing_sound, self.max_missing_pictures) < 0:
            raise ConfigError("max_missing_sound and max_missing_pictures must not be negative")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of a long video, in seconds from its first picture."""

    key: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class CutSpan:
    """One span as it came out of the pass."""

    key: str
    waveform: NDArray[np.float32]
    """(S,) mono; (0,) for a video without sound."""
    movie: bytes
    """An mp4 of the pictures alone; empty when only the sound was asked for, or when the span was refused."""
    num_frames: int
    missing_sound: float
    """Seconds of `waveform` for which the track held nothing."""
    problem: Reason | None = None
    detail: str = ""


def header_seconds(path: Path) -> float:
    """Return how long the header says that a video is; raises MediaError when it is no video or does not say."""
    with open_media(path) as container:
        stream = picture_stream(container, path)
        if stream.duration and stream.time_base:
            return float(stream.duration * exact(stream.time_base))
        if container.duration:
            return container.duration / av.time_base
    raise MediaError(f"{path} does not say how long it is")


def cut_spans(
    path: Path, spans: Sequence[Span], config: CutConfig = CutConfig(), *, with_pictures: bool = True
) -> Iterator[CutSpan]:
    """Yield every span, in order of its start, from one pass over `path` that ends after the last of them.

    A picture belongs to a span from the one on show at its start to the last that appears before its end; its time
    stays true. Spans may overlap. A span of which too much is missing is yielded with its `problem`, never filled up.
    Memory holds the spans that are open at one moment. Raises MediaError when the file is no video at all.
    """
    ordered = sorted(spans, key=lambda span: (span.start, span.end, span.key))
    with open_media(path) as container:
        stream = picture_stream(container, path)
        sound, problem = sound_stream(container)
        if sound is None:
            detail = problem or "the file has no sound track"
            yield from (_refused(span, "no-sound", detail) for span in ordered)
            return
        begins = stream.start_time if stream.start_time is not None else 0
        ears = _Sound(path, ordered, config, begins * exact(stream.time_base))
        eyes = _Pictures(ordered, config, stream) if with_pictures else None
        if eyes is None:
            stream.discard = av.stream.Discard.all
        waiting = deque(zip(ears.spans, eyes.spans if eyes else [None] * len(ordered), strict=True))
        for packet in packets_of(container, *([stream, sound] if eyes else [sound])):
            if packet.stream_index == stream.index:
                if eyes:
                    eyes.take(packet)
            else:
                ears.take(packet)  # type: ignore[arg-type]
            while waiting and waiting[0][0].is_done and (waiting[0][1] is None or waiting[0][1].is_done):
                yield _result(*waiting.popleft(), config)
            if not waiting:
                return
        ears.finish()
        if eyes:
            eyes.finish()
        for heard, seen in waiting:
            yield _result(heard, seen, config)


def _refused(span: Span, reason: Reason, detail: str) -> CutSpan:
    return CutSpan(
        key=span.key, waveform=np.zeros(0, np.float32), movie=b"", num_frames=0,
        missing_sound=span.end - span.start, problem=reason, detail=detail,
    )  # fmt: skip


def _result(heard: _HeardSpan, seen: _SeenSpan | None, config: CutConfig) -> CutSpan:
    problem: Reason | None = None
    detail = ""
    if heard.missing > config.max_missing_sound:
        problem, detail = "sound-missing", f"{heard.missing:.2f} s of its sound are not in the file"
    elif seen is not None and seen.problem:
        problem, detail = "pictures-missing", seen.problem
    return CutSpan(
        key=heard.span.key,
        waveform=heard.waveform,
        movie=b"" if seen is None or problem else seen.movie,
        num_frames=0 if seen is None else seen.num_frames,
        missing_sound=round(heard.missing, 6),
        problem=problem,
        detail=detail,
    )


@dataclass
class _HeardSpan:
    span: Span
    first: int
    """Sample of the long video at which the span starts."""
    waveform: NDArray[np.float32]
    missing: float = 0.0
    is_done: bool = False


class _Sound:
    """Resamples the track of a whole video as it is decoded and hands each span its part."""

    def __init__(self, path: Path, spans: Sequence[Span], config: CutConfig, start_time: Fraction) -> None:
        self._path = path
        self._rate_out = config.sample_rate
        self._start_time = start_time
        self.spans = [
            _HeardSpan(
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

    def _close(self, heard: _HeardSpan) -> None:
        overlaps = (min(end, heard.span.end) - max(start, heard.span.start) for start, end in self._gaps)
        heard.missing = sum(overlap for overlap in overlaps if overlap > 0)
        heard.is_done = True


@dataclass
class _SeenSpan:
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


class _Pictures:
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
        self.spans = [_SeenSpan(span=span) for span in spans]
        self._upcoming = deque(self.spans)
        self._active: list[_SeenSpan] = []
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

    def _add(self, seen: _SeenSpan, frame: VideoFrame, time: float) -> None:
        relative = max(0.0, time - seen.span.start)
        previous = seen.times[-1] if seen.times else 0.0
        seen.longest_hold = max(seen.longest_hold, relative - previous)
        seen.times.append(relative)
        seen.frames.append(self._shrink(frame))

    def _close(self, seen: _SeenSpan, next_time: float) -> None:
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
