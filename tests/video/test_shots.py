"""A cut is a lasting change that stands out; motion, flashes and fades are none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from foleykit.video.shots import ShotDetector


def scene(seed: int, num_frames: int) -> NDArray[np.uint8]:
    """Return frames (t, 48, 64, 3) of a textured picture with a square that moves to and fro."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 255, (6, 8, 3)) // 2 + rng.integers(0, 127, 3)
    still = np.kron(blocks, np.ones((8, 8, 1))).clip(0, 255)
    frames = np.repeat(still[None], num_frames, 0) + rng.normal(0, 3, (num_frames, 48, 64, 1))
    for index, frame in enumerate(frames):
        left = abs(2 * index % 96 - 48)
        frame[10:26, left : left + 16] = 250
    return frames.clip(0, 255).astype(np.uint8)


def cuts(frames: NDArray[np.uint8], chunk: int = 16) -> list[float]:
    """Return what the detector finds at 25 frames/s."""
    detector = ShotDetector(25)
    return [time for first in range(0, len(frames), chunk) for time in detector.update(frames[first : first + chunk])]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("chunk", [1, 7, 200])
def test_a_cut_is_found_on_its_frame(seed: int, chunk: int) -> None:
    frames = np.concatenate([scene(seed, 40), scene(seed + 100, 30), scene(seed + 200, 30)])
    assert cuts(frames, chunk) == [40 / 25, 70 / 25]


def test_motion_is_no_cut() -> None:
    assert cuts(scene(3, 150)) == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length: int) -> None:
    frames = scene(4, 60)
    frames[30 : 30 + length] = 255
    assert cuts(frames) == []


def test_a_fade_is_no_cut() -> None:
    weight = np.clip(np.linspace(-1, 2, 75), 0, 1)[:, None, None, None]
    assert cuts((scene(5, 75) * (1 - weight) + scene(6, 75) * weight).astype(np.uint8)) == []


def test_a_swing_of_the_camera_is_no_cut() -> None:
    wide = np.concatenate([scene(seed, 1)[0] for seed in range(8)], axis=1)
    frames = np.stack([wide[:, 12 * k : 12 * k + 64] for k in range(36)])
    assert cuts(frames) == []


def test_black_pictures_have_no_cuts() -> None:
    assert cuts(np.zeros((60, 48, 64, 3), np.uint8)) == []
