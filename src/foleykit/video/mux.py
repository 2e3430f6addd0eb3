"""Give a video another sound: its picture packets are copied untouched, and sound and picture start together."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av

from foleykit.core.errors import MediaError, MediaWarning
from foleykit.video.edits import trim_edit_list
from foleykit.video.encode import ColorTags, SoundEncoder, Waveform, encode_video, fit_frame
from foleykit.video.frames import Deinterlacer, seconds_of
from foleykit.video.info import DEFAULT_LIMITS, VideoInfo
from foleykit.video.output import AudioCodec, audio_codec_for, check_output, output_format, writing
from foleykit.video.probe import exact, open_media, packets_of, picture_stream, prepare_decoder, probe

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# These describe the container that was read, not the one that is written.
_CONTAINER_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})


@dataclass(frozen=True, kw_only=True)
class MuxResult:
    """What was written."""

    path: Path
    is_picture_copied: bool
    """False when the container could not hold the pictures as they were and they were encoded again."""
    audio_codec: AudioCodec
    sample_rate: int
    num_samples: int
    """Of the sound, before encoding; decoders give up to one codec frame more."""


def mux(
    source: str | Path | VideoInfo,
    waveform: Waveform | Iterable[Waveform],
    sample_rate: int,
    output: str | Path,
    *,
    audio_codec: AudioCodec | None = None,
    note: str = "",
    overwrite: bool = False,
) -> MuxResult:
    """Write the pictures of `source` with `waveform` as their only sound to `output`, whose suffix names the container.

    `waveform` is (C, S) in [-1, 1], or chunks (C, s) of it; it starts with the first displayed picture and is trimmed
    or padded with silence to the length of the pictures. Picture packets are copied; only where the container cannot
    hold them are the pictures encoded again. Orientation, colours, subtitles, chapters and tags are kept where the
    container can hold them; the old sound is dropped. To sound only a part, pass silence around it: pictures are never
    cut. Default sound: AAC in mp4, mov and 3gp, Opus in mkv and webm. `note` is one more line of the comment tag, in
    place of any line there that begins with the same word.

    Raises UsageError when `output` exists without `overwrite` or cannot be written, MediaError for an unreadable
    source. Nothing half-written is left behind.
    """
    output = Path(output)
    check_output(output, overwrite=overwrite)
    codec = audio_codec_for(output, audio_codec)
    info = source if isinstance(source, VideoInfo) else probe(source)
    with open_media(info.path) as reading, writing(output, overwrite=overwrite) as container:
        pictures: VideoStream = reading.streams[info.stream_index]  # type: ignore[assignment]
        is_copied = _can_copy(pictures, info, output)
        written = (_copied_stream if is_copied else _encoded_stream)(container, pictures, info)
        sound = SoundEncoder(container, waveform, sample_rate, codec=codec, seconds=info.duration)
        others = _kept_streams(reading, container, output)
        _keep_tags(reading, container, note)
        if is_copied:
            packets = _copied_packets(reading, {pictures.index: written, **others}, info)
        else:
            packets = _encoded_packets(reading, pictures, written, info)
        for packet in packets:
            if packet.stream_index == written.index:
                time = (packet.dts or 0) * exact(packet.time_base)
                container.mux(list(sound.packets(time)))
            container.mux(packet)
        container.mux(list(sound.packets()))
        container.close()
        if is_copied and info.has_hidden_end:
            trim_edit_list(Path(container.name.removeprefix("file:")), info.duration)
    assert sound.num_samples is not None
    return MuxResult(
        path=output,
        is_picture_copied=is_copied,
        audio_codec=codec,
        sample_rate=sound.sample_rate,
        num_samples=sound.num_samples,
    )


def _can_copy(pictures: VideoStream, info: VideoInfo, output: Path) -> bool:
    """Return whether the container of `output` takes the packets, found out by writing its header to memory."""
    target = output_format(output)
    is_partly_hidden = info.has_hidden_start or info.has_hidden_end
    if not info.has_all_times or (is_partly_hidden and not target.has_edit_lists):
        return False
    trial = av.open(io.BytesIO(), "w", format=target.name)
    try:
        trial.add_stream_from_template(pictures, opaque=True)
        trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    finally:
        with suppress(av.FFmpegError):
            trial.close()
    return True


def _copied_stream(container: OutputContainer, pictures: VideoStream, info: VideoInfo) -> VideoStream:
    """Add a stream for untouched packets."""
    # Without `opaque` PyAV looks for an encoder of the same name, which decoders such as libdav1d do not have.
    stream = container.add_stream_from_template(pictures, opaque=True)
    stream.codec_context.framerate = info.nominal_fps
    if info.codec == "hevc" and container.format.name in ("mp4", "mov"):
        # Players of one large vendor refuse the tag hev1, which FFmpeg would choose.
        stream.codec_context.codec_tag = "hvc1"
    stream.metadata.update(pictures.metadata)
    return stream


def _encoded_stream(container: OutputContainer, pictures: VideoStream, info: VideoInfo) -> VideoStream:
    """Add a stream for pictures that are encoded again, with the same clock, colours and orientation."""
    context = pictures.codec_context
    stream = encode_video(
        container,
        width=context.width,
        height=context.height,
        rate=info.nominal_fps,
        time_base=info.time_base,
        colors=ColorTags(matrix=context.colorspace, primaries=context.color_primaries, transfer=context.color_trc),
    )
    if pictures.sample_aspect_ratio:
        stream.codec_context.sample_aspect_ratio = exact(pictures.sample_aspect_ratio)
    stream.set_display_matrix(info.orientation.matrix)
    return stream


def _kept_streams(reading: InputContainer, container: OutputContainer, output: Path) -> dict[int, Stream]:
    """Add streams for subtitles and fonts; return them by the index they have in the source."""
    kept: dict[int, Stream] = {}
    dropped = 0
    for stream in reading.streams:
        if stream.type not in ("subtitle", "attachment"):
            continue
        if stream.type == "attachment" and output_format(output).name != "matroska":
            continue
        try:
            copy = container.add_stream_from_template(stream)
        except ValueError:
            dropped += 1
            continue
        copy.metadata.update(stream.metadata)
        kept[stream.index] = copy
    if dropped:
        warnings.warn(
            MediaWarning(f"{output.name} leaves out {dropped} subtitle track(s) that {output.suffix} cannot hold"),
            stacklevel=3,
        )
    return kept


def _keep_tags(reading: InputContainer, container: OutputContainer, note: str) -> None:
    comment: list[str] = []
    for key, value in reading.metadata.items():
        if key.lower() == "comment":
            comment = [line for line in value.splitlines() if not note or line.split(" ")[0] != note.split(" ")[0]]
        elif key.lower() not in _CONTAINER_TAGS:
            container.metadata[key] = value
    if comment or note:
        container.metadata["comment"] = "\n".join([*comment, note] if note else comment)
    chapters = reading.chapters()
    if chapters:
        container.set_chapters(chapters)


def _copied_packets(reading: InputContainer, targets: dict[int, Stream], info: VideoInfo) -> Iterator[Packet[Stream]]:
    """Yield packets for the output, on a clock that starts with the first displayed picture."""
    shifts = {index: round(info.start_time / exact(reading.streams[index].time_base)) for index in targets}
    latest: dict[int, int] = {}
    usual_ticks = max(1, round(info.duration / info.num_frames / info.time_base))
    packets = packets_of(reading, *(reading.streams[index] for index in targets))
    timed = (packet for packet in packets if packet.size and packet.pts is not None)
    for packet in _with_decoding_times(timed, info.stream_index, usual_ticks):
        assert packet.pts is not None and packet.dts is not None
        index = packet.stream_index
        # Containers refuse decoding times that do not rise, as some damaged or joined files have them.
        dts = max(packet.dts - shifts[index], latest.get(index, packet.dts - shifts[index] - 1) + 1)
        packet.dts, packet.pts = dts, max(packet.pts - shifts[index], dts)
        latest[index] = dts
        packet.stream = targets[index]
        yield packet


def _with_decoding_times(
    packets: Iterator[Packet[Stream]], picture_index: int, usual_ticks: int
) -> Iterator[Packet[Stream]]:
    """Yield the same packets, each with a decoding time: Matroska tells none for the first of reordered pictures."""
    waiting: list[Packet[Stream]] = []
    for packet in packets:
        if packet.dts is None and packet.stream_index != picture_index:
            packet.dts = packet.pts
        if packet.dts is None or (waiting and packet.stream_index != picture_index):
            waiting.append(packet)
            continue
        yield from _timed(waiting, packet.dts, usual_ticks)
        waiting = []
        yield packet
    yield from _timed(waiting, min((p.pts for p in waiting if p.pts is not None), default=0), usual_ticks)


def _timed(waiting: list[Packet[Stream]], before: int, usual_ticks: int) -> Iterator[Packet[Stream]]:
    """Yield `waiting` with decoding times at the usual distance that end before `before`."""
    for place, packet in enumerate(reversed(waiting), start=1):
        if packet.dts is None:
            packet.dts = before - place * usual_ticks
    yield from waiting


def _encoded_packets(
    reading: InputContainer, pictures: VideoStream, written: VideoStream, info: VideoInfo
) -> Iterator[Packet[Stream]]:
    """Yield the displayed pictures, encoded again at their true times."""
    prepare_decoder(pictures, DEFAULT_LIMITS, num_threads=2)
    clock = exact(written.codec_context.time_base)
    fitted: VideoFrame | None = None
    latest = -1
    for frame in Deinterlacer().run(_good_frames(reading, pictures)):
        ticks = round((seconds_of(frame) - info.start_time) / clock)
        if fitted is None:
            ticks = 0  # The first picture that decodes stands for those lost before it.
        elif ticks <= latest or ticks * clock >= info.duration:
            continue
        fitted = fit_frame(frame, written)
        fitted.pts, fitted.time_base = ticks, clock
        latest = ticks
        yield from written.encode(fitted)
    if fitted is None:
        raise MediaError(f"{info.path}: not one picture can be decoded")
    last = round((info.duration - info.last_duration) / clock)
    if last > latest:
        fitted.pts = last  # Pictures lost at the end: the last good one is held.
        yield from written.encode(fitted)
    yield from written.encode(None)


def _good_frames(reading: InputContainer, pictures: VideoStream) -> Iterator[VideoFrame]:
    for packet in packets_of(reading, pictures):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            if frame.pts is None:
                frame.pts = frame.dts
            if frame.pts is not None and not frame.is_corrupt:
                yield frame


def packet_hashes(path: str | Path) -> list[str]:
    """Return the SHA-256 of every picture packet's payload, in file order."""
    path = Path(path)
    with open_media(path) as container:
        stream = picture_stream(container, path)
        return [hashlib.sha256(bytes(packet)).hexdigest() for packet in packets_of(container, stream) if packet.size]


def picture_digest(path: str | Path) -> str:
    """Return one SHA-256 over all picture packets: equal for two files whose coded pictures are identical."""
    return hashlib.sha256("".join(packet_hashes(path)).encode()).hexdigest()
