"""One long video as files that people can watch, hear and look at."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import write_waveform
from foleykit.audio.plot import Colour, Mark, Row, envelope, frame_strip, sheet, spectrogram, spectrogram_ticks
from foleykit.core.errors import UsageError
from foleykit.core.progress import Report, no_report
from foleykit.video.encode import write_video
from foleykit.world.config import WorldConfig
from foleykit.world.recordings import Recordings
from foleykit.world.stream import make_long_video
from foleykit.world.types import LongVideo, Material, Split, Take

MATERIAL_COLOURS: dict[Material, Colour] = {
    "wood": (176, 110, 50),
    "metal": (90, 130, 190),
    "glass": (40, 180, 190),
    "ceramic": (225, 225, 235),
    "plastic": (220, 70, 150),
    "stone": (130, 130, 130),
    "cloth": (110, 170, 70),
}
_WIDTH, _ROW_HEIGHT, _STRIP_HEIGHT, _WAVE_HEIGHT = 1600, 140, 110, 80
_LABEL_SPACING = 80


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The files of one previewed long video."""

    video: Path
    """Pictures with the mix."""
    stems: tuple[Path, ...]
    """action, off-screen and ambient WAV files that sum to the mix."""
    picture: Path
    """The labelled sheet."""
    description: Path
    """JSON: place, events, narrations, credits."""

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.video, *self.stems, self.picture, self.description)


def preview(
    config: WorldConfig,
    folder: Path,
    *,
    seed: int = 0,
    index: int = 0,
    split: Split = "train",
    sample_rate: int = 48_000,
    recordings: Recordings | None = None,
    recording_share: float = 0.3,
    overwrite: bool = False,
    report: Report = no_report,
) -> Preview:
    """Simulate and voice one long video and write its files into `folder`; all of them appear, or none.

    Raises UsageError when one exists and `overwrite` is off.
    """
    folder = Path(folder)
    name = f"world-{split}-{seed}-{index:06d}"
    result = Preview(
        video=folder / f"{name}.mp4",
        stems=tuple(folder / f"{name}.{stem}.wav" for stem in ("action", "off-screen", "ambient")),
        picture=folder / f"{name}.png",
        description=folder / f"{name}.json",
    )
    present = [path for path in result.files if path.exists()]
    if present and not overwrite:
        raise UsageError(f"{present[0]} exists; use --overwrite or another folder")
    report("simulate", 0)
    video = make_long_video(
        config,
        seed=seed,
        index=index,
        split=split,
        sample_rate=sample_rate,
        recordings=recordings,
        recording_share=recording_share,
    )
    report("write", 0)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=folder))
    try:
        _write(video, config, [temporary / path.name for path in result.files], recordings)
        for path in result.files:
            (temporary / path.name).replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    report("write", 1)
    return result


def preview_sheet(video: LongVideo) -> NDArray[np.uint8]:
    """Return the labelled sheet (H, W, 3): pictures with what happens in them, and a spectrogram of every stem."""
    take, stems = video.take, video.stems
    rate, seconds = stems.sample_rate, take.seconds
    ticks = spectrogram_ticks(rate)
    rows = [
        Row(
            label="pictures; yellow bars: gestures that touch nothing",
            picture=frame_strip(take.frames, take.frame_times, seconds, width=_WIDTH, height=_STRIP_HEIGHT),
            marks=tuple(Mark(time=start, duration=end - start, colour=(250, 200, 60)) for start, end in take.gestures),
        )
    ]
    labelled = {
        "mix": stems.mix,
        "action: what is seen to sound": stems.action,
        "off screen: sounds without a visible cause": stems.off_screen,
        f"ambient: {' and '.join(take.place.ambience)}, {take.place.ambient_level_db:.0f} dBFS": stems.ambient,
    }
    for position, (label, waveform) in enumerate(labelled.items()):
        marks = _event_marks(take, on_screen=position == 1) if position in (1, 2) else ()
        picture = spectrogram(waveform, rate, width=_WIDTH, height=_ROW_HEIGHT)
        rows.append(Row(label=label, picture=picture, ticks=ticks, marks=marks))
    rows.append(Row(label="waveform of the mix", picture=envelope(stems.mix, width=_WIDTH, height=_WAVE_HEIGHT)))
    title = f"{take.place.name}, {take.place.split} video {video.index} of world {video.seed}"
    return np.asarray(sheet(title, rows, seconds))


def _event_marks(take: Take, *, on_screen: bool) -> tuple[Mark, ...]:
    """Return the events of a stem coloured by material; labels that would overlap are left out."""
    marks = []
    labelled_until = -1.0
    for event in take.events:
        if event.on_screen != on_screen:
            continue
        has_room = event.time / take.seconds * _WIDTH > labelled_until
        if has_room:
            labelled_until = event.time / take.seconds * _WIDTH + _LABEL_SPACING
        marks.append(
            Mark(
                time=event.time,
                duration=event.duration,
                label=f"{event.action} {event.material}" if has_room else "",
                colour=MATERIAL_COLOURS[event.material],
            )
        )
    return tuple(marks)


def _write(video: LongVideo, config: WorldConfig, paths: list[Path], recordings: Recordings | None) -> None:
    from PIL import Image

    take, stems = video.take, video.stems
    movie, action, off_screen, ambient, picture, description = paths
    write_video(movie, take.frames, config.video_fps, stems.mix[None].clip(-1, 1), stems.sample_rate)
    for path, waveform in ((action, stems.action), (off_screen, stems.off_screen), (ambient, stems.ambient)):
        write_waveform(path, waveform, stems.sample_rate)
    Image.fromarray(preview_sheet(video)).save(picture)
    described = {
        "seed": video.seed,
        "index": video.index,
        "split": take.place.split,
        "place": take.place.name,
        "ambience": take.place.ambience,
        "ambient_level_db": round(take.place.ambient_level_db, 2),
        "narrations": [[round(float(time), 3), text] for time, text in take.narrations],
        "gestures": [[round(float(start), 3), round(float(end), 3)] for start, end in take.gestures],
        "events": [
            {
                "time": round(float(event.time), 4),
                "duration": round(float(event.duration), 3),
                "kind": event.kind,
                "action": event.action,
                "material": event.material,
                "striker": event.striker,
                "strength": round(float(event.strength), 4),
                "on_screen": bool(event.on_screen),
            }
            for event in take.events
        ],
        "credits": () if recordings is None else recordings.credits(),
    }
    description.write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
