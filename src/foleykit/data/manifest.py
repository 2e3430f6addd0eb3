"""One row per clip, whatever corpus it comes from, and the list of what could not become a row."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from foleykit.core.errors import InputError, MediaError

ManifestSplit = Literal["train", "valid", "test"]
Reason = Literal[
    "unknown-column",
    "bad-value",
    "bad-time",
    "duplicate",
    "missing-file",
    "corrupt-video",
    "no-sound",
    "sound-missing",
    "pictures-missing",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

_UNSAFE = re.compile(r"[^\w-]")


@dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """A clip of a long video."""

    clip_id: str
    """Unique in its manifest; its members in a shard are named after it, so that it holds no dot and no slash."""
    video_id: str
    """Clips of one long video share their ambience."""
    path: str
    """The long video, relative to the folder of the corpus' videos."""
    start: float
    """Seconds from the first picture."""
    end: float
    split: ManifestSplit = "train"
    caption: str = ""
    """What is seen."""
    sound: str = ""
    """What is heard."""
    transcript: tuple[tuple[float, float, str], ...] = ()
    """(start, end, words) in seconds from the start of the clip."""
    tags: Mapping[str, float] = field(default_factory=dict)
    """Labels with their probability; 1 where the corpus states them."""
    ambient_db: float | None = None
    """RMS of the background in dBFS, where known."""
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.clip_id or _UNSAFE.search(self.clip_id):
            raise InputError(f'clip id "{self.clip_id}" must be of letters, digits, "-" and "_" only')
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 <= self.start < self.end):
            raise InputError(f"clip {self.clip_id} has no time span: {self.start} to {self.end} s")
        if self.split not in get_args(ManifestSplit):
            raise InputError(f'clip {self.clip_id} has the unknown split "{self.split}"')

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def said(self, seconds: float) -> str:
        """Return what is said in the first `seconds` of the clip, in order; empty where nothing is."""
        heard = sorted(line for line in self.transcript if line[0] < seconds and line[1] > 0)
        return " ".join(stripped for _, _, words in heard if (stripped := words.strip()))

    def overlaps(self, other: ClipRecord) -> bool:
        """Return whether both show the same moment of the same video."""
        return self.video_id == other.video_id and self.start < other.end and other.start < self.end

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return values | {"tags": dict(self.tags), "transcript": [list(words) for words in self.transcript]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClipRecord:
        """Return the record that `to_dict` described; raises InputError when it is none."""
        try:
            spoken = tuple((float(start), float(end), str(words)) for start, end, words in values["transcript"])
            return cls(**{**values, "transcript": spoken})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a clip record: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A row, or a clip of it, that is left out."""

    name: str
    """Clip id or file and line."""
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The clips of a corpus in its own order, and everything that was refused on the way."""

    records: tuple[ClipRecord, ...]
    rejected: tuple[Rejection, ...] = ()
    unknown_columns: tuple[str, ...] = ()
    """Columns of the source that nobody reads; they are ignored, and said to be."""

    def counts(self) -> dict[Reason, int]:
        """Return how many rows were refused for each reason that occurred."""
        return count_reasons(self.rejected)


def count_reasons(rejected: Iterable[Rejection]) -> dict[Reason, int]:
    """Return the number of rejections by reason, in a fixed order."""
    counted = Counter(rejection.reason for rejection in rejected)
    return {reason: counted[reason] for reason in REASONS if counted[reason]}


def safe_id(name: str) -> str:
    """Return `name` as a clip id: anything but letters, digits, "-" and "_" becomes "_"."""
    return _UNSAFE.sub("_", name)


def unique_records(records: Iterable[ClipRecord]) -> tuple[list[ClipRecord], list[Rejection]]:
    """Return the records with the first use of each clip id, and a rejection for every later one."""
    kept: dict[str, ClipRecord] = {}
    rejected = []
    for record in records:
        if record.clip_id in kept:
            rejected.append(Rejection(name=record.clip_id, reason="duplicate", detail="its id was used before"))
        else:
            kept[record.clip_id] = record
    return list(kept.values()), rejected


_JSON_CELLS = ("transcript", "tags")


def write_manifest(path: Path, records: Iterable[ClipRecord]) -> None:
    """Write records as comma-separated values with a header; transcripts and tags are JSON cells."""
    names = [item.name for item in fields(ClipRecord)]
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for record in records:
            values = record.to_dict()
            values |= {name: json.dumps(values[name], ensure_ascii=False) for name in _JSON_CELLS}
            values["ambient_db"] = "" if record.ambient_db is None else record.ambient_db
            writer.writerow(values)
    temporary.replace(path)


def read_manifest(path: Path) -> Manifest:
    """Read what `write_manifest` wrote, or such a table made by hand.

    Rows that are no clips, and later uses of a clip id, are rejected. Raises MediaError when the file is missing and
    InputError when it lacks a column without a default.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such manifest")
    records, rejected = [], []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or []
        known = {item.name for item in fields(ClipRecord)}
        missing = [name for name in ("clip_id", "video_id", "path", "start", "end") if name not in header]
        if missing:
            raise InputError(f"{path} is not a manifest: it has no column {', '.join(missing)}")
        for row in reader:
            where = f"{path.name}:{reader.line_num}"
            if None in row:
                rejected.append(Rejection(name=where, reason="unknown-column", detail="more cells than columns"))
                continue
            try:
                records.append(_from_cells({key: cell for key, cell in row.items() if key in known}))
            except (InputError, ValueError) as error:
                rejected.append(Rejection(name=where, reason="bad-value", detail=str(error)))
    kept, duplicates = unique_records(records)
    return Manifest(
        records=tuple(kept),
        rejected=(*rejected, *duplicates),
        unknown_columns=tuple(name for name in header if name not in known),
    )


def _from_cells(cells: dict[str, str]) -> ClipRecord:
    values: dict[str, Any] = {key: cell for key, cell in cells.items() if cell != ""}
    values |= {key: float(values[key]) for key in ("start", "end", "ambient_db") if key in values}
    values |= {key: json.loads(values[key]) for key in _JSON_CELLS if key in values}
    return ClipRecord.from_dict({"transcript": (), **values})


def write_rejections(path: Path, rejected: Iterable[Rejection]) -> None:
    """Write the list of what was left out as comma-separated values."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "reason", "detail"))
        writer.writerows((item.name, item.reason, item.detail) for item in rejected)
