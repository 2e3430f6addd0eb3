"""Long videos on disk: rendered once by many processes, read by every training.

    root/config.json
    root/{split}/{index:06d}/frames.npy    uint8 (T, H, W, 3)
    root/{split}/{index:06d}/surfaces.npy  uint8 (M, C, C)
    root/{split}/{index:06d}/audio.npy     int16 (2 + A + V, S): action, off-screen, A backgrounds, V times the action
                                           with its bodies made of other materials; full scale 32768
    root/{split}/{index:06d}/events.json   events without profiles, the place, narrations, gestures, credits

Arrays are memory-mapped when read, so that thousands of videos may be open at once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foleykit.core.config import from_dict, to_dict
from foleykit.core.errors import ConfigError, MediaError
from foleykit.core.progress import Report, no_report
from foleykit.core.threads import one_thread_each
from foleykit.world.config import WorldConfig
from foleykit.world.recordings import Recordings
from foleykit.world.stream import make_take, voice_seed
from foleykit.world.types import LongVideo, Material, Place, SoundEvent, Split, Stems, Take
from foleykit.world.voice import ambient_variants, revoiced, variant_places, voice_events

FORMAT = 3
PCM_SCALE = 32768.0


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Everything that decides what a cached long video is; a cache holds videos of one config only."""

    world: WorldConfig
    seed: int
    sample_rate: int = 16_000
    num_ambients: int = 3
    """Backgrounds per video: the place's own, a quiet one, then others."""
    num_revoicings: int = 0
    """Times that the action is voiced again, with other materials than are seen."""
    recordings: str = ""
    """Fingerprint of the recordings' tables, empty without recordings."""
    recording_share: float = 0.0
    """Share of bodies and backgrounds that sound from a recording."""
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.num_ambients < 1 or self.sample_rate < 8000:
            raise ConfigError(
                f"a cache needs at least one ambience and 8000 Hz, got {self.num_ambients} and {self.sample_rate} Hz"
            )
        if self.num_revoicings < 0:
            raise ConfigError(f"num_revoicings must be 0 or more, got {self.num_revoicings}")
        if not 0 <= self.recording_share <= 1:
            raise ConfigError(f"recording_share must be 0 to 1, got {self.recording_share:g}")


@dataclass(frozen=True, kw_only=True)
class CachedVideo:
    """A long video read from a cache; arrays are read-only maps of the files."""

    index: int
    seed: int
    sample_rate: int
    seconds: float
    frames: NDArray[np.uint8]
    """(T, H, W, 3)"""
    frame_times: NDArray[np.float64]
    """(T,) seconds"""
    surface_maps: NDArray[np.uint8]
    """(M, C, C) index into SURFACES"""
    action: NDArray[np.int16]
    """(S,)"""
    off_screen: NDArray[np.int16]
    """(S,)"""
    ambient: NDArray[np.int16]
    """(A, S); 0 is the place's own background."""
    revoiced: NDArray[np.int16]
    """(V, S) action with its bodies made of other materials"""
    revoiced_materials: tuple[tuple[Material, ...], ...]
    """(V, events) of what rings in each"""
    events: tuple[SoundEvent, ...]
    """Without profiles."""
    places: tuple[Place, ...]
    """(A,) the place as it is with each background; 0 is the place itself."""
    gestures: tuple[tuple[float, float], ...]
    narrations: tuple[tuple[float, str], ...]
    credits: tuple[str, ...]
    """Attribution lines of the recordings that sound in it."""

    @property
    def place(self) -> Place:
        return self.places[0]

    def heard_events(self, voice: int = 0) -> tuple[SoundEvent, ...]:
        """Return the events as they sound in the action stem, or from `voice` 1 on in a re-voiced one."""
        if voice == 0:
            return self.events
        materials = self.revoiced_materials[voice - 1]
        return tuple(
            dataclasses.replace(event, material=material)
            for event, material in zip(self.events, materials, strict=True)
        )

    def long_video(self, variant: int = 0) -> LongVideo:
        """Return it as the world makes it, with background `variant`; the stems become float32."""
        take = Take(
            place=self.places[variant],
            seconds=self.seconds,
            frames=self.frames,
            frame_times=self.frame_times,
            surface_maps=self.surface_maps,
            events=self.events,
            gestures=self.gestures,
            narrations=self.narrations,
        )
        scale = np.float32(1 / PCM_SCALE)
        stems = Stems(
            sample_rate=self.sample_rate,
            action=self.action * scale,
            off_screen=self.off_screen * scale,
            ambient=self.ambient[variant] * scale,
        )
        return LongVideo(seed=self.seed, index=self.index, take=take, stems=stems)


