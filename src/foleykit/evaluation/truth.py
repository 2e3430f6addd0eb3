"""What a reference clip holds generated sound to: the onsets that can be heard, clean impacts, and the gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import ConfigError
from foleykit.evaluation.clips import ClipAudio, ClipEvent, ClipInfo
from foleykit.evaluation.metrics.gap_level import gap_mask
from foleykit.world.types import Material

STEP_SECONDS = 0.15
"""From the heel's contact to the end of the toe's, which the world does not list as an event of its own."""


@dataclass(frozen=True, kw_only=True)
class AudibilityConfig:
    """Which physical events count as onsets; judged on the true action stem, before anything is detected."""

    window_seconds: float = 0.04
    """The level after the event is compared with the level before it over this long."""
    min_level_db: float = -50.0
    """Least level after the event, in dBFS."""
    min_rise_db: float = 3.0
    """Least rise of the level; an impact under the ringing of a louder one is no onset."""
    merge_seconds: float = 0.05
    """Events closer together than this are one onset, at the first."""
    impact_rise_db: float = 10.0
    """Least rise of an impact whose material is judged."""

    def __post_init__(self) -> None:
        if self.window_seconds <= 0 or self.merge_seconds < 0:
            raise ConfigError("window_seconds must be positive and merge_seconds not negative")


@dataclass(frozen=True, kw_only=True)
class Impact:
    """A visible impact that no other material disturbs."""

    time: float
    material: Material


@dataclass(frozen=True, kw_only=True)
class ClipTruth:
    """The reference of one clip; times in seconds, sorted."""

    onsets: NDArray[np.float64]
    """(N,) on-screen events that can be heard beginning."""
    ignored_spans: NDArray[np.float64]
    """(M, 2) where further onsets are neither right nor wrong: visible events that are too weak, masked or merged into
    an onset, and visible scraping, rolling, pouring and stepping as long as it lasts: many small onsets."""
    impacts: tuple[Impact, ...]
    gaps: NDArray[np.bool_]
    """(S,) samples in which only the ambience sounds."""


def clip_truth(info: ClipInfo, audio: ClipAudio, config: AudibilityConfig = AudibilityConfig()) -> ClipTruth:
    """Return what `info` and the true stems say about the clip."""
    visible = sorted(
        (event for event in info.events if event.on_screen and 0 <= event.time < info.seconds),
        key=lambda event: event.time,
    )
    rises = [_rise_db(audio, event.time, config) for event in visible]
    onsets: list[float] = []
    for event, rise in zip(visible, rises, strict=True):
        is_merged = bool(onsets) and event.time - onsets[-1] < config.merge_seconds
        if rise >= config.min_rise_db and not is_merged:
            onsets.append(event.time)
    impacts = tuple(
        Impact(time=event.time, material=event.material)
        for event, rise in zip(visible, rises, strict=True)
        if event.time in onsets and rise >= config.impact_rise_db and _is_clean_impact(event, info)
    )
    return ClipTruth(
        onsets=np.array(onsets, np.float64),
        ignored_spans=np.array(
            [
                (start, end)
                for event in info.events
                for start, end in [_span(event)]
                if event.on_screen and (end > start or start not in onsets)
            ]
        ).reshape(-1, 2),
        impacts=impacts,
        gaps=gap_mask(audio.foreground, audio.sample_rate, [_span(event) for event in info.events]),
    )


def _span(event: ClipEvent) -> tuple[float, float]:
    """Return when an event sounds anew: its excitation, or the heel and the toe of a footstep."""
    return event.time, event.time + (STEP_SECONDS if event.action == "step" else event.duration)


def _rise_db(audio: ClipAudio, time: float, config: AudibilityConfig) -> float:
    """Return by how much the action stem's level rises at `time`, in dB; minus infinity when it stays too quiet."""
    rate, width = audio.sample_rate, round(config.window_seconds * audio.sample_rate)
    # Contact is known to a physics step, so 2 ms before it the old sound is alone.
    at = max(0, round((time - 0.002) * rate))
    before, after = audio.action[max(0, at - width) : at], audio.action[at : at + width]
    level_after = _level_db(after)
    return level_after - _level_db(before) if level_after >= config.min_level_db else -np.inf


def _level_db(samples: NDArray[np.float32]) -> float:
    mean_square = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
    return 10 * float(np.log10(max(mean_square, 1e-9)))


def _is_clean_impact(event: ClipEvent, info: ClipInfo) -> bool:
    """Whether 0.1 s before to 0.4 s after an impact lie inside the clip and hold no event of another material."""
    first, last = event.time - 0.1, event.time + 0.4
    if event.kind != "impact" or first < 0 or last > info.seconds:
        return False
    return all(
        other.material == event.material and other.on_screen
        for other in info.events
        if other.time < last and other.time + other.duration > first
    )
