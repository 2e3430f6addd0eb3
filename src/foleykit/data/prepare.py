"""Turn the clips of a manifest into shards: each long video is decoded once, a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.core.config import to_dict
from foleykit.core.errors import ConfigError, InputError, MediaError
from foleykit.core.progress import Report, no_report
from foleykit.data.engine import Engine, run_step
from foleykit.data.manifest import ClipRecord, Manifest, Reason, Rejection, count_reasons, write_rejections
from foleykit.data.shards import ShardClip, ShardWriter, flac_bytes, write_index
from foleykit.data.span_types import CutConfig, Span
from foleykit.data.spans import cut_spans

FORMAT = 1
ErrorPolicy = Literal["skip", "stop"]

_SILENCE_DB = -120.0


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How clips are cut and grouped."""

    cut: CutConfig = field(default_factory=CutConfig)
    clips_per_shard: int = 500
    """A shard is closed when it holds at least so many clips; it always holds whole long videos."""
    on_error: ErrorPolicy = "skip"
    """A video that does not decode: leave its clips out and list them, or stop."""

    def __post_init__(self) -> None:
        if self.clips_per_shard < 1:
            raise ConfigError(f"clips_per_shard must be at least 1, got {self.clips_per_shard}")
        if self.on_error not in ("skip", "stop"):
            raise ConfigError(f'on_error must be "skip" or "stop", got "{self.on_error}"')


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """Everything one worker needs for one shard."""

    name: str
    folder: Path
    videos: Path
    records: tuple[ClipRecord, ...]
    config: PrepareConfig


@dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What became of one shard."""

    clips: tuple[ShardClip, ...]
    rejected: tuple[Rejection, ...]
    corrupt_videos: tuple[str, ...]
    """Paths of videos of which nothing decodes."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "clips": [clip.to_dict() for clip in self.clips],
            "rejected": [[item.name, item.reason, item.detail] for item in self.rejected],
            "corrupt_videos": list(self.corrupt_videos),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ShardResult:
        """Return what `to_dict` described."""
        return cls(
            clips=tuple(ShardClip.from_dict(clip) for clip in values["clips"]),
            rejected=tuple(Rejection(name=n, reason=r, detail=d) for n, r, d in values["rejected"]),
            corrupt_videos=tuple(values["corrupt_videos"]),
        )


