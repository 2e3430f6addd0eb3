"""Cached long videos to training batches, each a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.core.types import IGNORED, AudioBatch, GeneratorBatch, SimilarityBatch, VideoBatch
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.events import SeenEvent
from foleykit.world.cache import CachedVideo
from foleykit.world.sources import AUDIBLE_DB, audible_sources
from foleykit.world.types import ACTIONS, AMBIENCE_KINDS, MATERIALS, Place, SoundEvent

PCM_SCALE = 32768.0
SILENT_POWER = 1e-7
"""Of full scale, -70 dB: an action as soft as this is no longer what a frame is about."""
MERGED_SECONDS = 0.05
"""Events nearer to one another are heard as one."""


def step_rng(seed: int, step: int) -> np.random.Generator:
    """Return the generator of one step's choices."""
    return np.random.default_rng((seed, step))


@dataclass(frozen=True, kw_only=True)
class AudioBatches:
    """Random crops of mixtures, with some clean action stems so that silence and decay are learnt too."""

    videos: Sequence[CachedVideo]
    num_samples: int
    batch_size: int
    device: str
    seed: int = 0
    clean_share: float = 0.2

    def __call__(self, step: int) -> AudioBatch:
        rng = step_rng(self.seed, step)
        waveforms = np.stack([self._crop(rng) for _ in range(self.batch_size)])
        return AudioBatch(waveform=torch.from_numpy(waveforms).to(self.device))

    def _crop(self, rng: np.random.Generator) -> NDArray[np.float32]:
        video = self.videos[int(rng.integers(len(self.videos)))]
        start = rng.integers(video.action.shape[-1] - self.num_samples + 1)
        span = slice(start, start + self.num_samples)
        crop = video.action[span].astype(np.float32)
        if rng.random() >= self.clean_share:
            variant = rng.integers(video.ambient.shape[0])
            crop = crop + video.off_screen[span] + video.ambient[variant, span]
        # Foley is played at every level; the codec must not learn one.
        gain = 10 ** (rng.uniform(-15, 6) / 20)
        return np.clip(crop * np.float32(gain / PCM_SCALE), -1, 1)


def is_audible(event: SoundEvent, action: NDArray[np.int16], sample_rate: int) -> bool:
    """Return whether the action stem rises by 3 dB at an event, to -52 dBFS or more: many touches make no sound."""
    width = round(0.04 * sample_rate)
    at = max(0, round((event.time - 0.002) * sample_rate))
    before, after = (
        float(np.square(part.astype(np.float32) / PCM_SCALE).mean()) if len(part) else 0.0
        for part in (action[max(0, at - width) : at], action[at : at + width])
    )
    return after >= 10**-5.2 and after >= 2 * before


def level_after_db(event: SoundEvent, action: NDArray[np.int16], sample_rate: int) -> float:
    """Return the RMS of the action stem in the 40 ms after an event, in dBFS, -90 where there is nothing."""
    at = max(0, round((event.time - 0.002) * sample_rate))
    after = action[at : at + round(0.04 * sample_rate)].astype(np.float32) / PCM_SCALE
    return 10 * float(np.log10(np.square(after).mean() + 1e-9)) if len(after) else -90.0


def seen_events(video: CachedVideo) -> tuple[SeenEvent, ...]:
    """Return what happens on screen and can be heard, sorted by time; of two within 50 ms only the louder."""
    audible = [
        SeenEvent(
            time=event.time,
            duration=event.duration,
            kind=event.kind,
            action=event.action,
            material=event.material,
            level_db=level_after_db(event, video.action, video.sample_rate),
        )
        for event in video.events
        if event.on_screen and is_audible(event, video.action, video.sample_rate)
    ]
    kept: list[SeenEvent] = []
    for event in sorted(audible, key=lambda event: -event.level_db):
        if all(abs(event.time - other.time) >= MERGED_SECONDS for other in kept):
            kept.append(event)
    return tuple(sorted(kept, key=lambda event: event.time))


def share_of(part: NDArray[np.float32], rest: NDArray[np.float32], hop_length: int) -> NDArray[np.float32]:
    """Return (A, T) shares of `part` (S,) in the energy of each frame of its mixtures with `rest` (A, S)."""

    def power(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        padded = np.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(0, -waveform.shape[-1] % hop_length)])
        frames = padded.reshape(*padded.shape[:-1], -1, hop_length)
        return np.asarray(np.square(frames).mean(axis=-1), np.float32)

    own = power(part)
    return np.asarray(own / (own + power(rest) + SILENT_POWER), np.float32)


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


def seen_ambience(place: Place) -> NDArray[np.float32]:
    """Return (K,) 1 for every kind of background whose source is in sight; the last entry stands for none at all."""
    seen = [kind in audible_sources(place) for kind in AMBIENCE_KINDS]
    return np.array([*seen, not any(seen)], np.float32)


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


