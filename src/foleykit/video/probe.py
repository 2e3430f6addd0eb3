"""Open media files, choose their streams, and read what they hold from the packets instead of the header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import av
import numpy as np
from av.stream import Discard, Disposition, Stream

from foleykit.core.containers import TAGS_AS_BYTES
from foleykit.core.errors import MediaError
from foleykit.video.info import DEFAULT_LIMITS, AudioInfo, MediaLimits, Orientation, VideoInfo

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

AnyStream = TypeVar("AnyStream", bound=Stream)

# FFmpeg reads still pictures and even plain text as if they were video.
_NOT_VIDEO = frozenset({"image2", "tty", "bin", "xbin", "adf", "idf", "lrc", "srt", "ass", "webvtt"})
_DEFAULT_FPS = 25
# What Matroska writers note for each track, counted from 0, beside one length for the whole file.
_DURATION_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def exact(ratio: object) -> Fraction:
    """Return a PyAV ratio, which is a `Fraction` or PyAV's own type depending on the version, as a `Fraction`."""
    return Fraction(ratio.numerator, ratio.denominator)  # type: ignore[attr-defined]


def check_file(path: Path) -> None:
    """Raise MediaError when `path` is not a file that has something in it."""
    try:
        if not path.exists():
            raise MediaError(f"{path}: no such file")
        if path.is_dir():
            raise MediaError(f"{path} is a folder; name a video file")
        if not path.is_file():
            raise MediaError(f"{path} is not a regular file")
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty (0 bytes)")
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}") from error


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a local file for reading, never a network address. Raises MediaError when it is missing or not media."""
    check_file(path)
    try:
        container = av.open(
            f"file:{path}",
            container_options={"protocol_whitelist": "file"},
            **TAGS_AS_BYTES,
        )
    except PermissionError as error:
        raise MediaError(f"{path} cannot be read: permission denied") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path} cannot be opened as media: it is damaged, incomplete or not a video") from error
    try:
        yield container
    finally:
        container.close()


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream that a player would show. Raises MediaError when there is none that can be decoded."""
    name = container.format.name
    if name in _NOT_VIDEO or name.endswith("_pipe"):
        raise MediaError(f"{path} is not a video (read as {name})")
    videos = [stream for stream in container.streams if stream.type == "video"]
    streams = [stream for stream in videos if not stream.disposition & Disposition.attached_pic]
    if not streams:
        only = "only a cover picture" if videos else "only sound" if container.streams.audio else "nothing to see"
        raise MediaError(f"{path} has no picture stream ({only})")
    stream = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise MediaError(f"{path}: the pictures are in a format that cannot be decoded here")
    return stream  # type: ignore[return-value]


def sound_stream(container: InputContainer) -> tuple[AudioStream | None, str]:
    """Return the sound track that a player would play, and why there is none although the file has one."""
    tracks = list(container.streams.audio)
    readable = [s for s in tracks if s.codec_context is not None and s.codec_context.sample_rate > 0]
    if not readable:
        return None, "the sound track has no readable description" if tracks else ""
    return next((s for s in readable if s.disposition & Disposition.default), readable[0]), ""


def packets_of(container: InputContainer, *streams: AnyStream) -> Iterator[Packet[AnyStream]]:
    """Yield the packets of some streams as far as the file can be read, then an empty one each to flush decoders."""
    flushed = set()
    try:
        for packet in container.demux(streams):
            if not packet.size:
                flushed.add(packet.stream_index)
            yield packet  # type: ignore[misc]
    # PyAV stumbles with an IndexError over streams that only appear in the middle of a transport stream.
    except (av.FFmpegError, IndexError):
        for stream in streams:
            if stream.index not in flushed:
                flush: Packet[AnyStream] = av.Packet()  # type: ignore[assignment]
                flush.stream = stream
                yield flush


def prepare_decoder(stream: VideoStream, limits: MediaLimits, num_threads: int) -> None:
    """Set threads and the largest picture of a decoder that is not open yet."""
    context = stream.codec_context
    # Only a guard for streams that grow: decoders count padding, so the exact limit is checked on what is known.
    context.options = {"max_pixels": str(2 * limits.max_pixels + 2**20)}
    context.thread_type = "AUTO" if num_threads > 1 else "NONE"
    context.thread_count = num_threads


def upright(frame: VideoFrame) -> Orientation:
    """Return how a decoded frame is to be turned."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    return Orientation.from_matrix(np.frombuffer(bytes(matrix), dtype="<i4"))  # type: ignore[call-overload]


def _container_name(container: InputContainer, path: Path) -> str:
    name = container.format.name
    if name.startswith("mov,"):
        brand = container.metadata.get("major_brand", "")
        return "mov" if brand.startswith("qt") else "3gp" if brand.startswith("3g") else "mp4"
    if name.startswith("matroska"):
        return "webm" if path.suffix.lower() == ".webm" else "matroska"
    return str(name)


@dataclass
class _PacketTimes:
    """Times of all displayed pictures, in ticks of the stream's clock, and the first picture that decodes."""

    shown: list[int] = field(default_factory=list)
    last_duration: int = 0
    """Ticks of the picture that is shown last."""
    all_known: bool = True
    hidden_before: bool = False
    hidden_after: bool = False
    first_frame: VideoFrame | None = None

    def add(self, packet: Packet[VideoStream]) -> None:
        """Note one packet."""
        pts = packet.pts if packet.pts is not None else packet.dts
        self.all_known &= packet.pts is not None
        if pts is None:
            return
        if packet.is_discard:
            later = bool(self.shown) and pts > max(self.shown[-32:])
            self.hidden_after |= later
            self.hidden_before |= not later
            return
        if not self.shown or pts >= max(self.shown[-32:]):
            self.last_duration = packet.duration or 0
        self.shown.append(pts)


