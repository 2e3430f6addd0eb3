"""Say whether foleykit made the sound of a file: by the mark in it, by signed credentials, by the note in its tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.core.containers import TAGS_AS_BYTES
from foleykit.core.errors import MediaError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.jobs.credentials import INSTALL, SUFFIXES, Credentials, is_available, read_credentials
from foleykit.jobs.provenance import Note, find_note
from foleykit.jobs.sidecar import hash_file, read_sidecar
from foleykit.watermark import PUBLIC_WATERMARKER, Detection, Watermarker
from foleykit.watermark.detection import PART_SECONDS, STEP_SECONDS
from foleykit.watermark.spectrum import RATE
from foleykit.watermark.watermarker import PUBLIC

SidecarState = Literal["same file", "changed file", "none"]

_SUSPICIOUS = 0.01
"""Chance below which a mark that is not certain is spoken of all the same."""


@dataclass(frozen=True, kw_only=True)
class DetectRequest:
    """What a user asks for."""

    file: Path
    watermarker: Watermarker = PUBLIC_WATERMARKER


@dataclass(frozen=True, kw_only=True)
class DetectResult:
    """What both layers of a file say."""

    file: Path
    key: str
    """Whose mark was looked for, as sidecars call it: "public", a key's fingerprint, or AudioSeal's networks."""
    watermark: Detection
    credentials: Credentials | None
    credentials_unread: str
    """Why credentials were not looked for; empty where they were."""
    note: Note | None
    sidecar: SidecarState
    """What the sidecar beside the file, if there is one, says about the file."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        mark = self.watermark
        return {
            "file": str(self.file),
            "verdict": mark.verdict,
            "watermark": {
                "key": self.key,
                **asdict(mark),
                "message": None if mark.message is None else f"{mark.message:04x}",
                "spans": [list(span) for span in mark.spans],
            },
            "credentials": None if self.credentials is None else asdict(self.credentials),
            "credentials_unread": self.credentials_unread or None,
            "note": None if self.note is None else asdict(self.note),
            "sidecar": self.sidecar,
            "summary": self.summary(),
        }

    def summary(self) -> str:
        """Return one line in words."""
        said = [_mark_in_words(self.watermark, "watermark" if self.key == PUBLIC else f"watermark of {self.key}")]
        if self.credentials is not None:
            said.append(_credentials_in_words(self.credentials))
        if self.note is not None:
            said.append(f"its tags name {self.note.generator}")
        if self.sidecar != "none":
            said.append(f"its sidecar describes {'this' if self.sidecar == 'same file' else 'another'} file")
        if self.credentials_unread and self.credentials is None:
            said.append(self.credentials_unread)
        return f"{self.file.name}: {'; '.join(said)}"


def detect_file(request: DetectRequest, *, report: Report = no_report) -> DetectResult:
    """Return what the sound, the credentials, the tags and the sidecar of a file say. Memory stays flat.

    Raises UsageError when the file is missing and MediaError when it holds no sound that can be read.
    """
    path = request.file
    if path.is_dir() or not path.exists():
        raise UsageError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}; name a sound or video file")
    tags = _tags(path)
    report("listen", 0)
    mark = request.watermarker.detect_parts(_parts(path), RATE)
    report("listen", 1)
    return DetectResult(
        file=path,
        key=request.watermarker.name,
        watermark=mark,
        credentials=read_credentials(path),
        credentials_unread=_why_unread(path),
        note=find_note(tags),
        sidecar=_sidecar_state(path),
    )


def _parts(path: Path) -> Iterator[NDArray[np.float32]]:
    """Yield the sound of a file as overlapping parts (C, S) at the detector's rate."""
    start = 0.0
    while True:
        try:
            part = read_waveform(path, sample_rate=RATE, start=start, seconds=PART_SECONDS)[0]
        except MediaError:
            if start == 0:
                raise
            return
        # What only repeats the end of the part before says nothing new.
        if start == 0 or part.shape[-1] > (PART_SECONDS - STEP_SECONDS) * RATE:
            yield part
        if part.shape[-1] < PART_SECONDS * RATE - 1:
            return
        start += STEP_SECONDS


def _tags(path: Path) -> dict[str, str]:
    try:
        with av.open(str(path), **TAGS_AS_BYTES) as container:
            tags = dict(container.metadata)
            for stream in container.streams:
                # Ogg keeps its tags with the stream.
                tags |= {f"{stream.index} {key}": value for key, value in stream.metadata.items()}
            return tags
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not a media file ({error.strerror or error})") from error


def _why_unread(path: Path) -> str:
    if path.suffix.lower() not in SUFFIXES:
        return ""
    return "" if is_available() else f"content credentials were not looked for ({INSTALL})"


def _sidecar_state(path: Path) -> SidecarState:
    try:
        sidecar = read_sidecar(path.with_suffix(".json"))
    except UsageError:
        return "none"
    return "same file" if sidecar.output.file_sha256 == hash_file(path) else "changed file"


def _mark_in_words(mark: Detection, name: str) -> str:
    match mark.verdict:
        case "found":
            message = "its message cannot be read" if mark.message is None else f"message {mark.message:04x}"
            spans = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in mark.spans)
            speed = "" if mark.speed == 1 else f", played at {100 * mark.speed:.1f} % of its speed"
            chance = "" if mark.p_value is None else f", chance {max(mark.p_value, 1e-99):.0e}"
            return f"{name} found ({message}, {spans}{speed}{chance})"
        case "not found":
            if mark.p_value is None or mark.p_value > _SUSPICIOUS:
                return f"{name} not found"
            return f"{name} not found for certain, chance {mark.p_value:.0e}"
        case "too little":
            return f"{name} not found, in too little audible sound to tell ({mark.audible_seconds:.1f} s)"


def _credentials_in_words(credentials: Credentials) -> str:
    if credentials.state == "invalid":
        return f"content credentials do not fit the file ({', '.join(credentials.problems)})"
    signer = f"signed by {credentials.signer}" if credentials.signer else "signed"
    return f"content credentials of {credentials.generator} {signer}, unchanged since"
