"""Long videos whose pictures say when they are and whose sound clicks at known times."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fixtures.media import NUM_BITS, picture
from foleykit.data.manifest import ClipRecord
from foleykit.video.encode import write_video

CLICK_EVERY = 1.0
FIRST_CLICK = 0.4
RATE = 48_000


def _clicks(seconds: float) -> np.ndarray:
    sound = 0.004 * np.random.default_rng(0).standard_normal(round(seconds * RATE)).astype(np.float32)
    for time in np.arange(FIRST_CLICK, seconds, CLICK_EVERY):
        first = round(time * RATE)
        sound[first : first + 96] = 0.7
    return sound[None]


@pytest.fixture(scope="session")
def make_long_video() -> Callable[..., Path]:
    """Return a function that writes a video; picture k shows k modulo 128, a click comes 0.4 s into every second."""

    def make(path: Path, *, seconds: float = 12.0, fps: int | Fraction = 25, with_sound: bool = True) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures = (picture(index % 2**NUM_BITS) for index in range(round(seconds * fps)))
        sound = _clicks(seconds) if with_sound else None
        write_video(path, pictures, fps, sound, RATE if with_sound else None)
        return path

    return make


@pytest.fixture(scope="session")
def long_video(tmp_path_factory: pytest.TempPathFactory, make_long_video: Callable[..., Path]) -> Path:
    """Return such a video of 12 s."""
    return make_long_video(tmp_path_factory.mktemp("long") / "long.mp4")


def _record(clip_id: str, start: float, *, video: str = "long", seconds: float = 3.0) -> ClipRecord:
    return ClipRecord(clip_id=clip_id, video_id=video, path=f"{video}.mp4", start=start, end=start + seconds)


@pytest.fixture(scope="session")
def make_record() -> Callable[..., ClipRecord]:
    """Return a function that makes a clip of 3 s."""
    return _record
