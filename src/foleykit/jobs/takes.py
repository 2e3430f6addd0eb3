"""Takes of one scene: listened to and made again where they hold what nobody asked for, judged, and chosen from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace

from foleykit.audio.ambient import AmbientClip
from foleykit.core.progress import Report
from foleykit.core.signals import Signal, stretch
from foleykit.jobs.judge import Judge
from foleykit.jobs.scene import Scene
from foleykit.jobs.screening import Heard, Unwanted, listen, screen
from foleykit.jobs.selection import Selection, Verdict, select
from foleykit.jobs.soundtrack import Soundtrack


def unwanted_beside(clip: AmbientClip, sample_rate: int, unwanted: tuple[Unwanted, ...]) -> tuple[Unwanted, ...]:
    """Return `unwanted` without what the ambience `clip` asks for itself, which a warning tells."""
    wanted = listen(clip.waveform, sample_rate, seed=0).found(unwanted)
    if wanted:
        warnings.warn(
            f'{" and ".join(wanted)} is heard in the ambience "{clip.name}" and so not kept out of the result',
            stacklevel=2,
        )
    return tuple(kind for kind in unwanted if kind not in wanted)


def screened(
    make: Callable[[int], Soundtrack],
    seeds: Iterable[int],
    unwanted: tuple[Unwanted, ...],
    scene: Scene,
    report: Report,
) -> Soundtrack:
    """Return the first take that `make` makes of `seeds` in which nothing `unwanted` is heard, or else the best one.

    Two takes are in memory at a time. A warning says what is still heard.
    """
    kept: Soundtrack | None = None
    heard: list[Heard] = []
    for seed in seeds:
        take = make(seed)
        report("listen", 0)
        heard.append(listen(generated_part(take, scene), take.model_rate, seed))
        report("listen", 1)
        screening = screen(heard, unwanted)
        if screening.seed == seed:
            kept = take
        # A long sound is held no longer than it is needed.
        del take
        if not screening.found:
            break
    assert kept is not None
    if screening.found:
        warnings.warn(screening.report(), stacklevel=2)
    return replace(kept, screening=screening)


def judged(soundtrack: Soundtrack, scene: Scene, judge: Judge, report: Report) -> Soundtrack:
    """Return `soundtrack` with what `judge` says of its generated part; what is still unwanted in it is a fault."""
    report("judge", 0)
    verdict = judge(generated_part(soundtrack, scene)[:, :], soundtrack.model_rate, soundtrack.settings.seed)
    report("judge", 1)
    if soundtrack.screening is not None:
        verdict = replace(verdict, faults=(*verdict.faults, *soundtrack.screening.found))
    return replace(soundtrack, verdict=verdict)


def generated_part(soundtrack: Soundtrack, scene: Scene) -> Signal:
    """Return what the model made of the scene (1, S) at its own rate."""
    first, last = (round(time * soundtrack.model_rate) for time in (scene.start, scene.end))
    return stretch(soundtrack.generated, first, max(last, first + 1))


def best_of(takes: Iterable[Soundtrack]) -> tuple[Soundtrack, Selection]:
    """Return the best of judged takes, and how they were compared; two of them are in memory at a time."""
    best: Soundtrack | None = None
    verdicts: list[Verdict] = []
    for take in takes:
        assert take.verdict is not None
        verdicts.append(take.verdict)
        if best is None or select(verdicts).seed == take.settings.seed:
            best = take
    assert best is not None
    return best, select(verdicts)
