"""Clips of frames with what the world knows of them: what a video encoder is taught by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.core.types import IGNORED, VideoBatch
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.recipes.avldm_batches import is_audible, step_rng
from foleykit.world.cache import CachedVideo
from foleykit.world.sources import AUDIBLE_DB
from foleykit.world.types import ACTIONS, AMBIENCE_KINDS, MATERIALS, Place, SoundEvent


def onset_targets(events: Sequence[SoundEvent], first: float, num_frames: int, fps: float) -> NDArray[np.float32]:
    """Return (T,) targets that are 1 in the frame nearest an on-screen event and 0.4 in the frames beside it."""
    targets = np.zeros(num_frames + 2, np.float32)
    for event in events:
        frame = round((event.time - first) * fps) + 1
        if event.on_screen and 1 <= frame <= num_frames:
            targets[frame - 1 : frame + 2] = np.maximum(targets[frame - 1 : frame + 2], (0.4, 1.0, 0.4))
    return targets[1:-1]


def class_targets(
    events: Sequence[SoundEvent], first: float, num_frames: int, fps: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return material and action indices (T,) around on-screen events, IGNORED elsewhere."""
    material = np.full(num_frames, IGNORED, np.int64)
    action = np.full(num_frames, IGNORED, np.int64)
    for event in events:
        if not event.on_screen:
            continue
        start = round((event.time - first) * fps)
        stop = start + 1 + max(1, round(event.duration * fps))
        span = slice(max(0, start - 1), max(0, stop))
        material[span] = MATERIALS.index(event.material)
        action[span] = ACTIONS.index(event.action)
    return material, action


def heard_ambience(place: Place) -> NDArray[np.float32]:
    """Return (A,) 1 for every kind of background that is heard at the place."""
    kinds = place.ambience if place.ambient_level_db > AUDIBLE_DB else ()
    return np.array([kind in kinds for kind in AMBIENCE_KINDS], np.float32)


def contact_targets(
    events: Sequence[SoundEvent], first: float, num_frames: int, fps: float, num_cells: int
) -> NDArray[np.float32]:
    """Return heat maps (T, C, C): 1 where and when an impact is seen, falling to either side in space and time."""
    heat = np.zeros((num_frames, num_cells, num_cells), np.float32)
    cells = np.arange(num_cells) + 0.5
    for event in events:
        frame = round((event.time - first) * fps)
        if event.point is None or event.kind != "impact" or not -1 <= frame <= num_frames:
            continue
        right, down = (min(max(part, 0.0), 1.0 - 1e-6) * num_cells for part in event.point)
        bump = np.exp(-0.5 * ((cells - down)[:, None] ** 2 + (cells - right) ** 2) / 0.7**2)
        bump[int(down), int(right)] = 1.0
        for near, share in ((frame - 1, 0.6), (frame, 1.0), (frame + 1, 0.6)):
            if 0 <= near < num_frames:
                heat[near] = np.maximum(heat[near], share * bump)
    return heat


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A square part of the picture, in shares of its width and height."""

    left: float
    top: float
    size: float

    def seen(self, event: SoundEvent) -> SoundEvent:
        """Return `event` as it is seen in the crop; what lies outside is off screen."""
        if event.point is None:
            return event
        right, down = (event.point[0] - self.left) / self.size, (event.point[1] - self.top) / self.size
        is_inside = 0 <= right < 1 and 0 <= down < 1
        return replace(event, point=(right, down) if is_inside else None, on_screen=is_inside)

    def cells(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows (N, 1) and columns (N,), of `count` each way, that show what the crop's own cells show."""
        middles = (np.arange(count) + 0.5) / count * self.size
        rows, columns = ((count * (start + middles)).astype(np.int64) for start in (self.top, self.left))
        return rows[:, None], columns


