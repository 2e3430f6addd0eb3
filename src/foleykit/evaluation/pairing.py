"""Which generated file belongs to which reference file: by id alone, and whatever has no partner is named."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foleykit.core.errors import MediaError
from foleykit.core.suffixes import MEDIA_SUFFIXES

OWN_ENDING = ".foley"
"""What `foley generate` appends to a video's name; it is no part of the id."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    clip_id: str
    reference: Path
    generated: Path
    takes: tuple[Path, ...] = ()
    """Further sounds generated for the same clip."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A clip that no figure rests on, and why."""

    clip_id: str
    reason: str
    """One of a few, so that clips can be counted by it."""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    pairs: tuple[Pair, ...]
    """Sorted by id."""
    left_out: tuple[LeftOut, ...]
    num_reference: int
    """Ids in the reference folder."""
    num_generated: int


def clip_id(path: Path) -> str:
    """Return the id of a media file: its name without the suffix, and without the ending of `foley generate`."""
    return path.stem.removesuffix(OWN_ENDING)


def pair_folders(generated: Path, reference: Path, *, takes: Sequence[Path] = ()) -> Pairing:
    """Return the files of two folders that share an id, and every id that is left out with its reason.

    Nothing stands in for a missing file, and an id that two files of one folder claim is left out. Files that are not
    media, hidden ones and folders are passed over. Raises MediaError when a folder is missing or holds no media.
    """
    known, made = files_by_id(reference), files_by_id(generated)
    further = [files_by_id(folder) for folder in takes]
    pairs, left_out = [], []
    for name in sorted(known.keys() | made.keys()):
        files = [known.get(name, []), made.get(name, []), *(folder.get(name, []) for folder in further)]
        doubled = next((paths for paths in files if len(paths) > 1), None)
        if doubled:
            names = ", ".join(path.name for path in doubled)
            left_out.append(LeftOut(clip_id=name, reason="two files of one id", detail=f"{doubled[0].parent}: {names}"))
        elif not all(files):
            missing = "reference" if not files[0] else "generated sound" if not files[1] else "further take"
            left_out.append(LeftOut(clip_id=name, reason=f"no {missing}"))
        else:
            pairs.append(
                Pair(
                    clip_id=name,
                    reference=files[0][0],
                    generated=files[1][0],
                    takes=tuple(paths[0] for paths in files[2:]),
                )
            )
    return Pairing(pairs=tuple(pairs), left_out=tuple(left_out), num_reference=len(known), num_generated=len(made))


def data_sha256(files: Mapping[str, str]) -> str:
    """Return one hex digest of the hashes of files by id; file names, folders and order do not matter."""
    lines = sorted(f"{name} {digest}\n" for name, digest in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files_by_id(folder: Path) -> dict[str, list[Path]]:
    """Return the media files of a folder by id, sorted; raises MediaError when it is missing or holds none."""
    if not folder.is_dir():
        raise MediaError(f"{folder}: no such folder; sounds are compared folder against folder")
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in MEDIA_SUFFIXES and not path.name.startswith(".") and path.is_file():
            found[clip_id(path)].append(path)
    if not found:
        raise MediaError(f"{folder}: holds no video and no sound; expected files such as clip.mp4 or clip.wav")
    return found