@dataclass(frozen=True, kw_only=True)
class PrepareResult:
    """The whole run, including what an earlier, killed run had finished."""

    folder: Path
    num_clips: int
    num_shards: int
    num_resumed: int
    """Shards that were there already."""
    rejected: tuple[Rejection, ...]
    """From the manifest and from cutting."""
    corrupt_videos: tuple[str, ...]
    unknown_columns: tuple[str, ...]
    seconds: float
    """Wall time of this run."""

    def counts(self) -> dict[Reason, int]:
        """Return how many clips were left out for each reason."""
        return count_reasons(self.rejected)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values; the list of rejections is a file of its own."""
        return {
            "num_clips": self.num_clips,
            "num_shards": self.num_shards,
            "num_resumed": self.num_resumed,
            "num_rejected": len(self.rejected),
            "rejected": self.counts(),
            "corrupt_videos": list(self.corrupt_videos),
            "unknown_columns": list(self.unknown_columns),
            "seconds": round(self.seconds, 3),
        }


def prepare(
    manifest: Manifest,
    videos: Path,
    folder: Path,
    config: PrepareConfig = PrepareConfig(),
    *,
    engine: Engine = "local",
    workers: int = 1,
    report: Report = no_report,
) -> PrepareResult:
    """Cut every clip of `manifest` into shards in `folder`, and write its index, report.json and rejected.csv.

    Shards do not depend on engine and workers. A call on a folder that a killed call left behind does what is missing.
    Raises ConfigError when `folder` holds shards of another manifest or config, InputError for an empty manifest, and
    MediaError for a corrupt video under the policy "stop".
    """
    if not manifest.records:
        raise InputError("there is no clip to prepare")
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = plan_shards(manifest.records, videos, folder, config)
    _claim(folder, tasks, config)
    done = {task.name: result for task in tasks if (result := _finished(task)) is not None}
    num_resumed = len(done)
    missing = [task for task in tasks if task.name not in done]
    report("prepare", num_resumed / len(tasks))
    for task, result in zip(missing, run_step(make_shard, missing, engine=engine, workers=workers), strict=True):
        done[task.name] = result
        report(f"prepare, {len(done)} of {len(tasks)} shards", len(done) / len(tasks))
    results = [done[task.name] for task in tasks]
    return _summarise(manifest, results, folder, num_resumed, started)


def _summarise(
    manifest: Manifest, results: Sequence[ShardResult], folder: Path, num_resumed: int, started: float
) -> PrepareResult:
    by_id = {clip.record.clip_id: clip for result in results for clip in result.clips}
    clips = [by_id[record.clip_id] for record in manifest.records if record.clip_id in by_id]
    write_index(folder, clips)
    summary = PrepareResult(
        folder=folder,
        num_clips=len(clips),
        num_shards=len(results),
        num_resumed=num_resumed,
        rejected=(*manifest.rejected, *(item for result in results for item in result.rejected)),
        corrupt_videos=tuple(path for result in results for path in result.corrupt_videos),
        unknown_columns=manifest.unknown_columns,
        seconds=time.perf_counter() - started,
    )
    write_rejections(folder / "rejected.csv", summary.rejected)
    (folder / "report.json").write_text(json.dumps(summary.to_dict(), indent=1) + "\n", encoding="utf-8")
    return summary


def plan_shards(records: Sequence[ClipRecord], videos: Path, folder: Path, config: PrepareConfig) -> list[ShardTask]:
    """Return what each shard will hold: whole videos, in the order in which they first appear."""
    by_video: dict[str, list[ClipRecord]] = {}
    for record in records:
        by_video.setdefault(record.path, []).append(record)
    groups: list[list[ClipRecord]] = []
    for members in by_video.values():
        if not groups or len(groups[-1]) >= config.clips_per_shard:
            groups.append([])
        groups[-1] += members
    return [
        ShardTask(name=f"shard-{index:06d}", folder=folder, videos=videos, records=tuple(group), config=config)
        for index, group in enumerate(groups)
    ]


def _claim(folder: Path, tasks: Sequence[ShardTask], config: PrepareConfig) -> None:
    """Write plan.json into a new folder, or check that the one that is there is equal."""
    # What to do about errors may change between runs; everything else decides what the shards hold.
    settings = to_dict(replace(config, on_error="skip"))
    digest = hashlib.sha256()
    for task in tasks:
        for record in task.records:
            digest.update(json.dumps([task.name, record.to_dict()], sort_keys=True).encode())
    plan = json.loads(
        json.dumps({"format": FORMAT, "config": settings, "num_shards": len(tasks), "clips_sha256": digest.hexdigest()})
    )
    path = folder / "plan.json"
    if not path.exists():
        temporary = path.with_name(f".plan.{os.getpid()}.part")
        temporary.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is damaged; use an empty folder") from error
    if found != plan:
        differing = sorted(key for key in plan | found if plan.get(key) != found.get(key))
        raise ConfigError(
            f"{folder} holds shards with another {', '.join(differing)}; use an empty folder or the same settings"
        )


def _finished(task: ShardTask) -> ShardResult | None:
    """Return the result of a shard that an earlier run completed."""
    described = task.folder / f"{task.name}.json"
    # The description is written last, so that a shard with one is whole.
    if not described.is_file() or not (task.folder / f"{task.name}.tar").is_file():
        return None
    return ShardResult.from_dict(json.loads(described.read_text(encoding="utf-8")))


def make_shard(task: ShardTask) -> ShardResult:
    """Cut the clips of one shard and write it; the step that engines run."""
    clips: list[ShardClip] = []
    rejected: list[Rejection] = []
    corrupt: list[str] = []
    by_video: dict[str, list[ClipRecord]] = {}
    for record in task.records:
        by_video.setdefault(record.path, []).append(record)
    shard = task.folder / f"{task.name}.tar"
    with ShardWriter(shard) as writer:
        for path, records in by_video.items():
            try:
                for clip in _cut_video(task, path, records, writer):
                    if isinstance(clip, Rejection):
                        rejected.append(clip)
                    else:
                        clips.append(clip)
            except MediaError as error:
                if task.config.on_error == "stop":
                    raise
                corrupt.append(path)
                told = {clip.record.clip_id for clip in clips} | {item.name for item in rejected}
                rejected += [
                    Rejection(name=record.clip_id, reason="corrupt-video", detail=str(error))
                    for record in records
                    if record.clip_id not in told
                ]
    result = ShardResult(clips=tuple(clips), rejected=tuple(rejected), corrupt_videos=tuple(corrupt))
    described = shard.with_suffix(".json")
    temporary = described.with_name(f".{described.name}.part")
    temporary.write_text(json.dumps(result.to_dict()) + "\n", encoding="utf-8")
    temporary.replace(described)
    return result


def _cut_video(
    task: ShardTask, path: str, records: Sequence[ClipRecord], writer: ShardWriter
) -> Iterator[ShardClip | Rejection]:
    """Yield a ShardClip or a Rejection for every record of one long video, in order of their start."""
    by_id = {record.clip_id: record for record in records}
    spans = [Span(key=record.clip_id, start=record.start, end=record.end) for record in records]
    rate = task.config.cut.sample_rate
    for cut in cut_spans(task.videos / path, spans, task.config.cut):
        record = by_id[cut.key]
        if cut.problem is not None:
            yield Rejection(name=cut.key, reason=cut.problem, detail=cut.detail)
            continue
        level_db = round(rms_db(cut.waveform), 3)
        described = record.to_dict() | {
            "num_frames": cut.num_frames,
            "level_db": level_db,
            "missing_sound": cut.missing_sound,
        }
        members = writer.add(
            cut.key,
            {
                "mp4": cut.movie,
                "flac": flac_bytes(cut.waveform, rate),
                "json": json.dumps(described, ensure_ascii=False).encode(),
            },
        )
        yield ShardClip(
            record=record, shard=f"{task.name}.tar", members=members, num_frames=cut.num_frames, level_db=level_db
        )


def rms_db(waveform: NDArray[np.float32]) -> float:
    """Return the RMS of a waveform (S,) in dBFS, at least -120."""
    mean_square = float(np.square(waveform, dtype=np.float64).mean()) if waveform.size else 0.0
    return max(_SILENCE_DB, 10 * np.log10(max(mean_square, 1e-30)))
