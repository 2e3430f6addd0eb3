"""Clips of the world beside sketches that are drawn for each step: what a video encoder learns footage by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.core.types import SketchBatch
from foleykit.recipes.avldm_batches import step_rng
from foleykit.recipes.avldm_video_batches import VideoBatches, contact_heat, onset_marks
from foleykit.world.cache import CachedVideo
from foleykit.world.sketches.patches import Textures
from foleykit.world.sketches.scene import Sketch, SketchConfig, draw_sketch

NUM_NOISES = 200
NUM_PICTURES = 300
"""Textures that sketches are cut from: noises, and pictures of as many long videos of the world."""


def sketch_textures(videos: Sequence[CachedVideo], seed: int) -> Textures:
    """Return noises and pictures of the world as textures."""
    rng = np.random.default_rng((seed, len(videos)))
    pictures = [np.array(video.frames[rng.integers(len(video.frames))]) for video in videos[:NUM_PICTURES]]
    return Textures(rng, NUM_NOISES, pictures)


@dataclass(frozen=True, kw_only=True)
class SketchBatches:
    """Clips of the world, and after them sketches of the same length."""

    world: VideoBatches
    textures: Textures
    num_sketches: int
    seed: int = 0

    def __call__(self, step: int) -> SketchBatch:
        video = self.world.config.video
        config = SketchConfig(num_frames=self.world.num_frames, fps=video.fps, size=video.size)
        # Told apart from the world's draws of the same step.
        rng = step_rng(self.seed + 1, step)
        known = self.world(step)
        sketches = [draw_sketch(rng, self.textures, config) for _ in range(self.num_sketches)]
        pixels = self._stack([sketch.frames for sketch in sketches]).float().div_(255).permute(0, 1, 4, 2, 3)
        onset = self._stack([onset_marks(_frames(sketch, config), config.num_frames) for sketch in sketches])
        contact = self._stack(
            [
                contact_heat(
                    zip(_frames(sketch, config), (contact.point for contact in sketch.contacts), strict=True),
                    config.num_frames,
                    video.num_cells,
                )
                for sketch in sketches
            ]
        )
        return SketchBatch(
            frames=torch.cat((known.frames, pixels)),
            onset=torch.cat((known.onset, onset)),
            contact=torch.cat((known.contact, contact)),
            num_world=len(known.frames),
        )

    def _stack(self, parts: Sequence[NDArray[np.generic]]) -> Tensor:
        return torch.from_numpy(np.stack(parts)).to(self.world.device)


def _frames(sketch: Sketch, config: SketchConfig) -> list[int]:
    """Return the frames in which a sketch's contacts lie."""
    return [round(contact.time * config.fps) for contact in sketch.contacts]
