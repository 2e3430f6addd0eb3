"""Listening tests: make one from the folders of several systems."""

from __future__ import annotations

import secrets
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foleykit.core.errors import MediaError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.evaluation.listening_design import QUESTIONS, Layout, plan_comparisons
from foleykit.jobs.listen_media import (
    find_picture,
    media_by_stem,
    pair_by_name,
    write_silent_picture,
    write_version,
)
from foleykit.jobs.listen_store import MEDIA_FOLDER, ListeningStudy, StudyDesign

DEFAULT_CRITERIA = ("overall", "relevance", "alignment")


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """A listening test to be made."""

    folder: Path
    """Where it is made; must not exist, or be empty."""
    systems: Mapping[str, Path]
    """Folders of sound or video files, by the name that the results use."""
    pictures: Path | None = None
    """Folder of the videos that are shown; None takes the pictures of the first system that has some."""
    criteria: tuple[str, ...] = DEFAULT_CRITERIA
    layout: Layout = "all"
    several: bool = False
    num_trials: int | None = None
    """Comparisons per listener; None takes all."""
    title: str = "Listening test"
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.systems) < 2:
            raise UsageError(f"a listening test compares at least two systems; got {len(self.systems)}")
        unknown = [name for name in self.criteria if name not in QUESTIONS]
        if unknown:
            raise UsageError(f'there is no criterion "{unknown[0]}"; choose of {", ".join(QUESTIONS)}')
        if not self.criteria or len(set(self.criteria)) < len(self.criteria):
            raise UsageError("name each criterion once, and at least one")
        if self.num_trials is not None and self.num_trials < 1:
            raise UsageError(f"a listener hears at least one comparison, not {self.num_trials}")
        if not self.title.strip():
            raise UsageError("a listening test has a title")


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """What was made, and what was left out."""

    folder: Path
    systems: tuple[str, ...]
    num_clips: int
    num_trials: int
    """Comparisons per listener."""
    unpaired: Mapping[str, tuple[str, ...]]
    """Clips that some systems lack, and which these are."""
    unusable: Mapping[str, str]
    """Clips of all systems that cannot be shown or heard, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            **asdict(self),
            "folder": str(self.folder),
            "num_unpaired": len(self.unpaired),
            "num_unusable": len(self.unusable),
        }


def make_study(request: StudyRequest, *, report: Report = no_report) -> StudySummary:
    """Pair the clips of the systems, bring them into one form that a browser plays, and write the test.

    Raises UsageError when the folder is in use and MediaError when the systems have no usable clip in common. Nothing
    half-made stays behind.
    """
    folder = request.folder
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists; name a new folder for the listening test")
    pairing = pair_by_name(request.systems)
    if not pairing.clips:
        raise MediaError(
            f"no file name is common to {', '.join(request.systems)} ({len(pairing.unpaired)} names looked at); "
            "the files of one clip must have the same name in every folder"
        )
    pictures = None if request.pictures is None else media_by_stem(request.pictures)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        (partial / MEDIA_FOLDER).mkdir(parents=True)
        files, unusable = _write_media(partial / MEDIA_FOLDER, pairing.clips, pictures, report)
        if not files:
            name, reason = next(iter(unusable.items()))
            raise MediaError(f"none of {len(unusable)} common clips can be used; {name}: {reason}")
        study = ListeningStudy.create(partial, _design(request, files))
        num_trials = study.attendance().num_trials
        study.close()
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return StudySummary(
        folder=folder,
        systems=tuple(request.systems),
        num_clips=len(files),
        num_trials=num_trials,
        unpaired=pairing.unpaired,
        unusable=unusable,
    )


def named_folders(words: Sequence[str]) -> dict[str, Path]:
    """Return folders by name from words such as `path/to/ours` or `ours=path/to/outputs`.

    Raises UsageError when two have the same name.
    """
    folders: dict[str, Path] = {}
    for word in words:
        name, _, place = word.partition("=") if "=" in word and not Path(word).exists() else ("", "", word)
        path = Path(place)
        name = name or path.resolve().name
        if name in folders:
            raise UsageError(f'two systems are called "{name}"; give one another name: NAME={path}')
        folders[name] = path
    return folders


def _write_media(
    folder: Path,
    clips: Mapping[str, Mapping[str, Path]],
    pictures: Mapping[str, Path] | None,
    report: Report,
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Write every system's version of every clip; return file names by clip and system, and why clips were left out."""
    written: dict[str, dict[str, str]] = {}
    unusable: dict[str, str] = {}
    for number, (name, files) in enumerate(clips.items()):
        report(f"prepare, {number} of {len(clips)} clips", number / len(clips))
        silent = folder / "picture.webm"
        versions: dict[str, str] = {}
        try:
            write_silent_picture(find_picture(name, files, pictures), silent)
            for system, path in files.items():
                versions[system] = f"{secrets.token_hex(8)}.webm"
                write_version(silent, path, folder / versions[system])
            written[name] = versions
        except MediaError as error:
            unusable[name] = " ".join(str(error).split())
            for file in versions.values():
                (folder / file).unlink(missing_ok=True)
        finally:
            silent.unlink(missing_ok=True)
    report("prepare, done", 1)
    return written, unusable


def _design(request: StudyRequest, files: Mapping[str, Mapping[str, str]]) -> StudyDesign:
    systems = tuple(request.systems)
    return StudyDesign(
        title=" ".join(request.title.split()),
        questions={key: QUESTIONS[key] for key in request.criteria},
        several=request.several,
        seed=request.seed,
        systems=systems,
        clips=tuple(files),
        files={
            (clip, systems.index(system)): file
            for clip, versions in enumerate(files.values())
            for system, file in versions.items()
        },
        comparisons=plan_comparisons(
            len(files), len(systems), request.layout, num_trials=request.num_trials, seed=request.seed
        ),
    )
