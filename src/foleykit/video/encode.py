"""Encoders: the one place that names a picture encoder, sound of exact length, and whole videos from arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from foleykit.core.errors import InputError, UsageError
from foleykit.video.output import AudioCodec, audio_codec_for, writing

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Waveform = NDArray[np.float32]
Item = TypeVar("Item")

_BLOCK = 8192
_OPUS_RATE = 48_000
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
_ENCODERS: dict[AudioCodec, tuple[str, str]] = {
    "aac": ("aac", "fltp"),
    "opus": ("libopus", "flt"),
    "flac": ("flac", "s32"),
    "pcm": ("pcm_s24le", "s32"),
}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}
_BITS_PER_CHANNEL_SECOND = 96_000
_MPEG4_LARGEST_CLOCK = 65_535
_STUDIO_RANGE = 1


@dataclass(frozen=True, kw_only=True)
class ColorTags:
    """How a player turns the coded numbers into light, in the code points of ITU-T H.273."""

    matrix: int = 1
    """1 is BT.709; 2 is unstated."""
    primaries: int = 1
    transfer: int = 1


BT709 = ColorTags()


def encode_video(
    container: OutputContainer,
    *,
    width: int,
    height: int,
    rate: Fraction,
    time_base: Fraction,
    colors: ColorTags = BT709,
) -> VideoStream:
    """Add an encoded picture stream to `container`, with the best encoder that this installation of PyAV has.

    The stream takes 8-bit 4:2:0 frames; its `width` and `height` are even, and so may exceed the arguments by one.
    """
    slow = {"crf": "24", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
    choices: dict[str, dict[str, str]]
    if container.format.name == "webm":
        choices = {"libvpx-vp9": slow, "libvpx": slow, "libsvtav1": {"crf": "30", "preset": "8"}}
    else:
        choices = {"libx264": {"crf": "18", "preset": "veryfast"}, "mpeg4": {"qmin": "2", "qmax": "5"}}
    for name, options in choices.items():
        try:
            stream: VideoStream = container.add_stream(name, rate, options)  # type: ignore[assignment]
        except (av.codec.codec.UnknownCodecError, ValueError):
            continue
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = (
            colors.matrix,
            colors.primaries,
            colors.transfer,
        )
        context.color_range = _STUDIO_RANGE
        is_too_fine = name == "mpeg4" and time_base.denominator > _MPEG4_LARGEST_CLOCK
        context.time_base = Fraction(1, 60_000) if is_too_fine else time_base
        return stream
    raise UsageError(f"this installation of PyAV cannot encode pictures for {container.format.name}")


def fit_frame(frame: VideoFrame, stream: VideoStream) -> VideoFrame:
    """Return `frame` in the size and pixel format that an encoder stream of `encode_video` takes."""
    return frame.reformat(
        width=stream.width,
        height=stream.height,
        format="yuv420p",
        src_color_range=frame.color_range,
        dst_color_range="MPEG",
        dst_colorspace="ITU709" if frame.format.is_rgb else None,
    )


class SoundEncoder:
    """A sound stream of a container, encoded as far as the pictures have come, so that memory stays flat.

    The first sample is at time 0 of the container; what the encoder adds in front is compensated by its container
    (edit list, codec delay, pre-skip).
    """

    def __init__(
        self,
        container: OutputContainer,
        waveform: Waveform | Iterable[Waveform],
        sample_rate: int,
        *,
        codec: AudioCodec,
        seconds: Fraction | None = None,
    ) -> None:
        """Add a stream for `waveform` (C, S) or for chunks (C, s) of it, in [-1, 1].

        With `seconds` the sound is trimmed or padded with silence to exactly `round(seconds * rate)` samples. Opus is
        always resampled to 48 kHz, AAC where it has no such rate. Raises InputError for an impossible waveform.
        """
        chunks = _checked(iter([waveform] if isinstance(waveform, np.ndarray) else waveform), sample_rate)
        first = next(chunks, None)
        if first is None:
            raise InputError("a sound track needs at least one chunk of samples")
        needs_48k = codec == "opus" or (codec == "aac" and sample_rate not in _AAC_RATES)
        self.sample_rate = _OPUS_RATE if needs_48k else sample_rate
        self.num_samples = None if seconds is None else round(seconds * self.sample_rate)
        num_channels = first.shape[0]
        encoder, self._sample_format = _ENCODERS[codec]
        self._layout = _LAYOUTS[num_channels]
        self._stream: AudioStream = container.add_stream(  # type: ignore[assignment]
            encoder, self.sample_rate, layout=self._layout, format=self._sample_format
        )
        if codec in ("aac", "opus"):
            self._stream.codec_context.bit_rate = _BITS_PER_CHANNEL_SECOND * num_channels
        resampled = _resampled(_with_first(first, chunks), sample_rate, self.sample_rate)
        self._blocks = _blocks(resampled, num_channels, self.num_samples)
        self._position = 0
        self._is_done = False

    def packets(self, until: Fraction | None = None) -> Iterator[Packet]:
        """Yield the packets of the sound before `until` seconds, or all that are left."""
        while not self._is_done and (until is None or self._position < until * self.sample_rate):
            block = next(self._blocks, None)
            if block is None:
                self._is_done = True
                yield from self._stream.encode(None)
            else:
                yield from self._stream.encode(self._frame(block))
                self._position += block.shape[1]

    def _frame(self, block: Waveform) -> AudioFrame:
        samples: NDArray[np.float32] | NDArray[np.int32]
        if self._sample_format == "fltp":
            samples = np.ascontiguousarray(block)
        else:
            samples = np.ascontiguousarray(block.T).reshape(1, -1)
        if self._sample_format == "s32":
            # 24 bits in the upper part of 32: what FLAC and 24-bit PCM encoders take.
            samples = np.clip(np.rint(samples * 2.0**23), -(2**23), 2**23 - 1).astype(np.int32) << 8
        frame = av.AudioFrame.from_ndarray(samples, format=self._sample_format, layout=self._layout)
        frame.sample_rate = self.sample_rate
        frame.time_base = Fraction(1, self.sample_rate)
        frame.pts = self._position
        return frame


def _checked(chunks: Iterator[Waveform], sample_rate: int) -> Iterator[Waveform]:
    channels: int | None = None
    for chunk in chunks:
        if chunk.ndim != 2 or chunk.shape[0] not in _LAYOUTS or channels not in (None, chunk.shape[0]):
            raise InputError(f"a waveform is (channels, samples) with one to eight channels; got {chunk.shape}")
        if sample_rate < 1:
            raise InputError(f"a sample rate is positive; got {sample_rate}")
        channels = chunk.shape[0]
        yield np.nan_to_num(np.asarray(chunk, np.float32))


def _with_first(first: Item, rest: Iterator[Item]) -> Iterator[Item]:
    yield first
    yield from rest


def _resampled(chunks: Iterator[Waveform], source_rate: int, target_rate: int) -> Iterator[Waveform]:
    """Yield the same sound at `target_rate`, without delay."""
    if source_rate == target_rate:
        yield from chunks
        return
    stream: soxr.ResampleStream | None = None
    for chunk in chunks:
        if stream is None:
            stream = soxr.ResampleStream(source_rate, target_rate, chunk.shape[0], dtype="float32")
        for first in range(0, chunk.shape[1], _BLOCK):
            part = np.ascontiguousarray(chunk[:, first : first + _BLOCK].T)
            yield stream.resample_chunk(part).reshape(-1, chunk.shape[0]).T
    if stream is not None:
        empty = np.empty((0, chunk.shape[0]), np.float32)
        yield stream.resample_chunk(empty, last=True).reshape(-1, chunk.shape[0]).T


def _blocks(chunks: Iterator[Waveform], num_channels: int, num_samples: int | None) -> Iterator[Waveform]:
    """Yield blocks of at most `_BLOCK` samples, `num_samples` in all where that is given."""
    left = num_samples
    for chunk in chunks:
        part = chunk if left is None else chunk[:, :left]
        for first in range(0, part.shape[1], _BLOCK):
            yield part[:, first : first + _BLOCK]
        left = None if left is None else left - part.shape[1]
    while left:
        size = min(left, _BLOCK)
        yield np.zeros((num_channels, size), np.float32)
        left -= size


def write_video(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: float | Fraction,
    waveform: Waveform | Iterable[Waveform] | None = None,
    sample_rate: int | None = None,
    *,
    audio_codec: AudioCodec | None = None,
    overwrite: bool = False,
) -> None:
    """Write RGB pictures, given one by one (H, W, 3) or in chunks (t, H, W, 3), and optionally sound (C, S), to `path`.

    Nothing is left behind on an error. Raises UsageError as `writing` does and InputError when there is no picture.
    """
    path = Path(path)
    rate = Fraction(fps).limit_denominator(65_535)
    pictures = (picture for chunk in frames for picture in (chunk if chunk.ndim == 4 else chunk[None]))
    first = next(pictures, None)
    if first is None:
        raise InputError(f"{path.name} would have no pictures")
    with writing(path, overwrite=overwrite) as container:
        stream = encode_video(container, width=first.shape[1], height=first.shape[0], rate=rate, time_base=1 / rate)
        sound = None
        if waveform is not None and sample_rate is not None:
            sound = SoundEncoder(container, waveform, sample_rate, codec=audio_codec_for(path, audio_codec))
        for index, picture in enumerate(_with_first(first, pictures)):
            frame = fit_frame(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"), stream)
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
            if sound is not None:
                container.mux(list(sound.packets(index / rate)))
        container.mux(stream.encode(None))
        if sound is not None:
            container.mux(list(sound.packets()))
