"""Pictures as cameras store them: laws of each change, and that a clip's course in time survives all of them."""

from __future__ import annotations

import numpy as np
import torch

from foleykit.recipes.footage import FootageConfig, as_footage, repeats, shaken, skipped, softened, sway


def moving_square(num_frames: int = 20) -> torch.Tensor:
    """Return a clip (T, 32, 32, 3) of a bright square that moves two pixels a frame and stops half way."""
    clip = torch.full((num_frames, 32, 32, 3), 0.2)
    for frame in range(num_frames):
        left = 2 * min(frame, num_frames // 2)
        clip[frame, 12:20, left : left + 8] = 0.9
    return clip


def test_the_same_draws_make_the_same_footage_in_range() -> None:
    clip = moving_square()
    first, again = (as_footage(clip.clone(), np.random.default_rng(3), FootageConfig()) for _ in range(2))
    assert torch.equal(first, again) and first.shape == clip.shape
    assert first.min() >= 0 and first.max() <= 1 and not torch.equal(first, clip)


def test_what_moves_still_moves_when_it_did() -> None:
    """Whatever a camera does short of swaying, the square's way shows more change than its rest, in most draws."""
    calm = FootageConfig(shake_share=0.0, repeat_share=0.0)
    wins = 0
    for seed in range(20):
        made = as_footage(moving_square(), np.random.default_rng(seed), calm)
        change = (made[1:] - made[:-1]).abs().mean(dim=(1, 2, 3))
        wins += bool(change[1:9].mean() > change[11:].mean())
    assert wins >= 18


def test_a_slower_camera_repeats_frames_and_falls_behind_by_less_than_one_of_its_own() -> None:
    assert repeats(8, 1.0).tolist() == list(range(8))
    assert repeats(8, 2.0).tolist() == [0, 0, 2, 2, 4, 4, 6, 6]
    shown = repeats(50, 1.6)
    assert (np.diff(shown) >= 0).all() and (np.abs(shown - np.arange(50)) < 1.6 + 0.5).all()


def test_a_still_camera_only_comes_closer_and_a_swaying_one_moves_the_picture() -> None:
    clip = moving_square()
    config = FootageConfig()
    still = shaken(clip, np.zeros((20, 3)), config)
    assert torch.allclose(still[12:], still[12:13].expand(8, -1, -1, -1))
    swaying = shaken(clip, sway(np.random.default_rng(0), 20), config)
    assert (swaying[13] - swaying[12]).abs().max() > 1e-3
    path = sway(np.random.default_rng(1), 500)
    assert np.abs(path).max() <= 1


def test_softening_keeps_means_and_loses_edges() -> None:
    clip = moving_square()
    soft = softened(clip, 0.5)
    assert torch.allclose(soft.mean(), clip.mean(), atol=5e-3)
    steepness = [(part[:, :, 1:] - part[:, :, :-1]).abs().max() for part in (soft, clip)]
    assert steepness[0] < steepness[1]


def test_a_block_stays_until_it_has_changed_enough() -> None:
    clip = torch.zeros(4, 16, 16, 3)
    clip[1:, :8, :8] = 0.02
    clip[2:, :8, :8] = 0.2
    shown = skipped(clip, 0.05)
    assert shown[1, :8, :8].max() == 0
    assert torch.equal(shown[2:], clip[2:])
    assert torch.equal(skipped(clip, 0.0), clip)
