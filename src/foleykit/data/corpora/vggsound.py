"""VGGSound: labelled ten-second videos, as the published headerless table and a folder of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from foleykit.core.errors import InputError, MediaError
from foleykit.data.corpora.tables import number, read_table
from foleykit.data.corpora.videos import ClipProblemError, VideoFolder
from foleykit.data.corpora.windows import windows_of
from foleykit.data.manifest import ClipRecord, Manifest, ManifestSplit, Rejection, safe_id, unique_records

COLUMNS = ("youtube_id", "start_seconds", "label", "split")
LICENCE = "CC BY 4.0 (labels); videos remain their owners'"


@dataclass(frozen=True, kw_only=True)
class _Labelled:
    name: str
    """Video and start, as downloaders name the files."""
    video_id: str
    start: int
    label: str
    split: ManifestSplit


def scan(table_path: Path, videos: Path, *, clip_seconds: float = 3.0, gap_seconds: float = 0.5) -> Manifest:
    """Return as many clips of `clip_seconds`, `gap_seconds` apart, as fit into each video, in file order.

    So a clip's neighbours are other moments of the same ten seconds. Files are looked for as `id_000030.mp4`,
    `id_30.mp4` and `id.mp4`. Rows without a video are rejected. Raises InputError when not one row is left.
    """
    if not videos.is_dir():
        raise MediaError(f"{videos}: no such folder of videos")
    table = read_table(table_path, COLUMNS, _parse, has_header=False)
    folder = VideoFolder(videos)
    records, rejected = [], list(table.rejected)
    for row in table.rows:
        try:
            path = folder.find([f"{row.name}.mp4", f"{row.video_id}_{row.start}.mp4", f"{row.video_id}.mp4"])
            spans = windows_of(folder.seconds(path), clip_seconds, clip_seconds + gap_seconds)
            if not spans:
                raise ClipProblemError("bad-time", f"{path} is shorter than a clip of {clip_seconds:g} s")
        except ClipProblemError as problem:
            rejected.append(Rejection(name=row.name, reason=problem.reason, detail=problem.detail))
            continue
        records += [
            ClipRecord(
                clip_id=f"{safe_id(row.name)}_{number_}",
                video_id=row.name,
                path=path,
                start=start,
                end=end,
                split=row.split,
                sound=row.label,
                tags={row.label: 1.0},
                licence=LICENCE,
            )
            for number_, (start, end) in enumerate(spans)
        ]
    kept, duplicates = unique_records(records)
    if not kept:
        raise InputError(f"not one row of {table_path} is a video of {videos}")
    return Manifest(records=tuple(kept), rejected=(*rejected, *duplicates))


def _parse(cells: dict[str, str]) -> _Labelled:
    start = int(number(cells, "start_seconds"))
    video_id = cells["youtube_id"]
    if not video_id or "/" in video_id or start < 0:
        raise ValueError(f'"{video_id}" from {start} s is not a part of a video')
    splits: dict[str, ManifestSplit] = {"train": "train", "test": "test"}
    if cells["split"] not in splits:
        raise ValueError(f'the split is "{cells["split"]}", not train or test')
    return _Labelled(
        name=f"{video_id}_{start:06d}",
        video_id=video_id,
        start=start,
        label=cells["label"],
        split=splits[cells["split"]],
    )
