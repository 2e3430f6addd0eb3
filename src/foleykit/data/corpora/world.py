"""The simulated world as a corpus: long mp4s and metadata in the schema of Ego4D-Sounds, with planted rubbish.

folder/videos/UID.mp4   20 s of a place, then stretches whose sound a filter must drop
folder/metadata.csv     tab-separated, as published
folder/truth.csv        what each clip really is
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import ConfigError, MediaError
from foleykit.core.progress import Report, no_report
from foleykit.data.corpora.ego4d_sounds import SCORES, NarratedRow, write_metadata
from foleykit.data.corpora.planted import PLANTED_KINDS, PlantedKind, planted_sound
from foleykit.data.corpora.videos import clip_around
from foleykit.data.engine import Engine, run_step
from foleykit.data.filtering import loudest_db
from foleykit.video.encode import write_video
from foleykit.world.config import WorldConfig
from foleykit.world.recordings import Recordings
from foleykit.world.stream import make_long_video
from foleykit.world.types import LongVideo, Split

Waveform = NDArray[np.float32]
ClipKind = Literal["good", "faint", "silence", "speech", "music", "low-energy"]
"""What a clip is: a good one is an action that is heard; a faint one is an action that is not."""

CLIP_SECONDS = 3.0
_SECTION_SECONDS = 3.4
_FADE_SECONDS = 0.02
_TEXTS: dict[PlantedKind, str] = {
    "silence": "#C C looks around",
    "speech": "#O a person talks",
    "music": "#C C listens to music",
    "low-energy": "#C C stands still",
}


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Which part of the world is written."""

    world: WorldConfig = field(default_factory=lambda: WorldConfig(frame_size=(128, 128)))
    num_videos: int = 10
    seed: int = 0
    split: Split = "train"
    first_index: int = 0
    """Index of the first long video."""
    sample_rate: int = 16_000
    num_planted: int = 1
    """Stretches of each planted kind at the end of each video."""
    audible_db: float = -40.0
    """A good clip's action reaches this RMS, in dBFS, for 50 ms."""

    def __post_init__(self) -> None:
        if self.num_videos < 1 or self.num_planted < 0 or self.first_index < 0:
            raise ConfigError("num_videos must be at least 1, num_planted and first_index at least 0")


@dataclass(frozen=True, kw_only=True)
class ClipTruth:
    """One line of truth.csv."""

    clip_id: str
    kind: ClipKind
    action_db: float
    """RMS of the loudest 50 ms of what is seen to sound, in dBFS."""
    ambient_db: float
    """RMS of the background of the place, in dBFS."""
    ambience: str
    """Kinds of background, joined by "+"."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    folder: Path
    config: ExportConfig
    index: int
    recordings: Path | None


def export_world(
    folder: Path,
    config: ExportConfig = ExportConfig(),
    *,
    recordings: Path | None = None,
    engine: Engine = "local",
    workers: int = 1,
    report: Report = no_report,
) -> tuple[ClipTruth, ...]:
    """Write the corpus into `folder` and return the truth about its clips, in the order of the metadata.

    Videos that are there already are kept. Raises ConfigError when the world cannot be rendered here.
    """
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    tasks = [
        _Task(folder=folder, config=config, index=config.first_index + number, recordings=recordings)
        for number in range(config.num_videos)
    ]
    rows: list[NarratedRow] = []
    truths: list[ClipTruth] = []
    report("export", 0)
    for number, (new_rows, new_truths) in enumerate(run_step(_export, tasks, engine=engine, workers=workers), 1):
        rows += new_rows
        truths += new_truths
        report(f"export, {number} of {len(tasks)} videos", number / len(tasks))
    write_metadata(folder / "metadata.csv", rows)
    with (folder / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("clip_id", "kind", "action_db", "ambient_db", "ambience"))
        writer.writerows((t.clip_id, t.kind, f"{t.action_db:.2f}", f"{t.ambient_db:.2f}", t.ambience) for t in truths)
    return tuple(truths)


def read_truth(path: Path) -> dict[str, ClipTruth]:
    """Return the lines of a truth.csv by clip id."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                row["clip_id"]: ClipTruth(
                    clip_id=row["clip_id"],
                    kind=row["kind"],  # type: ignore[arg-type]
                    action_db=float(row["action_db"]),
                    ambient_db=float(row["ambient_db"]),
                    ambience=row["ambience"],
                )
                for row in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError) as error:
        raise MediaError(f"{path} is not a truth table of an exported world: {error}") from error


