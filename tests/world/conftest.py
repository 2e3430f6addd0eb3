"""Takes made by hand: events without pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from foleykit.world.types import AmbienceKind, EventKind, Material, Place, Shape, SoundEvent, Take


def _place(seed: int = 1, ambience: tuple[AmbienceKind, ...] = ("room",), ambient_level_db: float = -40.0) -> Place:
    return Place(name="a test", seed=seed, split="train", ambience=ambience, ambient_level_db=ambient_level_db)


def _event(
    time: float,
    *,
    material: Material = "metal",
    striker: Material = "wood",
    shape: Shape = "plate",
    size: float = 0.2,
    kind: EventKind = "impact",
    duration: float = 0.0,
    strength: float = 0.3,
    body_seed: int = 5,
    on_screen: bool = True,
) -> SoundEvent:
    return SoundEvent(
        time=time,
        duration=duration,
        kind=kind,
        action="hit" if kind == "impact" else kind,
        material=material,
        striker=striker,
        shape=shape,
        size=size,
        strength=strength,
        body_seed=body_seed,
        on_screen=on_screen,
        profile=None if kind == "impact" else np.hanning(round(duration * 100)).astype(np.float32),
    )


def _take(*events: SoundEvent, seconds: float = 3.0, place: Place | None = None) -> Take:
    return Take(
        place=place or _place(),
        seconds=seconds,
        frames=np.zeros((1, 2, 2, 3), np.uint8),
        frame_times=np.zeros(1),
        surface_maps=np.zeros((1, 24, 24), np.uint8),
        events=tuple(sorted(events, key=lambda event: event.time)),
        gestures=(),
        narrations=(),
    )


@pytest.fixture(scope="session")
def make_place() -> Callable[..., Place]:
    """Return a function that makes a place of the training split."""
    return _place


@pytest.fixture(scope="session")
def make_event() -> Callable[..., SoundEvent]:
    """Return a function that makes an event at a time; sustained kinds swell and fade."""
    return _event


@pytest.fixture(scope="session")
def make_take() -> Callable[..., Take]:
    """Return a function that makes a take of the given events."""
    return _take
