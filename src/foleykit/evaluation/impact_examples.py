"""Windows of real stems around clean impacts, and the batches that teach a classifier to hear them anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.core.errors import ConfigError, InputError
from foleykit.world.recordings import Recordings
from foleykit.world.types import AMBIENCE_KINDS, MATERIALS, LongVideo, SoundEvent
from foleykit.world.voice import voice_events


@dataclass(frozen=True, kw_only=True)
class ImpactWindow:
    """How much of a stem is kept around an impact."""

    sample_rate: int = 16_000
    seconds: float = 0.5
    seconds_before: float = 0.1
    jitter_seconds: float = 0.06
    """Kept more on either side, so that a window may be drawn early or late."""

    @property
    def num_samples(self) -> int:
        """Samples kept, jitter included."""
        return round((self.seconds + 2 * self.jitter_seconds) * self.sample_rate)


@dataclass(frozen=True, kw_only=True)
class ImpactExamples:
    """Clean impacts and backgrounds, apart, so that they can be mixed anew in every batch."""

    action: Tensor
    """(N, S) windows of the action stem."""
    material: Tensor
    """(N,) int64 index into `MATERIALS`."""
    video: Tensor
    """(N,) int64 number of the long video, for splitting."""
    ambient: Tensor
    """(A, S) windows of ambient stems."""
    ambience: Tensor
    """(A, 11) which of `AMBIENCE_KINDS` each background holds."""
    window: ImpactWindow


@dataclass(frozen=True, kw_only=True)
class ImpactAugmentation:
    gain_db: tuple[float, float] = (-20.0, 6.0)
    """Range of the gain on the whole window."""
    snr_db: tuple[float, float] = (0.0, 45.0)
    """Range of the impact's level over the background's, both as RMS over the window."""
    clean_share: float = 0.3
    """Share of windows without background."""
    coloured_share: float = 0.25
    """Share of windows whose background is synthetic coloured noise instead of a recorded ambience."""
    empty_share: float = 0.15
    """Share of windows without impact."""
    colour_db: float = 2.0
    """Standard deviation of each of the random curves over the bands."""

    def __post_init__(self) -> None:
        if (
            min(self.clean_share, self.coloured_share, self.empty_share) < 0
            or self.clean_share + self.coloured_share > 1
        ):
            raise ConfigError("shares of windows must lie between 0 and 1")


DEFAULT_AUGMENTATION = ImpactAugmentation()


@dataclass(frozen=True, kw_only=True)
class ImpactBatch:
    windows: Tensor
    """(B, S)"""
    material: Tensor
    """(B,) int64, -1 where there is no impact."""
    ambience: Tensor
    """(B, 11) in {0, 1}"""
    ambient_level_db: Tensor
    """(B,) dBFS, at least -80."""


def collect_examples(videos: Iterable[LongVideo], window: ImpactWindow = ImpactWindow()) -> ImpactExamples:
    """Return every clean visible impact of the videos, and as many backgrounds.

    Clean: at least -50 dBFS, 10 dB above what rang before, and no event of another material within the window. Raises
    InputError when there is none or a video has another sample rate.
    """
    action, material, number, ambient, ambience = [], [], [], [], []
    for index, video in enumerate(videos):
        if video.stems.sample_rate != window.sample_rate:
            raise InputError(f"examples are taken at {window.sample_rate} Hz, a video has {video.stems.sample_rate} Hz")
        layers = np.array([kind in video.take.place.ambience for kind in AMBIENCE_KINDS], np.float32)
        for event in video.take.events:
            first = round((event.time - window.seconds_before - window.jitter_seconds) * window.sample_rate)
            last = first + window.num_samples
            if first < 0 or last > len(video.stems.action) or not _is_clean(event, video, window):
                continue
            action.append(video.stems.action[first:last])
            material.append(MATERIALS.index(event.material))
            number.append(index)
            ambient.append(video.stems.ambient[first:last])
            ambience.append(layers)
    if not action:
        raise InputError("these videos hold no clean impact to learn from")
    return ImpactExamples(
        action=torch.from_numpy(np.stack(action)),
        material=torch.tensor(material),
        video=torch.tensor(number),
        ambient=torch.from_numpy(np.stack(ambient)),
        ambience=torch.from_numpy(np.stack(ambience)),
        window=window,
    )


def with_new_bodies(video: LongVideo, *, seed: int, recordings: Recordings | None = None) -> LongVideo:
    """Return the visible impacts of `video` as other bodies of the same materials, shapes and sizes would sound.

    A few simulated videos so give many bodies, none of which a generator trained on them has heard. Everything else is
    left out of the events and the stems, except the background.
    """
    events = tuple(
        replace(event, body_seed=int(np.random.default_rng((event.body_seed, seed)).integers(2**62)))
        for event in video.take.events
        if event.on_screen and event.kind == "impact"
    )
    take = replace(video.take, events=events)
    rate = video.stems.sample_rate
    action = voice_events(take, sample_rate=rate, seed=seed, on_screen=True, recordings=recordings)
    return replace(
        video, take=take, stems=replace(video.stems, action=action, off_screen=np.zeros_like(video.stems.off_screen))
    )


def draw_batch(
    examples: ImpactExamples,
    batch_size: int,
    num_samples: int,
    augmentation: ImpactAugmentation,
    generator: torch.Generator,
) -> ImpactBatch:
    """Return impacts, every material equally often, at random moments, levels and over random backgrounds."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch_size, generator=generator)

    counts = torch.bincount(examples.material, minlength=len(MATERIALS))
    weight_of = 1 / counts.clamp(min=1).float()
    chosen = torch.multinomial(weight_of[examples.material], batch_size, True, generator=generator)
    backgrounds = torch.randint(len(examples.ambient), (batch_size,), generator=generator)
    spare = examples.window.num_samples - num_samples
    starts = torch.randint(spare + 1, (batch_size,), generator=generator)
    at = starts[:, None] + torch.arange(num_samples)
    action = examples.action[chosen].gather(1, at)
    background, ambience = examples.ambient[backgrounds].gather(1, at), examples.ambience[backgrounds]

    kind = uniform(0, 1)
    is_coloured = kind < augmentation.coloured_share
    is_clean = (kind >= augmentation.coloured_share) & (kind < augmentation.coloured_share + augmentation.clean_share)
    background = torch.where(is_coloured[:, None], _coloured_noise(batch_size, num_samples, generator), background)
    background = torch.where(is_clean[:, None], torch.zeros(()), background)
    ambience = torch.where((is_coloured | is_clean)[:, None], torch.zeros(()), ambience)

    power = action.square().mean(1, keepdim=True)
    wanted = power * 10 ** (-uniform(*augmentation.snr_db)[:, None] / 10)
    background = background * (wanted / background.square().mean(1, keepdim=True).clamp(min=1e-12)).sqrt()
    is_empty = uniform(0, 1) < augmentation.empty_share
    action = torch.where(is_empty[:, None], torch.zeros(()), action)
    gain = 10 ** (uniform(*augmentation.gain_db)[:, None] / 20)
    background = background * gain
    return ImpactBatch(
        windows=action * gain + background,
        material=torch.where(is_empty, -1, examples.material[chosen]),
        ambience=ambience,
        ambient_level_db=10 * background.square().mean(1).clamp(min=1e-8).log10(),
    )


def _coloured_noise(batch_size: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """Return noise (B, S) whose spectra fall by 0 to 9 dB per octave."""
    spectrum = torch.fft.rfft(torch.randn(batch_size, num_samples, generator=generator))
    slope = -1.5 * torch.rand(batch_size, 1, generator=generator)
    frequency = torch.arange(spectrum.shape[1]).clamp(min=4).float()
    return torch.fft.irfft(spectrum * frequency**slope, n=num_samples)


def _is_clean(event: SoundEvent, video: LongVideo, window: ImpactWindow) -> bool:
    if event.kind != "impact" or not event.on_screen:
        return False
    first, last = event.time - window.seconds_before, event.time + window.seconds - window.seconds_before
    if any(
        other.material != event.material and other.time < last and other.time + other.duration > first
        for other in video.take.events
        if other.on_screen
    ):
        return False
    rate = window.sample_rate
    at = round((event.time - 0.002) * rate)
    before = _power(video.stems.action[max(0, at - round(0.04 * rate)) : at])
    after = _power(video.stems.action[at : at + round(0.04 * rate)])
    return after > max(1e-5, 10 * before)


def _power(samples: NDArray[np.float32]) -> float:
    return float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
