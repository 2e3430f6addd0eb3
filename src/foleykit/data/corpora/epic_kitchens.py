"""EPIC-KITCHENS-100: narrated actions in kitchens, as the published annotation tables and long videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from foleykit.core.errors import InputError, MediaError
from foleykit.data.corpora.tables import clock, read_table
from foleykit.data.corpora.videos import ClipProblemError, VideoFolder, checked_clip
from foleykit.data.manifest import ClipRecord, Manifest, ManifestSplit, Rejection, safe_id, unique_records

COLUMNS = (
    "narration_id",
    "participant_id",
    "video_id",
    "narration_timestamp",
    "start_timestamp",
    "stop_timestamp",
    "start_frame",
    "stop_frame",
    "narration",
    "verb",
    "verb_class",
    "noun",
    "noun_class",
    "all_nouns",
    "all_noun_classes",
)
_REQUIRED = ("narration_id", "participant_id", "video_id", "start_timestamp", "stop_timestamp", "narration")
LICENCE = "CC BY-NC 4.0"


@dataclass(frozen=True, kw_only=True)
class _Action:
    narration_id: str
    participant_id: str
    video_id: str
    start: float
    stop: float
    narration: str
    verb: str
    noun: str


def scan(annotations: Path, videos: Path, *, split: ManifestSplit = "train", clip_seconds: float = 3.0) -> Manifest:
    """Return a clip of `clip_seconds` around the middle of each action, in file order.

    Videos are looked for as `P01/P01_01.MP4`, `P01/videos/P01_01.MP4` and `P01_01.MP4`. Rows without a video or with
    impossible times are rejected. Raises InputError when not one row is left.
    """
    if not videos.is_dir():
        raise MediaError(f"{videos}: no such folder of videos")
    table = read_table(annotations, COLUMNS, _parse, required=_REQUIRED)
    folder = VideoFolder(videos)
    records, rejected = [], list(table.rejected)
    for action in table.rows:
        try:
            path = folder.find(_places(action))
            start, end = checked_clip((action.start + action.stop) / 2, folder.seconds(path), clip_seconds)
        except ClipProblemError as problem:
            rejected.append(Rejection(name=action.narration_id, reason=problem.reason, detail=problem.detail))
            continue
        records.append(
            ClipRecord(
                clip_id=safe_id(action.narration_id),
                video_id=action.video_id,
                path=path,
                start=start,
                end=end,
                split=split,
                caption=action.narration,
                tags={name: 1.0 for name in (action.verb, action.noun) if name},
                licence=LICENCE,
            )
        )
    kept, duplicates = unique_records(records)
    if not kept:
        raise InputError(f"not one row of {annotations} is a clip of {videos}")
    return Manifest(records=tuple(kept), rejected=(*rejected, *duplicates), unknown_columns=table.unknown_columns)


def _parse(cells: dict[str, str]) -> _Action:
    start, stop = clock(cells, "start_timestamp"), clock(cells, "stop_timestamp")
    if stop <= start:
        raise ValueError(f"the action ends at {stop:g} s, before it starts at {start:g} s")
    for column in ("participant_id", "video_id"):
        if "/" in cells[column] or ".." in cells[column] or not cells[column]:
            raise ValueError(f'{column} "{cells[column]}" is not a name')
    return _Action(
        narration_id=cells["narration_id"],
        participant_id=cells["participant_id"],
        video_id=cells["video_id"],
        start=start,
        stop=stop,
        narration=cells["narration"],
        verb=cells.get("verb", ""),
        noun=cells.get("noun", ""),
    )


def _places(action: _Action) -> list[str]:
    names = [f"{action.video_id}{suffix}" for suffix in (".MP4", ".mp4")]
    folders = (f"{action.participant_id}/", f"{action.participant_id}/videos/", "")
    return [f"{folder}{name}" for folder in folders for name in names]
