"""Answers of a listening test to figures: shares per system, pairs of systems, and how far listeners agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_percentile
from foleykit.evaluation.metrics.krippendorff_alpha import krippendorff_alpha, observed_agreement

NUM_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One listener's answer to one question about one clip."""

    criterion: str
    clip: str
    listener: str
    shown: tuple[str, ...]
    """The systems that were compared, in any order."""
    chosen: tuple[str, ...]
    """One of them, or several where the test allows it."""


@dataclass(frozen=True, kw_only=True)
class SystemShare:
    """How often a system was chosen."""

    system: str
    num_chosen: int
    num_shown: int
    share: Estimate


@dataclass(frozen=True, kw_only=True)
class PairShare:
    """How often the first of two systems was chosen and the second was not, of the times when just one was."""

    first: str
    second: str
    num_first: int
    num_second: int
    share: Estimate


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far listeners agree who answered the same comparisons."""

    num_units: int
    """Comparisons that at least two listeners answered; where several systems may be chosen, times the systems."""
    observed: float
    """Share of pairs of listeners who agree."""
    alpha: float | None
    """Krippendorff's alpha; None when every answer is the same, so that chance agrees as well."""
    low: float | None
    high: float | None
    """95 % interval of alpha over clips; None where there are too few clips or answers to form it."""


@dataclass(frozen=True, kw_only=True)
class CriterionResult:
    """What listeners said about one question."""

    criterion: str
    num_answers: int
    num_listeners: int
    num_clips: int
    systems: tuple[SystemShare, ...]
    """In the order of the test; a system that was not shown yet is absent."""
    pairs: tuple[PairShare, ...]
    """Every two systems of which one was chosen and one not."""
    agreement: Agreement | None
    """None until two listeners have answered the same comparison."""


def summarise(
    choices: Sequence[Choice], systems: Sequence[str], criterion: str, *, several: bool = False, seed: int = 0
) -> CriterionResult:
    """Return the figures of one criterion; choices about others are ignored."""
    choices = [choice for choice in choices if choice.criterion == criterion]
    shares = []
    for system in systems:
        shown = [choice for choice in choices if system in choice.shown]
        if shown:
            picks = np.array([system in choice.chosen for choice in shown])
            share = share_estimate(picks, *_clips_and_listeners(shown), seed=seed)
            shares.append(SystemShare(system=system, num_chosen=int(picks.sum()), num_shown=len(shown), share=share))
    pairs = (_pair(choices, first, second, seed) for first, second in combinations(systems, 2))
    return CriterionResult(
        criterion=criterion,
        num_answers=len(choices),
        num_listeners=len({choice.listener for choice in choices}),
        num_clips=len({choice.clip for choice in choices}),
        systems=tuple(shares),
        pairs=tuple(pair for pair in pairs if pair is not None),
        agreement=_agreement(choices, several, seed),
    )


def share_estimate(
    picks: NDArray[np.bool_], clips: Sequence[str], listeners: Sequence[str], *, seed: int = 0
) -> Estimate:
    """Return the share of true `picks` (N,) with a 95 % interval that holds for other clips and for other listeners.

    Answers about one clip, and answers of one listener, resemble each other. The interval therefore spans two
    bootstraps, one that redraws clips and, where there are several, one that redraws listeners. Redrawing cannot move a
    share of 0 or 1, nor one clip: there it is Wilson's (1927) with as many answers as there are clips.
    """
    share, num_clips = float(picks.mean()), len(set(clips))
    if num_clips < 2 or share in (0.0, 1.0):
        low, high = wilson_interval(share, num_clips)
        return Estimate(value=share, low=low, high=high, num_clips=num_clips)
    estimates = [_over_groups(picks, groups, seed) for groups in (clips, listeners) if len(set(groups)) > 1]
    return Estimate(
        value=share,
        low=min(estimate.low for estimate in estimates),
        high=max(estimate.high for estimate in estimates),
        num_clips=num_clips,
    )


def wilson_interval(share: float, num_answers: int) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of 95 % for a share of `num_answers` independent answers."""
    z2 = 1.959964**2
    middle = (share + z2 / (2 * num_answers)) / (1 + z2 / num_answers)
    reach = math.sqrt(z2 * (share * (1 - share) / num_answers + z2 / (4 * num_answers**2))) / (1 + z2 / num_answers)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _over_groups(picks: NDArray[np.bool_], groups: Sequence[str], seed: int) -> Estimate:
    """Return the share with its interval over groups of answers that are redrawn whole."""
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    chosen = np.bincount(members, picks, minlength=len(names))
    shown = np.bincount(members, minlength=len(names))
    return bootstrap_percentile(
        lambda drawn: float(chosen[drawn].sum() / shown[drawn].sum()),
        len(names),
        seed=seed,
        num_resamples=NUM_RESAMPLES,
    )


def _clips_and_listeners(choices: Sequence[Choice]) -> tuple[list[str], list[str]]:
    return [choice.clip for choice in choices], [choice.listener for choice in choices]


def _pair(choices: Sequence[Choice], first: str, second: str, seed: int) -> PairShare | None:
    told = [
        choice
        for choice in choices
        if {first, second} <= set(choice.shown) and (first in choice.chosen) != (second in choice.chosen)
    ]
    if not told:
        return None
    picks = np.array([first in choice.chosen for choice in told])
    return PairShare(
        first=first,
        second=second,
        num_first=int(picks.sum()),
        num_second=int((~picks).sum()),
        share=share_estimate(picks, *_clips_and_listeners(told), seed=seed),
    )


def _agreement(choices: Sequence[Choice], several: bool, seed: int) -> Agreement | None:
    """Return how far listeners agree about the same clip and systems; with `several` about each system apart."""
    names = sorted({system for choice in choices for system in choice.shown})
    units: dict[tuple[str, tuple[str, ...], str], NDArray[np.int64]] = {}
    for choice in choices:
        shown = tuple(sorted(choice.shown))
        if several:
            values = {system: int(system in choice.chosen) for system in shown}
        else:
            values = {"": names.index(choice.chosen[0])}
        for about, value in values.items():
            unit = units.setdefault((choice.clip, shown, about), np.zeros(max(2, len(names)), np.int64))
            unit[value] += 1
    shared = {key: counts for key, counts in units.items() if counts.sum() >= 2}
    if not shared:
        return None
    counts = np.stack(list(shared.values()))
    groups = [(shown, about) for _, shown, about in shared]
    strata = np.array([list(dict.fromkeys(groups)).index(group) for group in groups])
    alpha = krippendorff_alpha(counts, strata)
    agreement = Agreement(num_units=len(shared), observed=observed_agreement(counts), alpha=None, low=None, high=None)
    if math.isnan(alpha):
        return agreement
    clips, members = np.unique([clip for clip, _, _ in shared], return_inverse=True)
    if len(clips) < 2:
        return replace(agreement, alpha=alpha)
    rows = [np.flatnonzero(members == index) for index in range(len(clips))]

    def redrawn(drawn: NDArray[np.int64]) -> float:
        chosen = np.concatenate([rows[index] for index in drawn])
        return krippendorff_alpha(counts[chosen], strata[chosen])

    interval = bootstrap_percentile(redrawn, len(clips), seed=seed, num_resamples=NUM_RESAMPLES)
    if math.isnan(interval.low):
        return replace(agreement, alpha=alpha)
    return replace(agreement, alpha=alpha, low=interval.low, high=interval.high)