def _read_packets(container: InputContainer, stream: VideoStream, path: Path, limits: MediaLimits) -> _PacketTimes:
    """Read every picture packet, decoding only until the first frame. Raises MediaError past `limits`."""
    times = _PacketTimes()
    time_base = exact(stream.time_base)
    max_ticks = limits.max_seconds / time_base
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    for packet in packets_of(container, stream):
        if packet.size:
            times.add(packet)
            if times.shown and times.shown[-1] - times.shown[0] > max_ticks:
                raise MediaError(f"{path} is longer than the limit of {limits.max_seconds:g} s")
        if times.first_frame is None:
            try:
                times.first_frame = next(iter(packet.decode()), None)
            except av.FFmpegError:
                continue
    return times


def _last_duration(times: _PacketTimes, stream: VideoStream, time_base: Fraction) -> Fraction:
    """Return how long the last picture is shown: as its packet says, else the usual gap, else one nominal frame."""
    if times.last_duration > 0:
        return times.last_duration * time_base
    if len(times.shown) > 1:
        ordered = np.sort(np.asarray(times.shown, dtype=np.int64))
        return int(np.median(np.diff(ordered))) * time_base
    rate = stream.guessed_rate or stream.average_rate
    return 1 / exact(rate) if rate else Fraction(1, _DEFAULT_FPS)


def _is_vfr(shown: list[int]) -> bool:
    """Return whether gaps differ by more than 2 ticks and 5 percent."""
    gaps = np.diff(np.sort(np.asarray(shown, dtype=np.int64)))
    return len(gaps) > 1 and bool(np.ptp(gaps) > max(2.0, 0.05 * float(np.median(gaps))))


def _promised(container: InputContainer, stream: VideoStream, start_time: Fraction, found: Fraction) -> Fraction:
    """Return the length that the header announces for the pictures, or `found` where it says nothing certain."""
    name = container.format.name
    if name.startswith("mov,") or name == "avi":
        return stream.duration * exact(stream.time_base) if stream.duration else found
    tag = _DURATION_TAG.fullmatch(stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = tag.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds) - start_time
    return found


def _audio_info(container: InputContainer, start_time: Fraction) -> tuple[AudioInfo | None, str]:
    track, problem = sound_stream(container)
    if track is None:
        return None, problem
    begins = track.start_time * exact(track.time_base) if track.start_time is not None else start_time
    context = track.codec_context
    info = AudioInfo(
        codec=context.name, sample_rate=context.sample_rate, channels=context.channels, start=begins - start_time
    )
    return info, ""


def _check_size(width: int, height: int, path: Path, limits: MediaLimits) -> None:
    if width * height > limits.max_pixels:
        raise MediaError(f"{path} has {width} x {height} pixels, more than the limit of {limits.max_pixels}")


def probe(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> VideoInfo:
    """Return what the file holds, from one pass over its picture packets and one decoded picture.

    The length is the span of the displayed pictures' time stamps with the last picture's own duration, as far as an
    edit list shows it; headers are not believed. Raises MediaError when the file is missing, is no video, is larger
    or longer than `limits`, or when not one picture decodes.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = picture_stream(container, path)
        context = stream.codec_context
        _check_size(context.width, context.height, path, limits)
        prepare_decoder(stream, limits, num_threads=1)
        times = _read_packets(container, stream, path, limits)
        if not times.shown:
            raise MediaError(f"{path} holds no pictures with time stamps")
        frame = times.first_frame
        if frame is None:
            raise MediaError(f"{path}: not one of {len(times.shown)} pictures can be decoded")
        _check_size(frame.width, frame.height, path, limits)

        time_base = exact(stream.time_base)
        first, last = min(times.shown), max(times.shown)
        shown_until_last = (last - first) * time_base
        duration = shown_until_last + _last_duration(times, stream, time_base)
        promised = _promised(container, stream, first * time_base, duration)
        # Some writers end the edit list at the last picture's start; only hidden pictures after it mean a real cut.
        is_cut_short = times.hidden_after and shown_until_last < promised < duration
        if is_cut_short:
            duration = promised
        orientation = upright(frame)
        width, height = (frame.height, frame.width) if orientation.transpose else (frame.width, frame.height)
        audio, audio_problem = _audio_info(container, first * time_base)
        return VideoInfo(
            path=path,
            container=_container_name(container, path),
            stream_index=stream.index,
            codec=context.codec.canonical_name,
            pixel_format=frame.format.name,
            width=width,
            height=height,
            orientation=orientation,
            time_base=time_base,
            start_time=first * time_base,
            duration=duration,
            last_duration=duration - shown_until_last,
            promised_duration=max(promised, duration),
            num_frames=len(times.shown),
            is_vfr=_is_vfr(times.shown),
            is_interlaced=frame.interlaced_frame,
            has_all_times=times.all_known,
            has_hidden_start=times.hidden_before,
            has_hidden_end=times.hidden_after or is_cut_short,
            audio=audio,
            audio_problem=audio_problem,
        )
