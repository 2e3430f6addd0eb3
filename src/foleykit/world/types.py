"""What a simulated place produces: events with their causes, and a long video with known stems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Material = Literal["wood", "metal", "glass", "ceramic", "plastic", "stone", "cloth"]
MATERIALS: tuple[Material, ...] = get_args(Material)

Action = Literal["hit", "hammer", "chop", "tap", "drop", "roll", "scrape", "pour", "place", "step", "gesture"]
Surface = Literal[Material, "actor", "background"]
SURFACES: tuple[Surface, ...] = (*MATERIALS, "actor", "background")
"""What a cell of a surface map shows: the material of what can ring, the actor with what it holds, or neither."""

ACTIONS: tuple[Action, ...] = get_args(Action)

EventKind = Literal["impact", "scrape", "roll", "pour"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)

Shape = Literal["plate", "bar", "vessel", "block", "soft"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

AmbienceKind = Literal[
    "silence", "room", "hum", "fan", "rain", "wind", "traffic", "birds", "babble", "stream", "machine"
]
AMBIENCE_KINDS: tuple[AmbienceKind, ...] = get_args(AmbienceKind)

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True, kw_only=True)
class SoundEvent:
    """One physical cause of sound, as the simulation measured it."""

    time: float
    """Onset in seconds from the start of the long video: the instant of contact."""
    duration: float
    """Seconds of continued excitation; 0 for an impact (its ringing is not excitation)."""
    kind: EventKind
    action: Action
    """What the actor was doing; bounces after a drop are impacts whose action is `drop`."""
    material: Material
    """Material of the body that rings (the struck one)."""
    striker: Material
    """Material of what touched it."""
    shape: Shape
    size: float
    """Characteristic length of the ringing body in metres, 0.03 to 2."""
    strength: float
    """Impact: impulse in N s; sustained: mean normal force (N) times mean sliding speed (m/s)."""
    body_seed: int
    """Equal for every event of the same body, so that it always rings with the same modes."""
    on_screen: bool
    """True when the contact point was inside the picture and not hidden at `time`."""
    point: tuple[float, float] | None = None
    """Where in the picture the contact is seen at `time`: right and down from the top left corner, each 0 to 1."""
    profile: NDArray[np.float32] | None = None
    """(P,) intensity in [0, 1] at 100 Hz over `duration`, for sustained kinds (sliding or flow speed)."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a long video happens; its look and its ambience are stationary."""

    name: str
    """A noun phrase for captions, such as "a tiled kitchen"."""
    seed: int
    """Draws look and ambience; a place belongs to exactly one split."""
    split: Split
    ambience: tuple[AmbienceKind, ...]
    """Stationary background layers, likely for this sort of place."""
    ambient_level_db: float
    """RMS of the ambient stem in dBFS, -80 to -24; louder where a user turned it up."""


@dataclass(frozen=True, kw_only=True)
class Take:
    """The silent half of a long video: pictures and everything that should sound."""

    place: Place
    seconds: float
    frames: NDArray[np.uint8]
    """(T, H, W, 3)"""
    frame_times: NDArray[np.float64]
    """(T,) seconds"""
    surface_maps: NDArray[np.uint8]
    """(M, C, C) index into SURFACES of what each cell of a picture shows, every `WorldConfig.map_stride` pictures."""
    events: tuple[SoundEvent, ...]
    """Sorted by time, on-screen and off-screen."""
    gestures: tuple[tuple[float, float], ...]
    """(start, end) of visible movements that touch nothing."""
    narrations: tuple[tuple[float, str], ...]
    """(time, sentence) for every visible action, as an Ego4D narrator would write it."""


@dataclass(frozen=True, kw_only=True)
class Stems:
    """What each cause contributes; the mix is their sum. All (S,) float32 in [-1, 1]."""

    sample_rate: int
    action: NDArray[np.float32]
    off_screen: NDArray[np.float32]
    ambient: NDArray[np.float32]

    @property
    def mix(self) -> NDArray[np.float32]:
        return self.action + self.off_screen + self.ambient


@dataclass(frozen=True, kw_only=True)
class LongVideo:
    """One place with its sounds: several actions over one stationary ambience."""

    seed: int
    index: int
    take: Take
    stems: Stems
