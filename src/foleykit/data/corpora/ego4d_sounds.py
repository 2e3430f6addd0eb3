"""Ego4D-Sounds (Action2Sound, ECCV 2024): narrated moments of Ego4D, as tab-separated metadata and long videos."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from foleykit.core.errors import InputError, MediaError
from foleykit.data.corpora.tables import Table, number, read_table
from foleykit.data.corpora.videos import ClipProblemError, VideoFolder, checked_clip
from foleykit.data.manifest import ClipRecord, Manifest, ManifestSplit, Rejection, safe_id, unique_records

COLUMNS = (
    "video_uid",
    "video_dur",
    "narration_source",
    "narration_ind",
    "narration_time",
    "clip_start",
    "clip_end",
    "clip_text",
    "tag_verb",
    "tag_noun",
    "positive",
    "clip_file",
    "speech",
    "background_music",
    "traffic_noise",
    "wind_noise",
)
SCORES = ("speech", "background_music", "traffic_noise", "wind_noise")
"""Columns that hold probabilities of an audio tagger."""
LICENCE = "Ego4D licence agreement"
CLIP_SECONDS = 3.0
TRAIN_SHARE = 0.95

ReferenceSplit = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class NarratedRow:
    """One row of the metadata, as it stands."""

    video_uid: str
    video_dur: float
    """Seconds, or -1 where the list does not say."""
    narration_source: str
    narration_ind: int
    narration_time: float
    """Seconds from the start of the long video."""
    clip_text: str
    clip_file: str
    """`uid/uid_source_index.mp4`: where the published script writes the clip."""
    scores: Mapping[str, float]
    """Probability by column of SCORES."""

    @property
    def narration_id(self) -> str:
        """What the reference calls the clip; two rows of a list may share it."""
        return f"{self.video_uid}_{self.narration_source}_{self.narration_ind}"

    @property
    def clip_id(self) -> str:
        return safe_id(Path(self.clip_file).with_suffix("").name)


def read_metadata(path: Path) -> Table[NarratedRow]:
    """Return the rows of a metadata file; raises InputError when a column of the schema is missing."""
    csv.field_size_limit(1 << 20)
    return read_table(path, COLUMNS, _parse, delimiter="\t")


def _parse(cells: dict[str, str]) -> NarratedRow:
    if not cells["video_uid"] or not cells["clip_file"]:
        raise ValueError("video_uid and clip_file must not be empty")
    # The text goes into file names on disk: a list from elsewhere must not reach outside the folder of videos.
    if "/" in cells["video_uid"] or "\\" in cells["video_uid"] or cells["video_uid"] in (".", ".."):
        raise ValueError(f'video_uid "{cells["video_uid"]}" is not a name')
    return NarratedRow(
        video_uid=cells["video_uid"],
        video_dur=number(cells, "video_dur"),
        narration_source=cells["narration_source"],
        narration_ind=int(number(cells, "narration_ind")),
        narration_time=number(cells, "narration_time"),
        clip_text=cells["clip_text"],
        clip_file=cells["clip_file"],
        scores={name: number(cells, name) for name in SCORES},
    )


def reference_rows(video_uids: Sequence[str], split: ReferenceSplit, *, seed: int = 0) -> list[int]:
    """Return the rows of a split in the order in which neighbours are counted.

    Training and validation share one list: 95 % of its videos, shuffled by `seed`, and the rest. A test list is whole.
    """
    if split == "test":
        return list(range(len(video_uids)))
    videos = list(dict.fromkeys(video_uids))
    random.Random(seed).shuffle(videos)
    num_train = int(TRAIN_SHARE * len(videos))
    chosen = set(videos[:num_train] if split == "train" else videos[num_train:])
    return [index for index, uid in enumerate(video_uids) if uid in chosen]


def reference_order(num_rows: int, split: ReferenceSplit, *, seed: int = 0) -> list[int]:
    """Return the order in which the reference serves the rows of `reference_rows`; test rows are shuffled."""
    if split != "test":
        return list(range(num_rows))
    # What a pandas sample of the whole table draws; it needs numpy's legacy generator.
    return [int(row) for row in np.random.RandomState(seed).permutation(num_rows)]


def read_durations(path: Path) -> dict[str, float]:
    """Return seconds by video from Ego4D's own `ego4d.json`; raises MediaError when it is another file."""
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        return {video["video_uid"]: float(video["duration_sec"]) for video in described["videos"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MediaError(f"{path} is not Ego4D's list of videos: {error}") from error


def scan(
    metadata: Path,
    videos: Path,
    *,
    is_test_list: bool = False,
    durations: Mapping[str, float] | None = None,
    clip_seconds: float = CLIP_SECONDS,
    seed: int = 0,
) -> Manifest:
    """Return a clip of `clip_seconds` around each narration, in file order.

    The length of a video, which moves clips at its end, comes from `durations` by video, else from the metadata, else
    from the file's header. Rows without a video, without a possible time or with a name used before are rejected.
    Raises InputError when not one row is left.
    """
    if not videos.is_dir():
        raise MediaError(f"{videos}: no such folder of videos")
    table = read_metadata(metadata)
    folder = VideoFolder(videos)
    splits = _splits([row.video_uid for row in table.rows], is_test_list=is_test_list, seed=seed)
    records, rejected = [], list(table.rejected)
    for row in table.rows:
        try:
            path = folder.find([f"{row.video_uid}{suffix}" for suffix in (".mp4", ".mkv", ".webm")])
            seconds = (durations or {}).get(row.video_uid, row.video_dur)
            start, end = checked_clip(
                row.narration_time, seconds if seconds > 0 else folder.seconds(path), clip_seconds
            )
        except ClipProblemError as problem:
            rejected.append(Rejection(name=row.clip_id, reason=problem.reason, detail=problem.detail))
            continue
        records.append(
            ClipRecord(
                clip_id=row.clip_id,
                video_id=row.video_uid,
                path=path,
                start=start,
                end=end,
                split=splits[row.video_uid],
                caption=row.clip_text,
                tags=row.scores,
                licence=LICENCE,
            )
        )
    kept, duplicates = unique_records(records)
    rejected += duplicates
    if not kept:
        raise InputError(f"not one of {len(table.rows) + len(table.rejected)} rows of {metadata} is a clip of {videos}")
    return Manifest(records=tuple(kept), rejected=tuple(rejected), unknown_columns=table.unknown_columns)


def _splits(video_uids: Sequence[str], *, is_test_list: bool, seed: int) -> dict[str, ManifestSplit]:
    if is_test_list:
        return dict.fromkeys(video_uids, "test")
    train = reference_rows(video_uids, "train", seed=seed)
    splits: dict[str, ManifestSplit] = dict.fromkeys(video_uids, "valid")
    return splits | dict.fromkeys((video_uids[row] for row in train), "train")


def write_metadata(path: Path, rows: Sequence[NarratedRow]) -> None:
    """Write rows in the published schema; verb, noun and the label `positive` are as the test list has them."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            start, end = max(row.narration_time - 0.5, 0.0), row.narration_time + 1.0
            writer.writerow(
                (
                    row.video_uid,
                    f"{row.video_dur:g}",
                    row.narration_source,
                    row.narration_ind,
                    row.narration_time,
                    start,
                    end,
                    row.clip_text,
                    "[]",
                    "[]",
                    1.0,
                    row.clip_file,
                    *(row.scores[name] for name in SCORES),
                )
            )
    temporary.replace(path)
