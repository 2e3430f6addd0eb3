"""The folders that an evaluation reads: a reference set cut from long videos, and generated sound for its clips.

reference/manifest.jsonl            one ClipInfo per line
reference/{clip_id}.wav             everything that sounds in the scene
reference/{clip_id}.action.wav      what the visible actions contribute
reference/{clip_id}.ambient.wav     the stationary background
reference/{clip_id}.neighbour.wav   another moment of the same long video, everything that sounds
generated/<condition>/{clip_id}.wav one sound per clip, any sample rate, of the clip's length
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform, write_waveform
from foleykit.audio.resample import fit_length
from foleykit.core.config import from_dict, to_dict
from foleykit.core.errors import ConfigError, InputError, MediaError
from foleykit.world.types import Action, AmbienceKind, EventKind, LongVideo, Material

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class ClipEvent:
    """One physical cause of sound, on the clip's clock."""

    time: float
    """Onset in seconds from the clip's start; below 0 when a sustained sound began before it."""
    duration: float
    kind: EventKind
    action: Action
    material: Material
    strength: float
    on_screen: bool


@dataclass(frozen=True, kw_only=True)
class ClipInfo:
    """What is known about one reference clip, except its sound."""

    clip_id: str
    video_id: str
    """The long video; clips of one long video share place and ambience."""
    start: float
    """Seconds into the long video."""
    seconds: float
    neighbour_start: float
    """Where the neighbour clip, equally long and not overlapping, starts in the same long video."""
    ambience: tuple[AmbienceKind, ...]
    ambient_level_db: float
    events: tuple[ClipEvent, ...]


@dataclass(frozen=True, kw_only=True)
class ClipAudio:
    """The true sound of one clip, all (S,) float32."""

    sample_rate: int
    mix: NDArray[np.float32]
    action: NDArray[np.float32]
    ambient: NDArray[np.float32]
    neighbour: NDArray[np.float32]

    @property
    def foreground(self) -> NDArray[np.float32]:
        """Everything but the ambience: visible actions and what sounds off screen."""
        return self.mix - self.ambient


def cut_clips(
    video: LongVideo, video_id: str, *, seconds: float, min_events: int = 1
) -> Iterator[tuple[ClipInfo, ClipAudio]]:
    """Yield the clips of `seconds` that lie side by side in a long video and hold at least `min_events` visible events.

    The neighbour of a clip is the clip half the video away. Raises InputError when the video is shorter than two clips.
    """
    num_spans = int(video.take.seconds / seconds + 1e-9)
    if num_spans < 2:
        raise InputError(f"{video_id} lasts {video.take.seconds:g} s: a clip of {seconds:g} s has no neighbour in it")
    for index in range(num_spans):
        start, neighbour_start = index * seconds, (index + num_spans // 2) % num_spans * seconds
        events = _events_between(video, start, start + seconds)
        if sum(event.on_screen and event.time >= 0 for event in events) < min_events:
            continue
        info = ClipInfo(
            clip_id=f"{video_id}_{index:03d}",
            video_id=video_id,
            start=start,
            seconds=seconds,
            neighbour_start=neighbour_start,
            ambience=video.take.place.ambience,
            ambient_level_db=video.take.place.ambient_level_db,
            events=events,
        )
        yield info, _cut_audio(video, start, neighbour_start, seconds)


def write_reference(folder: Path, clips: Iterable[tuple[ClipInfo, ClipAudio]]) -> tuple[ClipInfo, ...]:
    """Write a reference set and return its manifest; the manifest is written last, so that it names only whole clips.

    Raises InputError when there are no clips or two share an id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    infos: list[ClipInfo] = []
    for info, audio in clips:
        for suffix in ("", ".action", ".ambient", ".neighbour"):
            stem = getattr(audio, suffix[1:] or "mix")
            write_waveform(folder / f"{info.clip_id}{suffix}.wav", stem, audio.sample_rate)
        infos.append(info)
    if not infos or len({info.clip_id for info in infos}) < len(infos):
        raise InputError(f"a reference set needs clips with distinct ids, got {len(infos)} clips")
    lines = [json.dumps(to_dict(info)) for info in infos]
    (folder / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tuple(infos)


def read_manifest(folder: Path) -> tuple[ClipInfo, ...]:
    """Return the clips of a reference set. Raises MediaError when the folder holds no valid manifest."""
    path = folder / MANIFEST
    if not path.is_file():
        raise MediaError(f"{path}: no such file; a reference set needs a manifest")
    infos = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            infos.append(from_dict(ClipInfo, json.loads(line)))
        except (ValueError, AttributeError, ConfigError) as error:
            raise MediaError(f"{path}: line {number} describes no clip ({error})") from error
    if not infos:
        raise MediaError(f"{path}: the manifest lists no clip")
    return tuple(infos)


def read_clip(folder: Path, info: ClipInfo) -> ClipAudio:
    """Return the true sound of one clip. Raises MediaError when a stem is missing or differs from the mix in length."""
    mix, sample_rate = _read_mono(folder / f"{info.clip_id}.wav", None)
    stems = {name: _read_mono(folder / f"{info.clip_id}.{name}.wav", sample_rate)[0] for name in ("action", "ambient")}
    if any(len(stem) != len(mix) for stem in stems.values()):
        raise MediaError(f"{folder}: the stems of {info.clip_id} differ in length")
    neighbour, _ = _read_mono(folder / f"{info.clip_id}.neighbour.wav", sample_rate)
    return ClipAudio(sample_rate=sample_rate, mix=mix, neighbour=fit_length(neighbour, len(mix)), **stems)


def read_generated(folder: Path, info: ClipInfo, sample_rate: int) -> NDArray[np.float32]:
    """Return the generated sound (S,) of one clip at `sample_rate`.

    Raises MediaError when it is missing or its length is more than 20 ms off the clip's.
    """
    path = folder / f"{info.clip_id}.wav"
    waveform, _ = _read_mono(path, sample_rate)
    wanted = round(info.seconds * sample_rate)
    if abs(len(waveform) - wanted) > 0.02 * sample_rate:
        raise MediaError(f"{path}: lasts {len(waveform) / sample_rate:.3f} s, the clip lasts {info.seconds:.3f} s")
    return fit_length(waveform, wanted)


def _read_mono(path: Path, sample_rate: int | None) -> tuple[NDArray[np.float32], int]:
    waveform, rate = read_waveform(path, sample_rate=sample_rate, mono=True)
    return waveform[0], rate


def _events_between(video: LongVideo, start: float, end: float) -> tuple[ClipEvent, ...]:
    return tuple(
        ClipEvent(
            time=event.time - start,
            duration=event.duration,
            kind=event.kind,
            action=event.action,
            material=event.material,
            strength=event.strength,
            on_screen=event.on_screen,
        )
        for event in video.take.events
        if event.time < end and event.time + event.duration >= start
    )


def _cut_audio(video: LongVideo, start: float, neighbour_start: float, seconds: float) -> ClipAudio:
    rate = video.stems.sample_rate
    length = round(seconds * rate)

    def cut(stem: NDArray[np.float32], at: float) -> NDArray[np.float32]:
        return fit_length(stem[round(at * rate) : round(at * rate) + length], length)

    return ClipAudio(
        sample_rate=rate,
        mix=cut(video.stems.mix, start),
        action=cut(video.stems.action, start),
        ambient=cut(video.stems.ambient, start),
        neighbour=cut(video.stems.mix, neighbour_start),
    )
