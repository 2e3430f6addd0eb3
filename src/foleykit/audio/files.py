"""Sound files, and the sound tracks of video files, to and from waveforms."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.audio.frame
import av.error
import numpy as np
import soundfile
from numpy.typing import NDArray

from foleykit.audio.resample import resample
from foleykit.core.containers import TAGS_AS_BYTES
from foleykit.core.errors import InputError, MediaError, MediaWarning

SOUNDFILE_SUFFIXES = frozenset({".wav", ".flac", ".ogg"})
MAX_SECONDS = 6 * 3600.0
"""Longest span that is read into memory at once."""

# Seeking lands on a packet whose decoder has no history yet; what it yields first is priming, so it starts earlier.
_SEEK_MARGIN_S = 0.5


def read_waveform(
    path: Path | str,
    *,
    sample_rate: int | None = None,
    start: float = 0.0,
    seconds: float | None = None,
    mono: bool = False,
) -> tuple[NDArray[np.float32], int]:
    """Return the sound of a file as a waveform (C, S) and its sample rate.

    Any sound file is read, and the first sound track of a video. `start` and `seconds` choose a span on the clock of
    the file's own presentation times, `sample_rate` (None keeps the file's) and `mono` convert. The span is shorter
    than asked where the file ends sooner. Time that the track leaves out is silence.

    Raises MediaError when the file is missing, holds no sound, or nothing in the span decodes, and InputError for a
    negative `start` or a `seconds` that is not positive.
    """
    path = Path(path)
    if start < 0 or (seconds is not None and seconds <= 0):
        raise InputError(f"a span starts at 0 or later and lasts longer than 0 s; got start {start}, seconds {seconds}")
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    read = _read_with_soundfile(path, start, seconds) if path.suffix.lower() in SOUNDFILE_SUFFIXES else None
    waveform, rate = read if read is not None else _read_with_av(path, start, seconds)
    if waveform.shape[-1] == 0:
        raise MediaError(f"{path}: no sound between {start:g} s and {_end_text(start, seconds)}")
    if not np.isfinite(waveform).all():
        waveform = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
        warnings.warn(f"{path}: samples that are not finite numbers were read as silence", MediaWarning, stacklevel=2)
    if mono:
        waveform = waveform.mean(0, keepdims=True)
    if sample_rate is None:
        return waveform, rate
    return resample(waveform, rate, sample_rate), sample_rate


def write_waveform(
    path: Path | str, waveform: NDArray[np.float32] | Iterable[NDArray[np.float32]], sample_rate: int, *, note: str = ""
) -> None:
    """Write a waveform (C, S) or (S,), or its successive blocks (C, n), as 32-bit float WAV or 24-bit FLAC, by suffix.

    `note` becomes the comment tag. The file appears only when it is complete. FLAC cannot hold samples beyond [-1, 1]:
    they are clipped with a warning.

    Raises InputError for another suffix, an empty waveform or one that is not finite.
    """
    path = Path(path)
    formats = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24")}
    if path.suffix.lower() not in formats:
        raise InputError(f"{path}: sound is written as .wav or .flac, not {path.suffix or 'without a suffix'}")
    file_format, subtype = formats[path.suffix.lower()]
    blocks = _checked(path, [waveform] if isinstance(waveform, np.ndarray) else waveform)
    first = next(blocks, None)
    if first is None:
        raise InputError(f"{path}: there are no samples to write")
    num_over = 0
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with soundfile.SoundFile(
            temporary, "w", sample_rate, first.shape[0], subtype=subtype, format=file_format
        ) as file:
            if note:
                file.comment = note
            for block in chain((first,), blocks):
                if subtype == "PCM_24" and (over := int((np.abs(block) > 1).sum())):
                    num_over += over
                    block = np.clip(block, -1, 1)
                file.write(block.T)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if num_over:
        warnings.warn(f"{path}: {num_over} samples beyond full scale were clipped", MediaWarning, stacklevel=2)


def _checked(path: Path, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks that hold samples as (C, n) float32; raises InputError where they are not finite numbers."""
    for block in blocks:
        samples = np.atleast_2d(np.asarray(block, np.float32))
        if samples.ndim != 2 or not np.isfinite(samples).all():
            raise InputError(f"{path}: expected finite samples of shape (channels, samples), got shape {samples.shape}")
        if samples.shape[-1]:
            yield samples


