"""Give a video another sound: its picture packets are copied untouched, and sound and picture start together."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from foleykit.core.errors import MediaError, MediaWarning
from foleykit.video.edits import trim_edit_list
from foleykit.video.encode import ColorTags, SoundEncoder, Waveform, encode_video, fit_frame
from foleykit.video.frames import Deinterlacer
from foleykit.video.info import DEFAULT_LIMITS, VideoInfo
from foleykit.video.output import AudioCodec, audio_codec_for, check_output, output_format, writing
from foleykit.video.probe import exact, open_media, picture_stream, prepare_decoder, probe

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
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
    overwrite: bool = False,
) -> MuxResult:
    """Write the pictures of `source` with `waveform` as their only sound to `output`, whose suffix names the container.

    `waveform` is (C, S) in [-1, 1], or chunks (C, s) of it; it starts with the first displayed picture and is trimmed
    or padded with silence to the length of the pictures. Picture packets are copied; only where the container cannot
    hold them are the pictures encoded again. Orientation, colours, subtitles, chapters and tags are kept where the
    container can hold them; the old sound is dropped. To sound only a part, pass silence around it: pictures are never
    cut. Default sound: AAC in mp4, mov and 3gp, Opus in mkv and webm.

    Raises UsageError when `output` exists without `overwrite` or cannot be written, MediaError for an unreadable
    source. Nothing half-written is left behind.
    """
    output = Path(output)
    check_output(output, overwrite=overwrite)
    codec = audio_codec_for(output, audio_codec)
    info = source if isinstance(source, VideoInfo) else probe(source)
    with open_media(info.path) as reading, writing(output, overwrite=overwrite) as container:
        pictures: VideoStream = reading.streams[info.stream_index]  # type: ignore[assignment]
        copied = _copied_stream(container, pictures, info, output)
        written = copied or _encoded_stream(container, pictures, info)
        sound = SoundEncoder(container, waveform, sample_rate, codec=codec, seconds=info.duration)
        others = _kept_streams(reading, container, output)
        _keep_tags(reading, container)
        if copied:
            packets = _copied_packets(reading, {pictures.index: copied, **others}, info)
        else:
            packets = _encoded_packets(reading, pictures, written, info)
        for packet in packets:
            if packet.stream_index == written.index:
                time = (packet.dts or 0) * exact(packet.time_base)
                container.mux(list(sound.packets(time)))
            container.mux(packet)
        container.mux(list(sound.packets()))
        container.close()
        if copied and info.has_hidden_end:
            trim_edit_list(Path(container.name.removeprefix("file:")), info.duration)
    assert sound.num_samples is not None
    return MuxResult(
        path=output,
        is_picture_copied=copied is not None,
        audio_codec=codec,
        sample_rate=sound.sample_rate,
        num_samples=sound.num_samples,
    )


def _copied_stream(
    container: OutputContainer, pictures: VideoStream, info: VideoInfo, output: Path
) -> VideoStream | None:
    """Add a stream for untouched packets, or return None when they would not look the same in this container."""
    is_partly_hidden = info.has_hidden_start or info.has_hidden_end
    if not info.has_all_times or (is_partly_hidden and not output_format(output).has_edit_lists):
        return None
    try:
        # Without `opaque` PyAV looks for an encoder of the same name, which decoders such as libdav1d do not have.
        stream = container.add_stream_from_template(pictures, opaque=True)
    except ValueError:
        return None
    # The length of the last picture follows from the frame rate in containers that store no durations.
    rate = pictures.average_rate or pictures.guessed_rate
    if rate:
        stream.codec_context.framerate = exact(rate)
    if info.codec == "hevc" and output_format(output).name in ("mp4", "mov"):
        # Players of one large vendor refuse the tag hev1, which FFmpeg would choose.
        stream.codec_context.codec_tag = "hvc1"
    stream.metadata.update(pictures.metadata)
    return stream


def _encoded_stream(container: OutputContainer, pictures: VideoStream, info: VideoInfo) -> VideoStream:
    """Add a stream for pictures that are encoded again, with the same clock, colours and orientation."""
    context = pictures.codec_context
    rate = Fraction(info.num_frames, 1) / info.duration
    stream = encode_video(
        container,
        width=context.width,
        height=context.height,
        rate=rate.limit_denominator(1001),
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


def _keep_tags(reading: InputContainer, container: OutputContainer) -> None:
    for key, value in reading.metadata.items():
        if key.lower() not in _CONTAINER_TAGS:
            container.metadata[key] = value
    chapters = reading.chapters()
    if chapters:
        container.set_chapters(chapters)


def _copied_packets(reading: InputContainer, targets: dict[int, Stream], info: VideoInfo) -> Iterator[Packet[Stream]]:
    """Yield packets for the output, on a clock that starts with the first displayed picture."""
    shifts = {index: round(info.start_time / exact(reading.streams[index].time_base)) for index in targets}
    latest: dict[int, int] = {}
    packets = reading.demux([reading.streams[index] for index in targets])
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
        if not packet.size or packet.dts is None or packet.pts is None:
            continue
        index = packet.stream_index
        packet.pts -= shifts[index]
        # Containers refuse decoding times that do not rise, as some damaged or joined files have them.
        packet.dts = max(packet.dts - shifts[index], latest.get(index, packet.dts - shifts[index] - 1) + 1)
        packet.pts = max(packet.pts, packet.dts)
        latest[index] = packet.dts
        packet.stream = targets[index]
        yield packet


def _encoded_packets(
    reading: InputContainer, pictures: VideoStream, written: VideoStream, info: VideoInfo
) -> Iterator[Packet[Stream]]:
    """Yield the displayed pictures, encoded again at their true times."""
    prepare_decoder(pictures, DEFAULT_LIMITS, num_threads=2)
    clock = exact(written.codec_context.time_base)
    latest = -1
    for frame in Deinterlacer().run(_good_frames(reading, pictures)):
        ticks = round((frame.pts * exact(frame.time_base) - info.start_time) / clock)
        if ticks > latest and ticks * clock < info.duration:
            latest = ticks
            fitted = fit_frame(frame, written)
            fitted.pts, fitted.time_base = ticks, clock
            yield from written.encode(fitted)
    if latest < 0:
        raise MediaError(f"{info.path}: not one picture can be decoded")
    yield from written.encode(None)


def _good_frames(reading: InputContainer, pictures: VideoStream) -> Iterator[av.VideoFrame]:
    packets = reading.demux(pictures)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return
        if packet is None:
            return
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
        return [hashlib.sha256(bytes(packet)).hexdigest() for packet in container.demux(stream) if packet.size]


def picture_digest(path: str | Path) -> str:
    """Return one SHA-256 over all picture packets: equal for two files whose coded pictures are identical."""
    return hashlib.sha256("".join(packet_hashes(path)).encode()).hexdigest()
