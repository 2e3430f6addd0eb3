"""A note in the tags of every file that says what made its sound, in plain words of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import foleykit
from foleykit.core.config import from_dict
from foleykit.core.errors import ConfigError

WORD = "foleykit-provenance"
"""The note is the line of the comment tag that begins with this."""
GENERATED = "trainedAlgorithmicMedia"
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
"""Digital source types of the IPTC: made by a trained model altogether, or together with something recorded."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """What the tag tells."""

    generator: str
    """Name and version of the program."""
    source_type: str
    """`GENERATED` or `COMPOSITE`."""
    watermark: str | None = None
    """Message of the mark, four hexadecimal digits; None where the sound was left unmarked."""
    content_sha256: str | None = None
    """Of the generated samples before they were marked: the same as in the sidecar."""

    def text(self) -> str:
        """Return the line for the comment tag."""
        return f"{WORD} {json.dumps(asdict(self), separators=(',', ':'))}"


def make_note(*, is_composite: bool, watermark: str | None, content_sha256: str | None) -> Note:
    """Return the note of a file that is being written."""
    return Note(
        generator=f"foleykit {foleykit.__version__}",
        source_type=COMPOSITE if is_composite else GENERATED,
        watermark=watermark,
        content_sha256=content_sha256,
    )


def find_note(tags: Mapping[str, str]) -> Note | None:
    """Return the note in the tags of a file; None where there is none that can be read."""
    lines = [line for value in tags.values() for line in value.splitlines()]
    for line in lines:
        if not line.startswith(WORD + " "):
            continue
        try:
            values = json.loads(line.removeprefix(WORD))
            return from_dict(Note, values, where="the note") if isinstance(values, dict) else None
        except (ValueError, ConfigError):
            return None
    return None
