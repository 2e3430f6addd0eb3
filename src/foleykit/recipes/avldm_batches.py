"""Cached long videos to training batches, each a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.core.types import AudioBatch, GeneratorBatch, SimilarityBatch
from foleykit.models.events import SeenEvent
from foleykit.world.cache import CachedVideo
from foleykit.world.sources import audible_sources
from foleykit.world.types import AMBIENCE_KINDS, Place, SoundEvent

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


def level_after_db(action: NDArray[np.float32], time: float, sample_rate: int) -> float:
    """Return the RMS of an action stem (S,) in the 40 ms after `time`, in dBFS; -90 where there is nothing."""
    at = max(0, round((time - 0.002) * sample_rate))
    after = action[at : at + round(0.04 * sample_rate)]
    return min(10 * float(np.log10(np.square(after).mean() + 1e-9)), 0.0) if len(after) else -90.0


def seen_events(video: CachedVideo, voice: NDArray[np.int16]) -> tuple[SeenEvent, ...]:
    """Return what happens on screen and can be heard in `voice`, an action stem (S,), sorted by time.

    Of two within 50 ms only the louder is told. Materials are those that are seen, whatever the voice.
    """
    action = voice.astype(np.float32) / PCM_SCALE
    audible = [
        SeenEvent(
            time=event.time,
            duration=event.duration,
            kind=event.kind,
            action=event.action,
            material=event.material,
            level_db=level_after_db(action, event.time, video.sample_rate),
        )
        for event in video.events
        if event.on_screen and is_audible(event, voice, video.sample_rate)
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


def seen_ambience(place: Place) -> NDArray[np.float32]:
    """Return (K,) 1 for every kind of background whose source is in sight; the last entry stands for none at all."""
    seen = [kind in audible_sources(place) for kind in AMBIENCE_KINDS]
    return np.array([*seen, not any(seen)], np.float32)


@dataclass(frozen=True, kw_only=True)
class EncodedVideo:
    """A long video after the frozen stages."""

    features: NDArray[np.float16]
    """(T, D) video features, one per latent frame."""
    track: NDArray[np.float16]
    """(T, K) what can be seen and heard to happen: `models.events.event_track`"""
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