def _read_with_soundfile(path: Path, start: float, seconds: float | None) -> tuple[NDArray[np.float32], int] | None:
    """Return the span, or None where libsndfile cannot read this file and PyAV should try."""
    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            num_wanted = -1 if seconds is None else round(seconds * rate)
            _check_length(path, (file.frames if num_wanted < 0 else min(num_wanted, file.frames)) / rate)
            file.seek(min(round(start * rate), file.frames))
            samples = file.read(num_wanted, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError):
        return None
    return np.ascontiguousarray(samples.T), rate


def _read_with_av(path: Path, start: float, seconds: float | None) -> tuple[NDArray[np.float32], int]:
    try:
        container = av.open(str(path), **TAGS_AS_BYTES)
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not a media file ({_reason(error)})") from error
    with container:
        if not container.streams.audio:
            raise MediaError(f"{path}: holds no sound")
        return _decode(path, container, start, seconds)


def _decode(
    path: Path, container: av.container.InputContainer, start: float, seconds: float | None
) -> tuple[NDArray[np.float32], int]:
    stream = container.streams.audio[0]
    # A track whose description is damaged has no decoder, and some states no rate.
    rate = int(stream.codec_context.sample_rate or 0) if stream.codec_context is not None else 0
    if rate < 1:
        raise MediaError(f"{path}: its sound track cannot be decoded")
    resampler = av.AudioResampler(format="fltp", rate=rate)
    # The container's start is the zero of the file's clock: sound that starts later keeps its delay.
    origin = Fraction(container.start_time or 0, av.time_base)
    if start > 2 * _SEEK_MARGIN_S:
        try:
            container.seek(int((start - _SEEK_MARGIN_S + float(origin)) * av.time_base), backward=True)
        except av.error.FFmpegError:
            container.seek(0)
    first = round(start * rate)
    last = None if seconds is None else first + round(seconds * rate)
    pieces: list[tuple[int, NDArray[np.float32]]] = []
    next_index = 0
    failure: Exception | None = None
    frames = _frames(container, stream)
    while True:
        try:
            frame = next(frames, None)
            converted = resampler.resample(frame)
        except (av.error.FFmpegError, ValueError) as error:
            failure = error
            break
        for piece in converted:
            samples = piece.to_ndarray().astype(np.float32, copy=False)
            if frame is not None and frame.pts is not None and frame.time_base is not None:
                at = round((Fraction(frame.pts * frame.time_base) - origin) * rate)
                # Containers such as mkv round times to 1 ms; a gap smaller than that is rounding, not silence.
                if abs(at - next_index) > max(2, rate // 400) or not pieces:
                    next_index = at
            _check_length(path, next_index / rate - start)
            pieces.append((next_index, samples))
            next_index += samples.shape[-1]
        if frame is None or (last is not None and next_index >= last):
            break
    return _place(path, pieces, first, last, failure, rate)


def _frames(container: av.container.InputContainer, stream: av.AudioStream):  # type: ignore[no-untyped-def]
    """Yield decoded frames, stepping over packets that do not decode."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _place(
    path: Path,
    pieces: list[tuple[int, NDArray[np.float32]]],
    first: int,
    last: int | None,
    failure: Exception | None,
    rate: int,
) -> tuple[NDArray[np.float32], int]:
    if not pieces:
        reason = f" ({_reason(failure)})" if failure is not None else ""
        raise MediaError(f"{path}: nothing of its sound track decodes{reason}")
    end = max(at + samples.shape[-1] for at, samples in pieces)
    end = end if last is None else min(end, last)
    num_channels = max(samples.shape[0] for _, samples in pieces)
    waveform = np.zeros((num_channels, max(0, end - first)), np.float32)
    for at, samples in pieces:
        low, high = max(at, first), min(at + samples.shape[-1], end)
        if low < high:
            waveform[: samples.shape[0], low - first : high - first] = samples[:, low - at : high - at]
    if failure is not None:
        warnings.warn(
            f"{path}: its sound decodes only up to {end / rate:.2f} s ({_reason(failure)})", MediaWarning, stacklevel=4
        )
    return waveform, rate


def _check_length(path: Path, seconds: float) -> None:
    if seconds > MAX_SECONDS:
        raise MediaError(f"{path}: longer than {MAX_SECONDS / 3600:g} hours; read a span with `start` and `seconds`")


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).splitlines()[0] if text else type(error).__name__


def _end_text(start: float, seconds: float | None) -> str:
    return "its end" if seconds is None else f"{start + seconds:g} s"
