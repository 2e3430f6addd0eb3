"""Which of several takes is best: nothing wrong with it, and the most in time with the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.evaluation.metrics.clipping import clipped_share
from foleykit.jobs.screening import Unwanted

SelectMode = Literal["all", "best"]
Fault = Literal["silent", "clipped", "off centre", "broken off"] | Unwanted

SILENT_PEAK = 10 ** (-60 / 20)
"""A take whose highest sample is below this makes no sound."""
MAX_CLIPPED_SHARE = 1e-4
MAX_OFFSET = 10 ** (-40 / 20)
"""Largest mean of the samples."""
HOLE_SECONDS = 0.1
"""Digital silence of this length between sounds is a hole: what a model makes has a floor."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one take was judged."""

    seed: int
    sync: float | None
    """Probability in [0, 1] that it is in time with the pictures; None of less than a second, which says too little."""
    faults: tuple[Fault, ...] = ()
    """What nobody asked for."""

    @property
    def rank(self) -> tuple[int, float]:
        """Of two takes the one with the larger rank is better: fewer faults, then more in time."""
        return -len(self.faults), -1.0 if self.sync is None else self.sync

    def words(self) -> str:
        """Return the score and the faults."""
        score = "too short to score" if self.sync is None else f"{self.sync:.2f}"
        return ", ".join([score, *self.faults])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The takes that were compared, in the order of their seeds, and which of them was kept."""

    seed: int
    """Of the take that was kept."""
    reason: str
    takes: tuple[Verdict, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return asdict(self)


def select(takes: Sequence[Verdict]) -> Selection:
    """Return the choice of the best take; of equals, the first."""
    best = max(takes, key=lambda take: take.rank)
    others = "; ".join(f"seed {take.seed}: {take.words()}" for take in takes if take is not best)
    words = "too short to be scored" if best.sync is None else f"in time with the pictures at {best.sync:.2f} of 1"
    faults = f", although {' and '.join(best.faults)}" if best.faults else ""
    reason = f"seed {best.seed} is the best of {len(takes)} takes: {words}{faults}"
    return Selection(seed=best.seed, reason=f"{reason} ({others})" if others else reason, takes=tuple(takes))


def faults_of(waveform: NDArray[np.float32], sample_rate: int) -> tuple[Fault, ...]:
    """Return what is wrong with a mono `waveform` (S,), whatever the pictures show."""
    peak = float(np.abs(waveform).max())
    if peak < SILENT_PEAK:
        return ("silent",)
    faults: list[Fault] = []
    # Beyond full scale nothing is cut off yet: the whole is lowered before it is written.
    if clipped_share(waveform[None] / max(1.0, peak)) > MAX_CLIPPED_SHARE:
        faults.append("clipped")
    if abs(float(waveform.mean(dtype=np.float64))) > MAX_OFFSET:
        faults.append("off centre")
    sounding = np.flatnonzero(waveform)
    if len(sounding) > 1 and np.diff(sounding).max() > HOLE_SECONDS * sample_rate:
        faults.append("broken off")
    return tuple(faults)
