"""Four stages that leave the clips in which an action is heard, as Ego4D-Sounds was made."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import write_waveform
from foleykit.core.errors import ConfigError, InputError, MediaError
from foleykit.core.progress import Report, no_report
from foleykit.data.engine import Engine, run_step
from foleykit.data.manifest import (
    ClipRecord,
    Manifest,
    Reason,
    Rejection,
    count_reasons,
    write_manifest,
    write_rejections,
)
from foleykit.data.span_types import CutConfig, Span
from foleykit.data.spans import cut_spans
from foleykit.data.taggers import SignalTaggerConfig, SoundTags, Tagger, TaggerConfig, build_tagger

Waveform = NDArray[np.float32]
Stage = Literal["silence", "social", "speech-or-music", "low-energy"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which they are asked."""

_FLOOR_DB = -120.0


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """When each stage drops a clip. Neither the published code nor the paper states its thresholds; these are ours."""

    silence_db: float = -75.0
    """silence: the loudest 50 ms lie below this, in dBFS; so does a clip without a sound track."""
    speech_probability: float = 0.5
    """social: speech is at least this likely."""
    music_probability: float = 0.5
    """speech-or-music: speech or music is at least this likely, and ..."""
    other_probability: float = 0.5
    """... anything else is less likely than this."""
    energy_db: float = -46.0
    """low-energy: the loudest 50 ms lie below this, in dBFS."""
    tagger: TaggerConfig = field(default_factory=SignalTaggerConfig)
    sample_rate: int = 16_000
    """Of what is listened to."""
    clips_per_task: int = 500
    """Clips that one process handles at once; whole long videos."""

    def __post_init__(self) -> None:
        for name in ("speech_probability", "music_probability", "other_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be 0 to 1, got {getattr(self, name):g}")
        if not _FLOOR_DB <= self.silence_db <= self.energy_db <= 0:
            raise ConfigError(
                f"levels must satisfy -120 <= silence_db <= energy_db <= 0, got {self.silence_db:g}, {self.energy_db:g}"
            )
        if self.clips_per_task < 1:
            raise ConfigError(f"clips_per_task must be at least 1, got {self.clips_per_task}")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was heard in a clip, and which stage drops it; every measure is taken once."""

    clip_id: str
    stage: Stage | None
    """None keeps the clip."""
    loudest_db: float
    """RMS of the loudest 50 ms in dBFS, at least -120."""
    level_db: float
    """RMS of the clip in dBFS, at least -120."""
    tags: SoundTags | None
    """None where silence was noticed first."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        heard = self.tags
        return {
            "clip_id": self.clip_id,
            "stage": self.stage or "",
            "loudest_db": round(self.loudest_db, 2),
            "level_db": round(self.level_db, 2),
            "speech": None if heard is None else round(heard.speech, 4),
            "music": None if heard is None else round(heard.music, 4),
            "other": None if heard is None else round(heard.other, 4),
        }


def judge(clip_id: str, waveform: Waveform, config: FilterConfig, tagger: Tagger) -> Verdict:
    """Return the verdict on a mono waveform (S,) at `config.sample_rate`; (0,) is a clip without sound."""
    loudest, level = loudest_db(waveform, config.sample_rate), _db(waveform)
    if loudest < config.silence_db:
        return Verdict(clip_id=clip_id, stage="silence", loudest_db=loudest, level_db=level, tags=None)
    tags = tagger(waveform, config.sample_rate)
    stage: Stage | None = None
    if tags.speech >= config.speech_probability:
        stage = "social"
    elif max(tags.speech, tags.music) >= config.music_probability and tags.other < config.other_probability:
        stage = "speech-or-music"
    elif loudest < config.energy_db:
        stage = "low-energy"
    return Verdict(clip_id=clip_id, stage=stage, loudest_db=loudest, level_db=level, tags=tags)


