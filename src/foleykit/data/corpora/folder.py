"""Any folder of videos, without annotations."""

from __future__ import annotations

from pathlib import Path

from foleykit.core.errors import ConfigError, InputError, MediaError
from foleykit.core.suffixes import VIDEO_SUFFIXES
from foleykit.data.corpora.videos import ClipProblemError, VideoFolder
from foleykit.data.corpora.windows import windows_of
from foleykit.data.manifest import ClipRecord, Manifest, ManifestSplit, Rejection, safe_id, unique_records


def scan(
    videos: Path,
    *,
    split: ManifestSplit = "train",
    clip_seconds: float = 3.0,
    stride_seconds: float = 3.0,
    licence: str = "",
) -> Manifest:
    """Return clips of `clip_seconds`, one every `stride_seconds`, of every video at or below the folder `videos`.

    Videos come in order of their path, which is their id. What has a video's suffix and is none is rejected. Raises
    MediaError for a missing folder and InputError when there is not one clip.
    """
    if clip_seconds <= 0 or stride_seconds <= 0:
        raise ConfigError(f"clip and stride must be positive, got {clip_seconds:g} and {stride_seconds:g} s")
    if not videos.is_dir():
        raise MediaError(f"{videos}: no such folder of videos")
    folder = VideoFolder(videos)
    records, rejected = [], []
    files = sorted(path for path in videos.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    for path in files:
        name = path.relative_to(videos).as_posix()
        try:
            spans = windows_of(folder.seconds(name), clip_seconds, stride_seconds)
            if not spans:
                raise ClipProblemError("bad-time", f"the video is shorter than a clip of {clip_seconds:g} s")
        except ClipProblemError as problem:
            rejected.append(Rejection(name=name, reason=problem.reason, detail=problem.detail))
            continue
        stem = safe_id(name.rsplit(".", 1)[0])
        records += [
            ClipRecord(
                clip_id=f"{stem}_{index:05d}", video_id=name, path=name, start=start, end=end, split=split,
                licence=licence,
            )
            for index, (start, end) in enumerate(spans)
        ]  # fmt: skip
    kept, duplicates = unique_records(records)
    if not kept:
        raise InputError(f"{videos} holds no video of at least {clip_seconds:g} s")
    return Manifest(records=tuple(kept), rejected=(*rejected, *duplicates))
