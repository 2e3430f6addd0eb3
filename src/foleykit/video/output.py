"""Output files: which containers are written, what they hold, and how nothing half-written is ever left behind."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av

from foleykit.core.containers import TAGS_AS_BYTES
from foleykit.core.errors import MediaError, UsageError
from foleykit.video.info import VideoInfo

if TYPE_CHECKING:
    from av.container import OutputContainer

AudioCodec = Literal["aac", "opus", "flac", "pcm"]


@dataclass(frozen=True, kw_only=True)
class OutputFormat:
    """One container that we write."""

    name: str
    """FFmpeg's name of it."""
    audio_codecs: tuple[AudioCodec, ...]
    """What its sound may be; the first is the default."""
    has_edit_lists: bool
    """Pictures that are needed for decoding but not shown can be hidden."""


_MP4 = OutputFormat(name="mp4", audio_codecs=("aac", "flac", "opus"), has_edit_lists=True)
FORMATS: dict[str, OutputFormat] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": OutputFormat(name="mov", audio_codecs=("aac", "pcm"), has_edit_lists=True),
    ".3gp": OutputFormat(name="3gp", audio_codecs=("aac",), has_edit_lists=True),
    ".mkv": OutputFormat(name="matroska", audio_codecs=("opus", "aac", "flac", "pcm"), has_edit_lists=False),
    ".webm": OutputFormat(name="webm", audio_codecs=("opus",), has_edit_lists=False),
}
_KEPT_SUFFIX = {"mp4": ".mp4", "mov": ".mov", "3gp": ".3gp", "matroska": ".mkv", "webm": ".webm"}
_MP4_PICTURES = frozenset({"h264", "hevc", "av1", "mpeg4"})


def output_format(output: Path) -> OutputFormat:
    """Return the container that the suffix of `output` names. Raises UsageError for one that we do not write."""
    try:
        return FORMATS[output.suffix.lower()]
    except KeyError:
        raise UsageError(f"cannot write {output.name}: use one of {', '.join(FORMATS)}") from None


def suffix_for(info: VideoInfo) -> str:
    """Return the suffix of an output that keeps the pictures of `info` untouched, its own container where possible."""
    kept = _KEPT_SUFFIX.get(info.container)
    if kept is not None:
        return info.path.suffix.lower() if info.path.suffix.lower() == ".m4v" else kept
    return ".mp4" if info.codec in _MP4_PICTURES else ".mkv"


def audio_codec_for(output: Path, wanted: AudioCodec | None) -> AudioCodec:
    """Return `wanted`, or the default of the container. Raises UsageError when the container cannot hold it."""
    allowed = output_format(output).audio_codecs
    if wanted is None:
        return allowed[0]
    if wanted not in allowed:
        raise UsageError(f"{output.suffix} cannot hold {wanted} sound; it holds {', '.join(allowed)}")
    return wanted


def check_output(output: Path, *, overwrite: bool) -> None:
    """Raise UsageError when `output` exists and may not be replaced, or cannot be created."""
    if output.is_dir():
        raise UsageError(f"{output} is a folder; name a file")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists already; choose another name or allow overwriting")
    if not output.parent.is_dir():
        raise UsageError(f"{output} cannot be written: its folder does not exist")


@contextmanager
def writing(output: Path, *, overwrite: bool) -> Iterator[OutputContainer]:
    """Open a container under a temporary name beside `output`, and rename it only after everything was written.

    On any error or interruption the temporary file is removed. Raises UsageError when `output` exists without
    `overwrite`, or when the disk refuses it, and MediaError when the container refuses what is put into it.
    """
    check_output(output, overwrite=overwrite)
    container_format = output_format(output)
    partial = output.with_name(f".{output.stem}.{uuid.uuid4().hex[:8]}.part{output.suffix}")
    container: OutputContainer | None = None
    try:
        container = av.open(
            f"file:{partial}",
            "w",
            format=container_format.name,
            container_options={"movflags": "+faststart"} if container_format.has_edit_lists else {},
            **TAGS_AS_BYTES,
        )
        yield container
        container.close()
        partial.replace(output)
    except (PermissionError, av.PermissionError) as error:
        raise UsageError(f"{output} cannot be written: permission denied") from error
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror or error}") from error
    except av.FFmpegError as error:
        raise MediaError(f"{output} cannot be written: {error.strerror}") from error
    finally:
        if container is not None:
            with suppress(av.FFmpegError, OSError):
                container.close()
        partial.unlink(missing_ok=True)