def loudest_db(waveform: Waveform, sample_rate: int, seconds: float = 0.05) -> float:
    """Return the RMS of the loudest stretch of `seconds` of a waveform (S,) in dBFS, at least -120.

    Stretches overlap by half; a constant offset does not count.
    """
    half = max(1, round(seconds * sample_rate / 2))
    if waveform.size < 2 * half:
        return _db(waveform)
    samples = np.asarray(waveform, np.float64) - float(np.mean(waveform, dtype=np.float64))
    halves = np.square(samples[: samples.size // half * half]).reshape(-1, half).mean(axis=1)
    return max(_FLOOR_DB, 10 * float(np.log10(max(1e-30, ((halves[1:] + halves[:-1]) / 2).max()))))


def _db(waveform: Waveform) -> float:
    mean_square = float(np.mean(np.square(waveform, dtype=np.float64))) if waveform.size else 0.0
    return max(_FLOOR_DB, 10 * float(np.log10(max(1e-30, mean_square))))


@dataclass(frozen=True, kw_only=True)
class FilterTask:
    """Some long videos and the clips of them: what one process handles."""

    videos: Path
    records: tuple[ClipRecord, ...]
    config: FilterConfig


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What one process found."""

    verdicts: tuple[Verdict, ...]
    rejected: tuple[Rejection, ...]


@lru_cache(maxsize=2)
def _tagger(config: TaggerConfig) -> Tagger:
    """Return the tagger of this process, loaded once."""
    return build_tagger(config)


def judge_videos(task: FilterTask) -> Verdicts:
    """Listen to every clip of some long videos, each decoded once; the step that engines run."""
    by_video: dict[str, list[ClipRecord]] = {}
    for record in task.records:
        by_video.setdefault(record.path, []).append(record)
    config = task.config
    cut = CutConfig(sample_rate=config.sample_rate)
    verdicts: list[Verdict] = []
    rejected: list[Rejection] = []
    for path, records in by_video.items():
        spans = [Span(key=record.clip_id, start=record.start, end=record.end) for record in records]
        waiting = {record.clip_id for record in records}
        try:
            for result in cut_spans(task.videos / path, spans, cut, with_pictures=False):
                waiting.discard(result.key)
                if result.problem in (None, "no-sound"):
                    verdicts.append(judge(result.key, result.waveform, config, _tagger(config.tagger)))
                else:
                    assert result.problem is not None
                    rejected.append(Rejection(name=result.key, reason=result.problem, detail=result.detail))
        except MediaError as error:
            rejected += [
                Rejection(name=record.clip_id, reason="corrupt-video", detail=str(error))
                for record in records
                if record.clip_id in waiting
            ]
    return Verdicts(verdicts=tuple(verdicts), rejected=tuple(rejected))


@dataclass(frozen=True, kw_only=True)
class FilterResult:
    """What is left, and why the rest is not."""

    kept: tuple[ClipRecord, ...]
    """In the order of the manifest."""
    dropped: tuple[tuple[ClipRecord, Verdict], ...]
    rejected: tuple[Rejection, ...]
    """Clips that could not be judged."""
    verdicts: tuple[Verdict, ...]
    """Of every judged clip, in the order of the manifest."""
    seconds: float
    """Wall time."""

    def stage_counts(self) -> dict[Stage, int]:
        """Return how many clips each stage dropped."""
        stages = [verdict.stage for _, verdict in self.dropped]
        return {stage: stages.count(stage) for stage in STAGES}

    def reason_counts(self) -> dict[Reason, int]:
        """Return how many clips could not be judged, by reason."""
        return count_reasons(self.rejected)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "num_judged": len(self.verdicts),
            "num_kept": len(self.kept),
            "dropped": self.stage_counts(),
            "rejected": self.reason_counts(),
            "seconds": round(self.seconds, 3),
        }


def filter_clips(
    manifest: Manifest,
    videos: Path,
    config: FilterConfig = FilterConfig(),
    *,
    engine: Engine = "local",
    workers: int = 1,
    report: Report = no_report,
) -> FilterResult:
    """Judge every clip of `manifest`; the result does not depend on engine and workers.

    Raises InputError for an empty manifest and ModelError when the tagger cannot be loaded.
    """
    if not manifest.records:
        raise InputError("there is no clip to filter")
    started = time.perf_counter()
    build_tagger(config.tagger)
    tasks = _tasks(manifest.records, videos, config)
    verdicts: dict[str, Verdict] = {}
    rejected: list[Rejection] = list(manifest.rejected)
    report("filter", 0)
    for number, result in enumerate(run_step(judge_videos, tasks, engine=engine, workers=workers), 1):
        verdicts |= {verdict.clip_id: verdict for verdict in result.verdicts}
        rejected += result.rejected
        report(f"filter, {number} of {len(tasks)} parts", number / len(tasks))
    judged = [(record, verdicts[record.clip_id]) for record in manifest.records if record.clip_id in verdicts]
    return FilterResult(
        kept=tuple(record for record, verdict in judged if verdict.stage is None),
        dropped=tuple(pair for pair in judged if pair[1].stage is not None),
        rejected=tuple(rejected),
        verdicts=tuple(verdict for _, verdict in judged),
        seconds=time.perf_counter() - started,
    )


def _tasks(records: Sequence[ClipRecord], videos: Path, config: FilterConfig) -> list[FilterTask]:
    by_video: dict[str, list[ClipRecord]] = {}
    for record in records:
        by_video.setdefault(record.path, []).append(record)
    groups: list[list[ClipRecord]] = []
    for members in by_video.values():
        if not groups or len(groups[-1]) >= config.clips_per_task:
            groups.append([])
        groups[-1] += members
    return [FilterTask(videos=videos, records=tuple(group), config=config) for group in groups]


def write_filter_report(
    result: FilterResult, videos: Path, folder: Path, *, num_samples: int = 5, sample_rate: int = 16_000
) -> None:
    """Write kept.csv (a manifest), verdicts.jsonl, rejected.csv, report.json and samples to listen to into `folder`.

    `samples/STAGE` holds up to `num_samples` of the clips that a stage dropped, and `samples/kept` as many that stayed,
    spread evenly over the corpus.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder / "kept.csv", result.kept)
    write_rejections(folder / "rejected.csv", result.rejected)
    lines = (json.dumps(verdict.to_dict()) + "\n" for verdict in result.verdicts)
    (folder / "verdicts.jsonl").write_text("".join(lines), encoding="utf-8")
    groups: dict[str, list[ClipRecord]] = {stage: [] for stage in STAGES} | {"kept": list(result.kept)}
    for record, verdict in result.dropped:
        groups[str(verdict.stage)].append(record)
    for name, records in groups.items():
        chosen = records[:: max(1, -(-len(records) // num_samples))] if num_samples else []
        for record in chosen:
            target = folder / "samples" / name / f"{record.clip_id}.wav"
            target.parent.mkdir(parents=True, exist_ok=True)
            span = Span(key=record.clip_id, start=record.start, end=record.end)
            cuts = cut_spans(videos / record.path, [span], CutConfig(sample_rate=sample_rate), with_pictures=False)
            waveform = next(cuts).waveform
            if waveform.size:
                write_waveform(target, waveform, sample_rate)
    (folder / "report.json").write_text(json.dumps(result.to_dict(), indent=1) + "\n", encoding="utf-8")
