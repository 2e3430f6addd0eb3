"""Clips for a listening test: the same clip of every system found by its name, and brought into one form."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foleykit.audio.files import read_waveform
from foleykit.core.errors import MediaError, MediaWarning, UsageError
from foleykit.core.suffixes import MEDIA_SUFFIXES, VIDEO_SUFFIXES
from foleykit.jobs.embedding import has_pictures
from foleykit.video.encode import Waveform, write_video
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader
from foleykit.video.mux import mux
from foleykit.video.probe import probe
from foleykit.video.sound import read_audio_track

LARGEST_SIDE = 960
"""Pixels of the pictures' longer side on the page."""
LARGEST_FPS = 60
MISSING_SECONDS = 0.1
"""A sound that ends this much before the pictures is worth a warning."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Files of several folders that belong together."""

    clips: Mapping[str, Mapping[str, Path]]
    """By clip and system; every clip has a file of every system."""
    unpaired: Mapping[str, tuple[str, ...]]
    """Clips that some systems lack, and which these are."""


def pair_by_name(folders: Mapping[str, Path]) -> Pairing:
    """Return the clips that all folders hold, by the file's name without its suffix; sub-folders are not searched.

    Raises UsageError for a folder that does not exist, or that holds two files of one name.
    """
    found = {system: media_by_stem(folder) for system, folder in folders.items()}
    stems = sorted(set().union(*found.values()))
    absent = {stem: tuple(system for system in folders if stem not in found[system]) for stem in stems}
    return Pairing(
        clips={stem: {system: found[system][stem] for system in folders} for stem in stems if not absent[stem]},
        unpaired={stem: systems for stem, systems in absent.items() if systems},
    )


def media_by_stem(folder: Path) -> dict[str, Path]:
    """Return the sound and video files of a folder by name without suffix; raises UsageError for two of one name."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_media = path.suffix.lower() in MEDIA_SUFFIXES
        if path.name.startswith(".") or not is_media or not path.is_file():
            continue
        if path.stem in found:
            raise UsageError(f"{folder} holds both {found[path.stem].name} and {path.name}; keep the one to be heard")
        found[path.stem] = path
    return found


def find_picture(name: str, files: Mapping[str, Path], pictures: Mapping[str, Path] | None) -> Path:
    """Return the file whose pictures are shown for a clip: of `pictures`, else of the first system that has some.

    Raises MediaError when there is none.
    """
    if pictures is not None:
        if name not in pictures:
            raise MediaError("it is not among the pictures")
        return pictures[name]
    for path in files.values():
        if path.suffix.lower() in VIDEO_SUFFIXES and has_pictures(path):
            return path
    raise MediaError("no system's file has pictures; name a folder of the videos with --pictures")


def write_silent_picture(source: Path, output: Path) -> None:
    """Write the pictures of `source` as WebM, which every current browser plays, without sound and without tags."""
    info = probe(source)
    scale = min(1.0, LARGEST_SIDE / max(info.width, info.height))
    size = (max(2, round(info.height * scale / 2) * 2), max(2, round(info.width * scale / 2) * 2))
    fps = min(info.average_fps, LARGEST_FPS)
    write_video(output, VideoReader(info, fps=fps, size=size), fps)


def write_version(picture: Path, sound: Path, output: Path) -> None:
    """Write the same pictures with the sound of `sound`, exactly as long as they are, at a date that tells nothing.

    Raises MediaError when there is no sound or it cannot be decoded; warns when it ends before the pictures.
    """
    info = probe(picture)
    waveform, sample_rate = _sound_of(sound)
    missing = float(info.duration) - waveform.shape[-1] / sample_rate
    if missing > MISSING_SECONDS:
        warnings.warn(
            MediaWarning(f"{sound} ends {missing:.2f} s before its pictures; the rest is silent"), stacklevel=2
        )
    mux(info, waveform, sample_rate, output, audio_codec="opus")
    # The order in which files were written would tell which belong to the same system.
    os.utime(output, (0, 0))


def _sound_of(path: Path) -> tuple[Waveform, int]:
    """Return a file's sound on the clock of its own pictures, where it has some."""
    if path.suffix.lower() not in VIDEO_SUFFIXES or not has_pictures(path):
        return read_waveform(path)
    info: VideoInfo = probe(path)
    track = read_audio_track(info)
    if track is None:
        raise MediaError(f"{path}: {info.audio_problem or 'holds no sound'}")
    waveform, rate = track
    return waveform[:, :], rate
