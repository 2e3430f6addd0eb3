"""How often `auto` picks a background that belongs to the place, on unseen places of the world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foleykit.core.progress import Report, no_report
from foleykit.evaluation.listening import wilson_interval
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.recipes.world_data import WorldDataArgs, open_world
from foleykit.world.sources import audible_sources
from foleykit.world.types import Place, Split

NO_SOURCE = "none"
"""Stands for the scenes in which no source of a background is in sight."""


@dataclass(frozen=True, kw_only=True)
class Picks:
    """What was picked in the scenes that show one kind of source, alone or among others."""

    source: str
    num_scenes: int
    num_right: int
    wrong: Mapping[str, int]
    """Library clips that fit nothing in sight, and how often each was picked."""


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    num_scenes: int
    num_right: int
    interval: tuple[float, float]
    """95 % interval of the share that is right: Wilson's, over scenes"""
    chance: float
    """Share that a blind draw from the library would get right."""
    always_quiet: float
    """Share that the quiet clip would get right everywhere: the best of all fixed picks."""
    by_source: tuple[Picks, ...]

    @property
    def accuracy(self) -> float:
        return self.num_right / self.num_scenes


def fitting_ambiences(place: Place) -> frozenset[str]:
    """Return the library clips that fit a place: its audible backgrounds; any soft one where none can be seen."""
    seen = frozenset[str](audible_sources(place))
    return seen or frozenset({"room", "quiet"})


def read_retrieval(
    data: WorldDataArgs, pipeline: AvLdmPipeline, *, split: Split = "test", report: Report = no_report
) -> Retrieval:
    """Return how often the library clip nearest to a whole long video fits its place."""
    videos = open_world(data, split, report)
    picks: list[str] = []
    for number, video in enumerate(videos):
        picks.append(pipeline.retrieve(pipeline.encode([np.array(video.frames)])).name)
        report("retrieval", (number + 1) / len(videos))
    return retrieval_of([video.place for video in videos], picks, [clip.name for clip in pipeline.library])


def retrieval_of(places: Sequence[Place], picks: Sequence[str], library: Sequence[str]) -> Retrieval:
    """Return how well `picks` out of `library` fit their places."""
    fitting = [fitting_ambiences(place) for place in places]
    is_right = [pick in fit for pick, fit in zip(picks, fitting, strict=True)]
    return Retrieval(
        num_scenes=len(places),
        num_right=sum(is_right),
        interval=wilson_interval(sum(is_right) / len(places), len(places)),
        chance=float(np.mean([sum(name in fit for name in library) / len(library) for fit in fitting])),
        always_quiet=float(np.mean(["quiet" in fit for fit in fitting])),
        by_source=_by_source(places, picks, is_right),
    )


def _by_source(places: Sequence[Place], picks: Sequence[str], is_right: Sequence[bool]) -> tuple[Picks, ...]:
    scenes: dict[str, list[int]] = {}
    for index, place in enumerate(places):
        for source in audible_sources(place) or (NO_SOURCE,):
            scenes.setdefault(source, []).append(index)
    return tuple(
        Picks(
            source=source,
            num_scenes=len(indices),
            num_right=sum(is_right[index] for index in indices),
            wrong=dict(Counter(picks[index] for index in indices if not is_right[index]).most_common()),
        )
        for source, indices in sorted(scenes.items())
    )


def retrieval_table(retrieval: Retrieval) -> str:
    """Return the result as one sentence and a Markdown table of its picks by what is in sight."""
    low, high = retrieval.interval
    rows = [
        f"| {part.source} | {part.num_right} of {part.num_scenes} | "
        f"{', '.join(f'{name} {count}' for name, count in part.wrong.items())} |"
        for part in retrieval.by_source
    ]
    return "\n".join(
        (
            f"The ambience that auto picks is right in {retrieval.num_right} of {retrieval.num_scenes} unseen scenes, "
            f"{retrieval.accuracy:.3f} [{low:.3f}, {high:.3f}]; a blind draw from the library {retrieval.chance:.3f}, "
            f"always the quiet clip {retrieval.always_quiet:.3f}.",
            "",
            "| in sight | right | picked instead |",
            "|---|---|---|",
            *rows,
        )
    )
