"""Speech and music that nobody asked for: listened for in every take, and what was done about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.core.signals import Signal
from foleykit.data.filtering import loudest_db
from foleykit.data.taggers import SignalTagger

Unwanted = Literal["speech", "music"]

LIKELY = 0.9
"""A sound counts as speech or music from this probability on; docs/generate.md has what it finds and falsely finds."""
MAX_FURTHER = 3
"""Takes that are made in place of others, in one run."""
WINDOW_SECONDS = 3.0
"""What the tagger hears at once, as it was fitted; windows overlap by half."""
INAUDIBLE_DB = -60.0
"""A window whose loudest 50 ms lie below this in dBFS is not listened to."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the tagger says of one take."""

    seed: int
    speech: float
    """Highest probability of any window, 0 to 1."""
    music: float
    """Highest probability of any window, 0 to 1."""

    def chance(self, kind: Unwanted) -> float:
        """Return the probability of one kind."""
        return self.speech if kind == "speech" else self.music

    def found(self, refused: Sequence[Unwanted]) -> tuple[Unwanted, ...]:
        """Return which of `refused` are likely."""
        return tuple(kind for kind in refused if self.chance(kind) >= LIKELY)


@dataclass(frozen=True, kw_only=True)
class Screening:
    """How a take came to be kept."""

    refused: tuple[Unwanted, ...]
    """What was listened for."""
    seed: int
    """Of the take that was kept."""
    takes: tuple[Heard, ...]
    """Everything that was listened to, in the order in which it was made."""

    @property
    def found(self) -> tuple[Unwanted, ...]:
        """What is still heard in the take that was kept."""
        (kept,) = (take for take in self.takes if take.seed == self.seed)
        return kept.found(self.refused)

    @property
    def is_replacement(self) -> bool:
        """Whether the take that was kept, free of what is refused, was made in place of another."""
        return not self.found and len(self.takes) > 1

    def report(self) -> str:
        """Return one line on what was heard and done."""
        chances = {take.seed: max(take.chance(kind) for kind in self.refused) for take in self.takes}
        kept = f"seed {self.seed} ({chances.pop(self.seed):.2f} of 1)"
        others = ", ".join(f"seed {seed} ({chance:.2f})" for seed, chance in chances.items())
        kinds = " or ".join(self.refused)
        if self.is_replacement:
            return f"{kinds} was heard with {others}, so the take was made again with {kept}"
        if self.found:
            likely = f"{' and '.join(self.found)} may be heard with {kept}"
            return f"{likely}; no other take was better: {others}" if others else likely
        return f"no {kinds} was heard with {kept}"


def unwanted_sounds(*, speech: bool, music: bool) -> tuple[Unwanted, ...]:
    """Return what is unwanted where `speech` and `music` say what is allowed."""
    kinds: dict[Unwanted, bool] = {"speech": speech, "music": music}
    return tuple(kind for kind, is_allowed in kinds.items() if not is_allowed)


def screen(takes: Sequence[Heard], refused: tuple[Unwanted, ...]) -> Screening:
    """Return the choice of the take in which nothing refused is found, or else the one in which it is least likely."""
    least = min(takes, key=lambda take: max(take.chance(kind) for kind in refused))
    clean = [take for take in takes if not take.found(refused)]
    return Screening(refused=refused, seed=(clean[0] if clean else least).seed, takes=tuple(takes))


def listen(waveform: Signal, sample_rate: int, seed: int) -> Heard:
    """Return what the tagger hears in the first channel of `waveform` (C, S), window by window."""
    tagger = SignalTagger()
    tags = [
        tagger(window, sample_rate)
        for window in _windows(waveform, sample_rate)
        if loudest_db(window, sample_rate) >= INAUDIBLE_DB
    ]
    return Heard(
        seed=seed,
        speech=round(max((one.speech for one in tags), default=0.0), 4),
        music=round(max((one.music for one in tags), default=0.0), 4),
    )


def _windows(waveform: Signal, sample_rate: int) -> Iterator[NDArray[np.float32]]:
    """Yield overlapping windows (n,) of `waveform` (C, S), the last of which ends with it."""
    size = round(WINDOW_SECONDS * sample_rate)
    last = max(0, waveform.shape[1] - size)
    for start in (*range(0, last, size // 2), last):
        yield waveform[:, start : start + size][0]