@dataclass(frozen=True, kw_only=True)
class EncodedVideo:
    """A long video after the frozen stages."""

    features: NDArray[np.float16]
    """(T, D) video features, one per latent frame."""
    track: NDArray[np.float16]
    """(T, K) what can be seen and heard to happen: `models.avldm.events.event_track`"""
    latents: NDArray[np.float16]
    """(A, D, T) latents of the mixture under each ambience."""
    action_shares: NDArray[np.float16]
    """(A, T) of the energy in each latent frame, what the visible action has in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class SurveyedVideo:
    """A long video as the similarity's towers learn from it."""

    maps: NDArray[np.float16]
    """(T'', A, C, C) appearance of a picture of every second."""
    latents: NDArray[np.float16]
    """(2, D, T) latents of the mixture, and of the place's own ambience alone."""
    seen: NDArray[np.float32]
    """(K,) what `seen_ambience` says of its place."""


@dataclass(frozen=True, kw_only=True)
class Backgrounds:
    """Synthesised backgrounds of one kind each, of places that no video shows."""

    latents: NDArray[np.float16]
    """(N, D, window)"""
    kinds: NDArray[np.int64]
    """(N,) index into AMBIENCE_KINDS; what has no source to show counts as none, one past its end."""


@dataclass(frozen=True, kw_only=True)
class GeneratorBatches:
    """Clips with a non-overlapping neighbour of the same long video (Action2Sound, sec. 4.2)."""

    videos: Sequence[EncodedVideo]
    window_frames: int
    batch_size: int
    device: str
    seed: int = 0
    quiet_share: float = 0.4
    """Share of clips with the quiet ambience, in which the action is heard alone."""
    event_share: float = 0.6
    """Share of clips that are placed around an event."""
    action_weight: float = 3.0
    """How much a frame that is all action counts against one without any: actions are short, and backgrounds long."""

    def __call__(self, step: int) -> GeneratorBatch:
        rng = step_rng(self.seed, step)
        clips = [self._clip(rng) for _ in range(self.batch_size)]
        latents, shares, video, ambient = (
            torch.from_numpy(np.stack(part).astype(np.float32)).to(self.device) for part in zip(*clips, strict=True)
        )
        weights = 1 + (self.action_weight - 1) * shares
        return GeneratorBatch(latents=latents, weights=weights, video=video, ambient=ambient)

    def _clip(self, rng: np.random.Generator) -> tuple[NDArray[np.float16], ...]:
        video = self.videos[int(rng.integers(len(self.videos)))]
        variant = 1 if rng.random() < self.quiet_share else int(rng.integers(video.latents.shape[0]))
        window, length = self.window_frames, video.latents.shape[2]
        start = self._start(video, length - window, rng)
        neighbour = draw_neighbour(rng, start, window, length)
        span = slice(start, start + window)
        return (
            video.latents[variant, :, span],
            video.action_shares[variant, span],
            np.concatenate((video.features[span], video.track[span]), axis=1),
            video.latents[variant, :, neighbour : neighbour + window],
        )

    def _start(self, video: EncodedVideo, last: int, rng: np.random.Generator) -> int:
        onsets = np.flatnonzero(video.track[:, 0])
        if not len(onsets) or rng.random() >= self.event_share:
            return int(rng.integers(last + 1))
        return int(np.clip(rng.choice(onsets) - rng.uniform(0.05, 0.9) * self.window_frames, 0, last))


@dataclass(frozen=True, kw_only=True)
class SimilarityBatches:
    """Some pictures and another moment of sound, each from the same place, one pair per long video."""

    videos: Sequence[SurveyedVideo]
    backgrounds: Backgrounds
    window_frames: int
    batch_size: int
    device: str
    num_pictures: int = 3
    seed: int = 0

    def __call__(self, step: int) -> SimilarityBatch:
        rng = step_rng(self.seed, step)
        chosen = rng.choice(len(self.videos), self.batch_size, replace=len(self.videos) < self.batch_size)
        window = self.window_frames
        maps, latents = [], []
        for video in (self.videos[index] for index in chosen):
            # A library holds recordings with actions in them and without.
            sound = video.latents[rng.integers(2)]
            start = rng.integers(sound.shape[1] - window + 1)
            latents.append(sound[:, start : start + window])
            pictures = video.maps[rng.permutation(len(video.maps))[: self.num_pictures]]
            maps.append(pictures[..., ::-1] if rng.random() < 0.5 else pictures)
        map_part, latent_part, seen = (
            torch.from_numpy(np.stack(part).astype(np.float32)).to(self.device)
            for part in (maps, latents, [self.videos[index].seen for index in chosen])
        )
        alone = rng.integers(len(self.backgrounds.kinds), size=self.batch_size)
        return SimilarityBatch(
            latents=latent_part,
            maps=map_part,
            seen=seen,
            alone=torch.from_numpy(self.backgrounds.latents[alone].astype(np.float32)).to(self.device),
            alone_kinds=torch.from_numpy(self.backgrounds.kinds[alone]).to(self.device),
        )


def draw_neighbour(rng: np.random.Generator, start: int, window: int, length: int) -> int:
    """Return the start of a window that does not overlap the one at `start`; `length` is three windows or more."""
    before = max(0, start - window + 1)
    after = max(0, length - window - (start + window) + 1)
    choice = int(rng.integers(before + after))
    return choice if choice < before else start + window + choice - before