def _export(task: _Task) -> tuple[list[NarratedRow], list[ClipTruth]]:
    """Write one long video and return its rows, in order of time, and the truth about them."""
    config = task.config
    recordings = None if task.recordings is None else Recordings.load(task.recordings)
    video = make_long_video(
        config.world,
        seed=config.seed,
        index=task.index,
        split=config.split,
        sample_rate=config.sample_rate,
        recordings=recordings,
    )
    uid = f"world-{config.seed}-{config.split}-{task.index:06d}"
    rng = np.random.default_rng((config.seed, task.index, 901))
    kinds = [kind for kind in PLANTED_KINDS for _ in range(config.num_planted)]
    order = [kinds[position] for position in rng.permutation(len(kinds))]
    path = task.folder / "videos" / f"{uid}.mp4"
    sections = [_section(kind, video, rng) for kind in order]
    if not path.exists():
        frames = _frames(video, len(order), config.world.video_fps)
        sound = np.concatenate([video.stems.mix, *sections])[None].clip(-1, 1)
        write_video(path, frames, config.world.video_fps, sound, config.sample_rate)
    starts = [video.take.seconds + _SECTION_SECONDS * number for number in range(len(order))]
    moments = [(time, text, _kind_at(video, time, config)) for time, text in video.take.narrations]
    moments += [(start + _SECTION_SECONDS / 2, _TEXTS[kind], kind) for start, kind in zip(starts, order, strict=True)]
    total = video.take.seconds + _SECTION_SECONDS * len(order)
    return _described(uid, video, moments, total, config)


def _described(
    uid: str, video: LongVideo, moments: Sequence[tuple[float, str, ClipKind]], seconds: float, config: ExportConfig
) -> tuple[list[NarratedRow], list[ClipTruth]]:
    place = video.take.place
    rows, truths = [], []
    for number, (time, text, kind) in enumerate(moments):
        # A clip at the end of the place must not reach into what is planted after it.
        if kind in ("good", "faint"):
            time = min(float(time), video.take.seconds - CLIP_SECONDS / 2)
        row = NarratedRow(
            video_uid=uid,
            video_dur=-1.0,
            narration_source="narration_pass_1",
            narration_ind=number,
            narration_time=round(min(float(time), seconds), 4),
            clip_text=text,
            clip_file=f"{uid}/{uid}_narration_pass_1_{number}.mp4",
            scores=dict.fromkeys(SCORES, 0.0),
        )
        rows.append(row)
        truths.append(
            ClipTruth(
                clip_id=row.clip_id,
                kind=kind,
                action_db=_action_db(video, row.narration_time, config) if kind in ("good", "faint") else -120.0,
                ambient_db=place.ambient_level_db,
                ambience="+".join(place.ambience),
            )
        )
    return rows, truths


def _action_db(video: LongVideo, time: float, config: ExportConfig) -> float:
    start, end = clip_around(min(time, video.take.seconds - CLIP_SECONDS / 2), video.take.seconds, CLIP_SECONDS)
    first, last = round(start * config.sample_rate), round(end * config.sample_rate)
    return loudest_db(video.stems.action[first:last], config.sample_rate)


def _kind_at(video: LongVideo, time: float, config: ExportConfig) -> ClipKind:
    level = _action_db(video, time, config)
    # An action under its background is not heard either.
    return "good" if level >= max(config.audible_db, video.take.place.ambient_level_db) else "faint"


def _section(kind: PlantedKind, video: LongVideo, rng: np.random.Generator) -> Waveform:
    """Return one planted stretch (S,); voices and music have the place's background at least 10 dB below them."""
    rate = video.stems.sample_rate
    size = round(_SECTION_SECONDS * rate)
    sound = planted_sound(kind, size, rate, rng)
    if kind in ("speech", "music"):
        first = int(rng.integers(max(1, video.stems.ambient.size - size)))
        background = np.resize(video.stems.ambient[first : first + size], size)
        wanted = float(np.sqrt(np.mean(sound**2))) * 10 ** (-10 / 20)
        found = float(np.sqrt(np.mean(background**2)))
        sound = sound + background * np.float32(min(1.0, wanted / max(found, 1e-9)))
    fade = round(_FADE_SECONDS * rate)
    ramp = np.ones(size, np.float32)
    ramp[:fade] = np.linspace(0, 1, fade)
    ramp[-fade:] = ramp[:fade][::-1]
    return np.asarray(sound * ramp, np.float32)


def _frames(video: LongVideo, num_sections: int, fps: float) -> list[NDArray[np.uint8]]:
    """Return the pictures of the place, then as many of them again, from their start, as the planted stretches need."""
    frames = video.take.frames
    extra = round(_SECTION_SECONDS * num_sections * fps)
    return [frames, *(frames[index % len(frames)][None] for index in range(extra))]
