"""What cameras and codecs do to pictures: the world's clean frames are made to look like footage in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BLOCK = 8
"""Pixels across the blocks that a codec skips."""


@dataclass(frozen=True, kw_only=True)
class FootageConfig:
    """How often, in shares of clips, and how far pictures are changed."""

    shake_share: float = 0.5
    """A hand-held camera."""
    shake: float = 0.03
    """Largest deviation of the camera, in shares of the picture's width."""
    turn: float = 0.03
    """Largest roll of the camera, in radians."""
    soft_share: float = 0.5
    """A lens or a scaler that lost detail, down to half the pixels each way."""
    noise_share: float = 0.5
    noise: float = 0.03
    """Largest standard deviation of a sensor's noise."""
    skip_share: float = 0.4
    """A codec that leaves blocks as they were until they have changed enough."""
    skip: float = 0.03
    """Largest mean change that is skipped."""
    repeat_share: float = 0.25
    """A camera of 12 to 24 frames per second."""
    grey_share: float = 0.2
    """Less colour."""


def as_footage(clip: Tensor, rng: np.random.Generator, config: FootageConfig) -> Tensor:
    """Return `clip` (T, H, W, 3) in [0, 1] as one of many cameras would have stored it."""
    if rng.random() < config.repeat_share:
        clip = clip[torch.from_numpy(repeats(len(clip), rng.uniform(1.0, 2.0)))]
    if rng.random() < config.shake_share:
        clip = shaken(clip, sway(rng, len(clip)), config)
    if rng.random() < config.soft_share:
        clip = softened(clip, rng.uniform(0.5, 1.0))
    clip = clip.clamp(min=1e-4) ** float(np.exp(rng.uniform(np.log(0.65), np.log(1.5))))
    if rng.random() < config.grey_share:
        clip = torch.lerp(clip.mean(dim=-1, keepdim=True), clip, rng.uniform(0.0, 1.0))
    clip = torch.lerp(clip.mean(), clip, rng.uniform(0.4, 1.2))
    if rng.random() < config.noise_share:
        grain = torch.from_numpy(rng.standard_normal(tuple(clip.shape), np.float32))
        clip = clip + grain * rng.uniform(0, config.noise)
    if rng.random() < config.skip_share:
        clip = skipped(clip, rng.uniform(0, config.skip))
    return clip.clamp(0, 1)


def repeats(num_frames: int, step: float) -> NDArray[np.int64]:
    """Return for every frame (T,) which one a camera shows that is slower by the factor `step`."""
    shown = np.floor(np.arange(num_frames) / step + 1e-6) * step
    return np.minimum(np.round(shown).astype(np.int64), num_frames - 1)


def shaken(clip: Tensor, path: NDArray[np.float64], config: FootageConfig) -> Tensor:
    """Return `clip` (T, H, W, 3) as a camera sees it that sways on `path`, a little closer so as to stay inside."""
    scaled = path * np.array([2 * config.shake, 2 * config.shake, config.turn])
    right, down, turn = torch.from_numpy(scaled.astype(np.float32)).unbind(-1)
    near = 1 - 2 * config.shake
    rows = (
        torch.stack((near * turn.cos(), -near * turn.sin(), right), dim=-1),
        torch.stack((near * turn.sin(), near * turn.cos(), down), dim=-1),
    )
    frames = clip.permute(0, 3, 1, 2)
    grid = nn.functional.affine_grid(torch.stack(rows, dim=1), list(frames.shape), align_corners=False)
    seen = nn.functional.grid_sample(frames, grid, padding_mode="border", align_corners=False)
    return seen.permute(0, 2, 3, 1)


def sway(rng: np.random.Generator, num_frames: int) -> NDArray[np.float64]:
    """Return a path (T, 3) in [-1, 1]: a sum of swings of 0.02 to 0.2 turns per frame, the faster the smaller."""
    rates = np.exp(rng.uniform(np.log(0.02), np.log(0.2), (3, 4)))
    sizes = rng.uniform(0, 1, rates.shape) * 0.02 / rates
    phases = rng.uniform(0, 2 * np.pi, rates.shape)
    swings = sizes * np.sin(2 * np.pi * rates * np.arange(num_frames)[:, None, None] + phases)
    return np.clip(swings.sum(axis=-1) * rng.uniform(0.1, 1.0), -1, 1)


def softened(clip: Tensor, share: float) -> Tensor:
    """Return frames (T, H, W, 3) that went through a share of their pixels each way."""
    frames = clip.permute(0, 3, 1, 2)
    size = frames.shape[2:]
    small = nn.functional.interpolate(
        frames, [max(8, round(side * share)) for side in size], mode="bilinear", antialias=True
    )
    return nn.functional.interpolate(small, size, mode="bilinear").permute(0, 2, 3, 1)


def skipped(clip: Tensor, least: float) -> Tensor:
    """Return `clip` (T, H, W, 3) whose blocks stay as they were until they changed by `least`, in [0, 1]."""
    height, width = clip.shape[1:3]
    shown, frames = clip[0], [clip[0]]
    for frame in clip[1:]:
        change = nn.functional.avg_pool2d((frame - shown).abs().mean(dim=-1)[None], BLOCK)
        is_sent = nn.functional.interpolate((change >= least).float()[None], (height, width))[0, 0, :, :, None] > 0
        shown = torch.where(is_sent, frame, shown)
        frames.append(shown)
    return torch.stack(frames)