def build_cache(
    root: Path,
    config: WorldConfig,
    *,
    seed: int,
    split: Split,
    num_videos: int,
    sample_rate: int = 16_000,
    num_ambients: int = 3,
    num_revoicings: int = 0,
    workers: int = 1,
    recordings: Path | None = None,
    recording_share: float = 0.3,
    report: Report = no_report,
) -> None:
    """Render videos 0 to `num_videos` - 1 of `split` into `root`; those that are there already are kept.

    A video appears in one rename when it is whole, so a killed build is continued by the same call. The result does not
    depend on `workers`; 0 renders in this process.

    Raises ConfigError when `root` holds a cache of another config.
    """
    root = Path(root)
    cache_config = CacheConfig(
        world=config,
        seed=seed,
        sample_rate=sample_rate,
        num_ambients=num_ambients,
        num_revoicings=num_revoicings,
        recordings="" if recordings is None else _fingerprint(Recordings.load(recordings)),
        recording_share=0.0 if recordings is None else recording_share,
    )
    folder = root / split
    folder.mkdir(parents=True, exist_ok=True)
    _claim(root, cache_config)
    for leftover in folder.glob(".*.part"):
        if not _is_running(int(leftover.name.split(".")[-2])):
            shutil.rmtree(leftover, ignore_errors=True)
    missing = [index for index in range(num_videos) if not (folder / f"{index:06d}").is_dir()]
    num_done = num_videos - len(missing)
    report("rendering", num_done / max(1, num_videos))
    for _ in _rendered(root, cache_config, split, missing, recordings, workers):
        num_done += 1
        report("rendering", num_done / num_videos)


