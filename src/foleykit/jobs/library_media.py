"""Media files on their way into a library: which there are, what is told about them, and the clips they hold."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.core.errors import MediaError, UsageError
from foleykit.core.suffixes import MEDIA_SUFFIXES
from foleykit.jobs.ambience import MAX_RECORDING_SECONDS, middle_of

TABLE_COLUMNS = ("path", "scene", "captions", "licence")
CAPTION_SEPARATOR = "|"


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What cannot be measured and has to be told about a file."""

    scene: str = ""
    captions: tuple[str, ...] = ()
    licence: str = ""


def find_media(roots: Sequence[Path], labels: Labels, table: Path | None = None) -> dict[Path, Labels]:
    """Return the files `roots`, and the sound and video files below the folders among them, in order of name.

    Labels come from the table, else they are `labels`; a file in a sub-folder without a scene has its name. A file that
    the table lists is one of them even where it is missing, so that it is counted. Raises UsageError for a
    path that does not exist or a table that cannot be read.
    """
    told = {} if table is None else read_table(table)
    found: dict[Path, Labels] = {}
    for root in roots:
        if not root.exists():
            raise UsageError(f"{root}: no such file or folder")
        for path in sorted(_media_below(root)) if root.is_dir() else [root]:
            own = told.get(path.resolve()) or labels
            if not own.scene and root.is_dir() and path.parent != root:
                own = replace(own, scene=path.parent.name)
            found[path] = own
    seen = {path.resolve() for path in found}
    found.update({path: own for path, own in told.items() if path not in seen and not path.exists()})
    return found


def read_table(path: Path) -> dict[Path, Labels]:
    """Return labels by resolved path from a CSV; raises UsageError naming a column that is unknown or missing."""
    if not path.is_file():
        raise UsageError(f"{path}: no such table")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or ()
        unknown = [name for name in columns if name not in TABLE_COLUMNS]
        if unknown or "path" not in columns:
            what = f'unknown column "{unknown[0]}"' if unknown else "no column path"
            raise UsageError(f"{path} has {what}; a table of clips has path and any of scene, captions, licence")
        return {
            (path.parent / row["path"]).resolve(): Labels(
                scene=row.get("scene") or "",
                captions=tuple(filter(None, map(str.strip, (row.get("captions") or "").split(CAPTION_SEPARATOR)))),
                licence=row.get("licence") or "",
            )
            for row in reader
        }


def cut_clips(
    path: Path, *, sample_rate: int, num_samples: int, every: float | None
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first sample, waveform (1, S)) of the clips of a file: the one in its middle, or one `every` so often.

    A file shorter than `num_samples` is one clip. Raises MediaError when it cannot be read.
    """
    waveform = read_mono(path, sample_rate, 0)
    if every is None:
        clip = middle_of(waveform, num_samples)
        yield (waveform.shape[-1] - clip.shape[-1]) // 2, clip
        return
    step = max(1, round(every * sample_rate))
    block = round(MAX_RECORDING_SECONDS * sample_rate)
    offset, start = 0, 0
    while True:
        while start + num_samples <= offset + waveform.shape[-1]:
            yield start, waveform[:, start - offset : start - offset + num_samples]
            start += step
        if waveform.shape[-1] < block:
            break
        offset = start
        try:
            waveform = read_mono(path, sample_rate, offset)
        except MediaError:
            break
    if start == 0:
        yield 0, waveform


def read_mono(path: Path, sample_rate: int, first: int) -> NDArray[np.float32]:
    """Return up to ten minutes of a file (1, S) at `sample_rate`, from sample `first`."""
    waveform, _ = read_waveform(
        path, sample_rate=sample_rate, start=first / sample_rate, seconds=MAX_RECORDING_SECONDS, mono=True
    )
    return waveform


def _media_below(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in MEDIA_SUFFIXES:
                yield Path(folder, name)
