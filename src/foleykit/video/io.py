"""Read a video's pictures at a wanted rate and size, upright, from true time stamps, in chunks of constant memory."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import av
import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError, MediaError, MediaWarning
from foleykit.core.timeline import Timeline
from foleykit.video.frames import Deinterlacer, Scaler, seconds_of
from foleykit.video.info import DEFAULT_LIMITS, MediaLimits, VideoInfo
from foleykit.video.picks import FramePick, nearest_pictures, next_pictures, summed_times
from foleykit.video.probe import open_media, packets_of, prepare_decoder, probe

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Frame threads each hold pictures of their own; beyond a few they cost memory and bring little.
_MAX_THREADS = 4
_THREADS_WORTHWHILE_PIXELS = 480 * 360
_SEEKABLE = frozenset({"mp4", "mov", "3gp", "matroska", "webm"})
_COUNTING_RATE = 48_000
# A header that promises this much more than there is speaks of a file that was cut off.
_CUT_OFF_SECONDS = Fraction(1, 10)


@dataclass
class _Picture:
    """A decoded picture, scaled and turned the first time it is asked for."""

    time: float
    """Seconds from the first displayed picture."""
    frame: VideoFrame
    small: NDArray[np.uint8] | None = None


@dataclass
class _Damage:
    """What packets announced but the decoder never gave."""

    num_errors: int = 0
    missing: dict[int, int] = field(default_factory=dict)
    """Ticks of duration by time stamp, of pictures that have not come out of the decoder yet."""

    def lost(self, info: VideoInfo, start: Fraction, end: Fraction) -> Fraction:
        """Return the seconds of [start, end) without a picture of their own."""
        # Without an error the decoder held back on purpose, or two packets made one interlaced picture.
        if not self.num_errors:
            return Fraction(0)
        first, last = ((info.start_time + time) / info.time_base for time in (start, end))
        return sum(ticks for pts, ticks in self.missing.items() if first <= pts < last) * info.time_base


class VideoReader:
    """The pictures of a file at a constant rate: iterate for chunks (t, H, W, 3), uint8 RGB, upright.

    Output frame k shows the picture nearest to `start + k / fps`, but never one that appears later than half an output
    interval after it, so that what follows a gap is not seen early. Where pictures are missing the last good one is
    held; before the first one that decodes, that one is shown. Each iteration opens the file anew and keeps two source
    pictures and one chunk in memory.
    """

    def __init__(
        self,
        source: str | Path | VideoInfo,
        *,
        fps: float | Fraction,
        size: tuple[int, int],
        start: float | Fraction | None = None,
        end: float | Fraction | None = None,
        chunk_frames: int = 64,
        pick: FramePick = "nearest",
        on_picture: Callable[[VideoFrame, float], None] | None = None,
        limits: MediaLimits = DEFAULT_LIMITS,
    ) -> None:
        """Read the times of `source`; pass a `VideoInfo` to save that pass.

        `size` is (H, W) of the upright result; pictures are stretched to it. `start` and `end` are seconds from the
        first picture. With `pick` "next" a frame shows the first picture that is not earlier than its time.
        `on_picture` sees every picture of the range as it was decoded, with its time in seconds. Raises
        MediaError as `probe` does and InputError for an impossible range, rate or size.
        """
        self.info = source if isinstance(source, VideoInfo) else probe(source, limits)
        self.fps = Fraction(fps)
        self.size = size
        self.chunk_frames = chunk_frames
        self.pick = pick
        self.on_picture = on_picture
        self.limits = limits
        self.start = Fraction(0) if start is None else Fraction(start)
        self.end = self.info.duration if end is None else min(Fraction(end), self.info.duration)
        if self.fps <= 0 or min(size) < 1 or chunk_frames < 1:
            raise InputError(f"frames need a positive rate, size and chunk; got {fps} fps, {size}, {chunk_frames}")
        if not 0 <= self.start < self.end:
            raise InputError(
                f"the range {float(self.start):g} to {float(self.end):g} s is empty; "
                f"{self.info.path.name} lasts {float(self.info.duration):g} s"
            )
        timeline = Timeline.from_seconds(self.end - self.start, _COUNTING_RATE)
        self.num_frames = timeline.num_video_frames(float(self.fps))

    def __len__(self) -> int:
        """Return the number of output frames."""
        return self.num_frames

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield chunks (t, H, W, 3) with `t <= chunk_frames`; warns once, at the end, when not all of it decoded."""
        damage = _Damage()
        with open_media(self.info.path) as container:
            yield from self._sample(self._pictures(container, damage))
        self._report(damage)

    def _sample(self, pictures: Iterator[_Picture]) -> Iterator[NDArray[np.uint8]]:
        """Yield chunks from pictures in order of time."""
        scale = Scaler(self.info.orientation, self.size)
        shown: _Picture | None = None
        picked = self._picked(pictures)
        chunk = self._new_chunk(0)
        for index in range(self.num_frames):
            shown = next(picked, shown)
            if shown is None:
                raise MediaError(f"{self.info.path}: not one picture can be decoded")
            if shown.small is None:
                shown.small = scale(shown.frame)
            chunk[index % self.chunk_frames] = shown.small
            if index + 1 == self.num_frames or (index + 1) % self.chunk_frames == 0:
                yield chunk
                chunk = self._new_chunk(index + 1)
        # Damage after the last sample is damage too.
        for _ in pictures:
            pass

    def _picked(self, pictures: Iterator[_Picture]) -> Iterator[_Picture]:
        """Yield the picture of each output frame; where they end before the output does, the last one is held."""
        match self.pick:
            case "nearest":
                times = (float(self.start + index / self.fps) for index in range(self.num_frames))
                return nearest_pictures(pictures, times, float(1 / self.fps) / 2)
            case "next":
                start = float(self.start)
                return next_pictures(pictures, (start + time for time in summed_times(float(self.fps))))
            case _:
                assert_never(self.pick)

    def _new_chunk(self, first: int) -> NDArray[np.uint8]:
        return np.empty((min(self.chunk_frames, self.num_frames - first), *self.size, 3), np.uint8)

    def _pictures(self, container: InputContainer, damage: _Damage) -> Iterator[_Picture]:
        """Yield displayed pictures in strictly rising time, deinterlaced."""
        stream: VideoStream = container.streams[self.info.stream_index]  # type: ignore[assignment]
        pixels = self.info.width * self.info.height
        threads = min(os.cpu_count() or 1, _MAX_THREADS) if pixels > _THREADS_WORTHWHILE_PIXELS else 1
        prepare_decoder(stream, self.limits, threads)
        self._seek(container, stream)
        latest = float("-inf")
        for frame in Deinterlacer().run(self._decode(container, stream, damage)):
            time = float(seconds_of(frame) - self.info.start_time)
            if time > latest and time < float(self.end):
                latest = time
                if self.on_picture is not None and time >= float(self.start):
                    self.on_picture(frame, time)
                yield _Picture(time, frame)

    def _seek(self, container: InputContainer, stream: VideoStream) -> None:
        """Jump to the key frame before `start` where the container has an index."""
        if self.start > 1 and self.info.container in _SEEKABLE:
            ticks = int((self.info.start_time + self.start) / self.info.time_base)
            container.seek(ticks, stream=stream, backward=True)

    def _decode(self, container: InputContainer, stream: VideoStream, damage: _Damage) -> Iterator[VideoFrame]:
        """Yield good frames that have a time stamp, going on after damage and noting what is missing."""
        usual_ticks = round(self.info.duration / self.info.num_frames / self.info.time_base)
        end_ticks = (self.info.start_time + self.end) / self.info.time_base
        for packet in packets_of(container, stream):
            if self.end < self.info.duration and (packet.dts or 0) > end_ticks:
                return
            if packet.size and not packet.is_discard and packet.pts is not None:
                damage.missing[packet.pts] = packet.duration or usual_ticks
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damage.num_errors += 1
                continue
            for frame in frames:
                if frame.pts is None:
                    frame.pts = frame.dts
                if frame.is_corrupt or frame.pts is None:
                    damage.num_errors += 1
                    continue
                damage.missing.pop(frame.pts, None)
                yield frame

    def _report(self, damage: _Damage) -> None:
        """Warn once when pictures were announced by the header or by packets but could not be used."""
        span = self.end - self.start
        lost = damage.lost(self.info, self.start, self.end)
        promised = span
        if self.end == self.info.duration and self.info.promised_duration > self.end + _CUT_OFF_SECONDS:
            promised = self.info.promised_duration - self.start
        if lost or promised > span:
            used = float(max(span - lost, Fraction(0)))
            digits = 1 if promised > 2 else 2
            warnings.warn(
                MediaWarning(
                    f"{self.info.path.name}: used {used:.{digits}f} of {float(promised):.{digits}f} s of its pictures; "
                    "the rest is damaged or missing"
                ),
                stacklevel=3,
            )
