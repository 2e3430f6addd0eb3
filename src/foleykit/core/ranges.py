"""Stretches of a sound that something else holds for than for the rest."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from foleykit.core.errors import UsageError

MIN_SECONDS = 0.1
MAX_TEXT = 1000
"""Characters of a prompt or of a spoken line; what a model reads of a prompt may be less."""
_RANGE = re.compile(r"(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of a sound, by its times."""

    start: float
    """Second at which it begins."""
    end: float
    """Second at which it ends."""

    def __post_init__(self) -> None:
        check_range(self.start, self.end)


@dataclass(frozen=True, kw_only=True)
class Line(Stretch):
    """What is said in a stretch."""

    text: str
    """At most MAX_TEXT characters."""
    language: str = "en"
    """Tag such as en, en-gb or de."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.text.strip():
            raise UsageError("there is no text to be spoken")
        if len(self.text) > MAX_TEXT:
            raise UsageError(f"a line of speech has at most {MAX_TEXT} characters, not {len(self.text)}")
        if not _LANGUAGE.fullmatch(self.language):
            raise UsageError(f'a language is a tag such as en, en-gb or de, not "{self.language}"')


@dataclass(frozen=True, kw_only=True)
class Cue(Stretch):
    """A stretch with prompts of its own, for models that read text."""

    prompt: str = ""
    """What should be heard in it; empty is what is asked for everywhere."""
    negative_prompt: str = ""
    """What should not be heard in it; empty is what is asked for everywhere."""

    @property
    def has_text(self) -> bool:
        return bool(self.prompt or self.negative_prompt)

    def positions(self, frame_rate: float, length: int) -> slice:
        """Return which of `length` latent frames any of the stretch lies in."""
        return slice(
            min(max(0, math.floor(round(self.start * frame_rate, 6))), length - 1),
            min(math.ceil(round(self.end * frame_rate, 6)), length),
        )


@dataclass(frozen=True, kw_only=True)
class Reroll(Cue):
    """A stretch of a result that is made anew while the rest stays."""

    seed: int
    """0 to 2^63 - 1"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"a seed lies between 0 and 2^63 - 1 (or is -1 to draw one), not {self.seed}")


def parse_range(text: str) -> tuple[float, float]:
    """Return the seconds that a user writes as "3.2-4.1"; raises UsageError for anything else."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f'a range is two times in seconds, such as 3.2-4.1, not "{text}"')
    start, end = (float(part) for part in found.groups())
    check_range(start, end)
    return start, end


def check_range(start: float, end: float) -> None:
    """Raise UsageError where `start` to `end` seconds is no stretch of sound."""
    if not (math.isfinite(start) and math.isfinite(end) and start >= 0 and end - start >= MIN_SECONDS - 1e-9):
        raise UsageError(
            f"a range begins at 0 s or later and lasts {MIN_SECONDS:g} s or more; {start:g} to {end:g} s does not"
        )


def check_apart(stretches: Sequence[Stretch], what: str) -> None:
    """Raise UsageError where two of `stretches`, which a user calls `what`, overlap; they may touch."""
    for earlier, later in pairwise(sorted(stretches, key=lambda one: one.start)):
        if later.start < earlier.end:
            raise UsageError(
                f"two {what} overlap: {earlier.start:g} to {earlier.end:g} s and {later.start:g} to {later.end:g} s"
            )
