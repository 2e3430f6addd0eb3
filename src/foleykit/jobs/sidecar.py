"""The JSON file beside every result: what was made from what, and enough to make it again."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from foleykit.core.config import from_dict
from foleykit.core.errors import ConfigError, MediaError, UsageError
from foleykit.jobs.screening import Screening
from foleykit.jobs.selection import Selection
from foleykit.jobs.soundtrack import Dtype, Settings, Watermark
from foleykit.jobs.speech import SpeechRecord
from foleykit.video.output import AudioCodec
from foleykit.video.quality import QualityReport

FORMAT = "foleykit-sidecar-2"


@dataclass(frozen=True, kw_only=True)
class InputRecord:
    path: str
    """Relative to the sidecar's folder where both lie on one drive."""
    sha256: str
    seconds: float
    quality: QualityReport | None = None
    """Of the pictures that were given sound; None where nothing could be measured."""


@dataclass(frozen=True, kw_only=True)
class OutputRecord:
    path: str
    """Relative to the sidecar's folder."""
    sample_rate: int
    num_samples: int
    num_channels: int
    gain_db: float
    is_picture_copied: bool
    """True where the picture packets are those of the input; False for sound alone and where they did not fit."""
    samples_sha256: str
    """Of the float32 samples before they were encoded; equal on the same machine with the same versions."""
    file_sha256: str
    """Of the finished file: binds the sound in it, its note and its content credentials to this sidecar."""
    is_signed: bool
    """The file holds content credentials."""


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    name: str
    weights_sha256: str
    licence: str
    """Of the weights."""
    device: str
    dtype: Dtype


@dataclass(frozen=True, kw_only=True)
class AmbienceRecord:
    name: str
    """The clip whose ambience was asked for."""
    sha256: str = ""
    """Of the recording or of the library's clip, where the user gave one."""


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """One generated soundtrack, described."""

    format: str = FORMAT
    foleykit: str
    """Version of the library."""
    input: InputRecord
    output: OutputRecord
    model: ModelRecord
    settings: Settings
    ambience: AmbienceRecord
    audio_codec: AudioCodec | None = None
    watermark: Watermark | None = None
    """None: the sound was left unmarked, as `settings.is_marked` asks."""
    selection: Selection | None = None
    """The takes that this one was the best of; None where it was not compared."""
    screening: Screening | None = None
    """Whether the take holds speech or music that nobody asked for; None where it was not listened to."""
    speech: SpeechRecord | None = None
    """How the transcript is spoken; None without one."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds by stage."""

    def save(self, path: Path) -> None:
        """Write indented JSON."""
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> Sidecar:
    """Return the sidecar in `path`; raises UsageError when it is missing, not JSON, or not one of ours."""
    if not path.is_file():
        raise UsageError(f"{path}: no such sidecar; it is the .json file beside a generated video")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise UsageError(f'{path} is not a sidecar of this version: its "format" is not "{FORMAT}"')
    try:
        return from_dict(Sidecar, values, where=str(path))
    except ConfigError as error:
        raise UsageError(str(error)) from error


def check_same_file(path: Path, sha256: str, *, what: str) -> None:
    """Raise MediaError when `path` is missing or is no longer the file that `sha256` was taken of."""
    if not path.is_file():
        raise MediaError(f"{path}: no such file; name the {what} that the sidecar was made from")
    if hash_file(path) != sha256:
        raise MediaError(f"{path} is not the {what} that the sidecar was made from: its SHA-256 differs")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def relative_to(path: Path, folder: Path) -> str:
    """Return `path` as seen from `folder`, or absolute where there is no way between them."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()
