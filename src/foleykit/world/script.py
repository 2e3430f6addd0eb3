"""What a script of movements is made of: what it sees, its stretches of movement, its record, its curves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foleykit.world.parts import Thing, Tool
from foleykit.world.types import Action

Path = NDArray[np.float64]
"""(N, 6): the tool's tip (x, y, z) in metres, then yaw, pitch (positive dips the tip) and roll in radians."""


class Sight(Protocol):
    """What the script can see of the simulated world while it plans."""

    @property
    def now(self) -> float:
        """Seconds from the start of the video."""
        ...

    def position(self, thing: Thing) -> NDArray[np.float64]:
        """Return the middle of a thing, (3,) metres."""
        ...

    def axis(self, thing: Thing) -> NDArray[np.float64]:
        """Return the direction of a thing's own x axis, (3,)."""
        ...

    def top(self, x: float, y: float) -> tuple[float, str]:
        """Return the height of whatever lies topmost at (x, y) and its name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of movement with one tool; physics runs through it before the script goes on."""

    tool: Tool
    path: Path
    grab: Thing | None = None
    """Bind this thing to the hand before the movement starts."""
    release: Thing | None = None
    """Let this thing go before the movement starts."""
    vanish: bool = False
    """The tool is put out of sight."""
    appear: bool = False
    """The tool starts at the path's first pose instead of travelling there."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One action of the script as it was carried out."""

    action: Action
    start: float
    end: float
    tool: Tool
    target: Thing
    held: Thing | None = None


@dataclass
class Log:
    """What the script did, filled while it runs."""

    deeds: list[Deed] = field(default_factory=list)


def minimum_jerk(start: Path, end: Path, count: int) -> Path:
    """Return (count, D) points from after `start` to `end` with zero speed and acceleration at both ends."""
    u = np.arange(1, count + 1) / count
    weight = u**3 * (10 - 15 * u + 6 * u * u)
    return start + (end - start) * weight[:, None]


def hermite(start: float, end: float, speed_start: float, speed_end: float, count: int, step: float) -> Path:
    """Return (count,) values of the cubic that has these values (m) and speeds (m/s) at its ends."""
    u = np.arange(1, count + 1) / count
    duration = count * step
    return (
        start * (1 + 2 * u) * (1 - u) ** 2
        + end * u * u * (3 - 2 * u)
        + duration * (speed_start * u * (1 - u) ** 2 - speed_end * u * u * (1 - u))
    )
