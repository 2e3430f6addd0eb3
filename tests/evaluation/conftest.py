"""Long videos whose events are drawn, not simulated: the sound is the world's, the pictures are empty."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pytest

from foleykit.world.types import MATERIALS, LongVideo, Place, SoundEvent, Take
from foleykit.world.voice import voice


class VideoMaker(Protocol):
    def __call__(self, seed: int, *, seconds: float = ..., ambient_level_db: float = ...) -> LongVideo: ...


@pytest.fixture(scope="session")
def drawn_video() -> VideoMaker:
    return draw_video


def draw_video(seed: int, *, seconds: float = 8.0, ambient_level_db: float = -45.0) -> LongVideo:
    """Return visible blows of one to four bodies over a fan, at least 0.55 s apart."""
    rng = np.random.default_rng(seed)
    bodies = [(str(rng.choice(MATERIALS)), int(rng.integers(2**40))) for _ in range(4)]
    times = np.arange(0.4, seconds - 0.5, 0.75)
    times = times + rng.uniform(-0.1, 0.1, len(times))
    events = []
    for time in times[rng.random(len(times)) < 0.8]:
        material, body_seed = bodies[rng.integers(4)]
        events.append(
            SoundEvent(
                time=float(time),
                duration=0.0,
                kind="impact",
                action="hit",
                material=material,  # type: ignore[arg-type]
                striker="wood",
                shape="plate",
                size=0.2,
                strength=float(rng.uniform(0.3, 1.5)),
                body_seed=body_seed,
                on_screen=True,
            )
        )
    place = Place(name="a room", seed=seed, split="train", ambience=("fan",), ambient_level_db=ambient_level_db)
    take = Take(
        place=place,
        seconds=seconds,
        frames=np.zeros((2, 2, 2, 3), np.uint8),
        frame_times=np.array([0.0, seconds / 2]),
        surface_maps=np.zeros((1, 24, 24), np.uint8),
        events=tuple(events),
        gestures=(),
        narrations=(),
    )
    return LongVideo(seed=seed, index=0, take=take, stems=voice(take, sample_rate=16_000, seed=seed))