def _is_running(process: int) -> bool:
    """Return whether a process of this machine, perhaps another build of the same cache, is alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def load_cached(folder: Path) -> CachedVideo:
    """Open one cached video; raises MediaError when the folder is not one."""
    folder = Path(folder)
    try:
        described = json.loads((folder / "events.json").read_text(encoding="utf-8"))
        frames = np.load(folder / "frames.npy", mmap_mode="r")
        surface_maps = np.load(folder / "surfaces.npy")
        audio = np.load(folder / "audio.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise MediaError(f"{folder}: not a cached long video ({error})") from error
    return CachedVideo(
        index=described["index"],
        seed=described["seed"],
        sample_rate=described["sample_rate"],
        seconds=described["seconds"],
        frames=frames,
        frame_times=np.asarray(described["frame_times"]),
        surface_maps=surface_maps,
        action=audio[0],
        off_screen=audio[1],
        ambient=audio[2 : 2 + len(described["places"])],
        revoiced=audio[2 + len(described["places"]) :],
        revoiced_materials=tuple(tuple(materials) for materials in described.get("revoiced_materials", ())),
        events=tuple(_event(values) for values in described["events"]),
        places=tuple(from_dict(Place, place, where="place") for place in described["places"]),
        gestures=tuple((start, end) for start, end in described["gestures"]),
        narrations=tuple((time, text) for time, text in described["narrations"]),
        credits=tuple(described["credits"]),
    )


def open_cache(root: Path, split: Split, *, limit: int | None = None) -> tuple[CachedVideo, ...]:
    """Return the videos of `split` in order of their index, at most `limit`; raises MediaError when there is none."""
    folders = sorted(path for path in (Path(root) / split).glob("[0-9]*") if path.is_dir())[:limit]
    if not folders:
        raise MediaError(f"{root}: no {split} videos in this cache; build them with `foley world build`")
    return tuple(load_cached(folder) for folder in folders)


def _claim(root: Path, config: CacheConfig) -> None:
    """Write config.json into a new cache, or check that the one that is there is equal."""
    path = root / "config.json"
    wanted = json.loads(json.dumps(to_dict(config)))
    if not path.exists():
        temporary = path.with_name(f".config.{os.getpid()}.part")
        temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    # Caches from before there were re-voicings name none.
    found = {"num_revoicings": 0} | json.loads(path.read_text(encoding="utf-8"))
    if found != wanted:
        differing = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
        raise ConfigError(
            f"{root} holds a cache with another {', '.join(differing)}; use an empty folder or the same settings"
        )


def _fingerprint(recordings: Recordings) -> str:
    rows = [f"{row.key} {row.role} {row.split} {row.onsets}" for row in recordings.rows]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def _rendered(
    root: Path, config: CacheConfig, split: Split, indices: list[int], recordings: Path | None, workers: int
) -> Iterator[None]:
    """Render `indices`, yielding after each."""
    if workers < 1:
        _start_worker(recordings)
        for index in indices:
            _render(root, config, split, index)
            yield
        return
    context = multiprocessing.get_context("spawn")
    with one_thread_each(), ProcessPoolExecutor(workers, context, _start_worker, (recordings,)) as pool:
        pending: set[Future[None]] = set()
        queue = iter(indices)
        try:
            while True:
                # A short queue keeps an interrupt quick: only videos in work are lost.
                while len(pending) < 2 * workers and (upcoming := next(queue, None)) is not None:
                    pending.add(pool.submit(_render, root, config, split, upcoming))
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    yield
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_worker_recordings: Recordings | None = None


def _start_worker(recordings: Path | None) -> None:
    global _worker_recordings
    _worker_recordings = None if recordings is None else Recordings.load(recordings)


def _render(root: Path, config: CacheConfig, split: Split, index: int) -> None:
    """Write one video under a temporary name and rename it."""
    final = root / split / f"{index:06d}"
    temporary = final.with_name(f".{final.name}.{os.getpid()}.part")
    temporary.mkdir()
    try:
        take = make_take(config.world, seed=config.seed, index=index, split=split)
        sound_seed = voice_seed(config.seed, index, split)
        recordings = _worker_recordings
        if recordings is not None:
            recordings.used.clear()
        revoicings = [revoiced(take, seed=sound_seed, number=number) for number in range(config.num_revoicings)]
        audio = _voiced(take, revoicings, config, sound_seed, recordings)
        np.save(temporary / "frames.npy", take.frames)
        np.save(temporary / "surfaces.npy", take.surface_maps)
        np.save(temporary / "audio.npy", audio)
        described: dict[str, Any] = {
            "index": index,
            "seed": config.seed,
            "sample_rate": config.sample_rate,
            "seconds": take.seconds,
            "frame_times": [round(float(time), 6) for time in take.frame_times],
            "places": [
                to_dict(place) for place in variant_places(take.place, seed=sound_seed, count=config.num_ambients)
            ],
            "events": [_event_dict(event) for event in take.events],
            "revoiced_materials": [[event.material for event in again.events] for again in revoicings],
            "gestures": [(float(start), float(end)) for start, end in take.gestures],
            "narrations": [(float(time), text) for time, text in take.narrations],
            "credits": () if recordings is None else recordings.credits(),
        }
        (temporary / "events.json").write_text(json.dumps(described), encoding="utf-8")
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _voiced(
    take: Take, revoicings: Sequence[Take], config: CacheConfig, seed: int, recordings: Recordings | None
) -> NDArray[np.int16]:
    """Return the stems (2 + A + V, S)."""
    events = [
        voice_events(
            heard,
            sample_rate=config.sample_rate,
            seed=seed,
            on_screen=on_screen,
            recordings=recordings,
            recording_share=config.recording_share,
        )
        for heard, on_screen in ((take, True), (take, False), *((again, True) for again in revoicings))
    ]
    backgrounds = ambient_variants(
        take,
        sample_rate=config.sample_rate,
        seed=seed,
        count=config.num_ambients,
        recordings=recordings,
        recording_share=config.recording_share,
    )
    stems = np.concatenate([np.stack(events[:2]), backgrounds, *(again[None] for again in events[2:])])
    return np.clip(np.rint(stems * PCM_SCALE), -32768, 32767).astype(np.int16)


def _event(values: dict[str, Any]) -> SoundEvent:
    point = values.pop("point")
    return SoundEvent(**values, point=None if point is None else (point[0], point[1]))


def _event_dict(event: SoundEvent) -> dict[str, Any]:
    values = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    del values["profile"]
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in values.items()}