def crop_frames(frames: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """Return the part of `frames` (T, H, W, 3) that `crop` shows, enlarged to the same size."""
    height, width = frames.shape[1:3]
    top, left = round(crop.top * height), round(crop.left * width)
    rows, columns = round(crop.size * height), round(crop.size * width)
    part = torch.from_numpy(frames[:, top : top + rows, left : left + columns].copy()).permute(0, 3, 1, 2)
    enlarged = torch.nn.functional.interpolate(part, (height, width), mode="bilinear")
    return enlarged.permute(0, 2, 3, 1).numpy()


@dataclass(frozen=True, kw_only=True)
class VideoBatches:
    """Clips of frames with what the world knows of them, under flips, crops and colour changes."""

    videos: Sequence[CachedVideo]
    sounds: Sequence[NDArray[np.float16]]
    """Latents (T, D) of every video's action stem."""
    config: AvLdmConfig
    batch_size: int
    device: str
    num_frames: int = 50
    seed: int = 0
    augment: bool = True
    event_share: float = 0.8
    """Share of clips that are placed around an event."""
    crop_share: float = 0.6
    """Share of clips that see only a part of the picture."""

    def __call__(self, step: int) -> VideoBatch:
        rng = step_rng(self.seed, step)
        clips = [self._clip(rng) for _ in range(self.batch_size)]
        frames, contact, surface, onset, material, action, sound, ambience = (
            torch.from_numpy(np.stack(part)).to(self.device) for part in zip(*clips, strict=True)
        )
        # Channels stay last in memory: convolutions want them there, and the copy would cost as much as a layer.
        pixels = frames.float().div_(255)
        if self.augment:
            self._recolour_(pixels, rng)
        return VideoBatch(
            frames=pixels.permute(0, 1, 4, 2, 3),
            onset=onset,
            material=material,
            action=action,
            sound=sound,
            contact=contact,
            surface=surface,
            ambience=ambience,
        )

    def _clip(self, rng: np.random.Generator) -> tuple[NDArray[np.generic], ...]:
        index = int(rng.integers(len(self.videos)))
        video, fps = self.videos[index], self.config.video_fps
        start = self._start(video, rng)
        stride = self.config.video.slow_stride
        frames = np.asarray(video.frames[start : start + self.num_frames])
        surface = video.surface_maps[start // stride :][: self.num_frames // stride].astype(np.int64)
        sound = self.sounds[index][start : start + self.num_frames].astype(np.float32)
        first, events = start / fps, video.events
        if self.augment and rng.random() < self.crop_share:
            crop = self._draw_crop(rng)
            frames, events = crop_frames(frames, crop), tuple(crop.seen(event) for event in events)
            rows, columns = crop.cells(surface.shape[1])
            surface = surface[:, rows, columns]
        material, action = class_targets(events, first, self.num_frames, fps)
        heard = [
            event
            for event in events
            if first - 0.1 <= event.time <= first + 0.1 + self.num_frames / fps
            and is_audible(event, video.action, video.sample_rate)
        ]
        onset = onset_targets(heard, first, self.num_frames, fps)
        contact = contact_targets(events, first, self.num_frames, fps, self.config.video.num_cells)
        if self.augment and rng.random() < 0.5:
            frames, contact, surface = frames[:, :, ::-1], contact[:, :, ::-1], surface[:, :, ::-1]
        flipped = (np.ascontiguousarray(part) for part in (frames, contact, surface))
        return *flipped, onset, material, action, sound, heard_ambience(video.place)

    def _start(self, video: CachedVideo, rng: np.random.Generator) -> int:
        """Draw the first frame of a clip, one with a surface map; most clips hold an event, which few moments do."""
        stride = self.config.video.slow_stride
        return self._any_start(video, rng) // stride * stride

    def _any_start(self, video: CachedVideo, rng: np.random.Generator) -> int:
        last = len(video.frames) - self.num_frames
        seen = [event.time for event in video.events if event.on_screen]
        if not seen or rng.random() >= self.event_share:
            return int(rng.integers(last + 1))
        frame = seen[rng.integers(len(seen))] * self.config.video_fps
        return int(np.clip(round(frame - rng.uniform(0.1, 0.9) * self.num_frames), 0, last))

    def _draw_crop(self, rng: np.random.Generator) -> Crop:
        size = rng.uniform(0.75, 1.0)
        left, top = rng.uniform(0, 1 - size, 2)
        return Crop(left=float(left), top=float(top), size=float(size))

    def _recolour_(self, pixels: Tensor, rng: np.random.Generator) -> None:
        """Scale contrast and channels of (B, T, H, W, 3) per clip; hue moves little: colour tells materials apart."""
        gains = rng.uniform(0.75, 1.3, (len(pixels), 1, 1, 1, 1)) * rng.uniform(0.92, 1.08, (len(pixels), 1, 1, 1, 3))
        offsets = rng.uniform(-0.08, 0.08, (len(pixels), 1, 1, 1, 1))
        gain, offset = (torch.from_numpy(part.astype(np.float32)).to(pixels.device) for part in (gains, offsets))
        pixels.mul_(gain).add_(offset).clamp_(0, 1)
