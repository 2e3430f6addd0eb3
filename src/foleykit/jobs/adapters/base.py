"""What the one path from video to sound asks of a model, and what the families' answers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.ambient import AmbientClip
from foleykit.core.errors import UsageError
from foleykit.core.progress import Report
from foleykit.core.signals import Signal
from foleykit.core.types import VideoFeatures
from foleykit.jobs.scene import Scene, Watch
from foleykit.jobs.soundtrack import Settings
from foleykit.models.events import SeenEvent
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader
from foleykit.video.quality import QualityWatch


class Adapter(Protocol):
    """A model of any family, as the path from video to sound sees it."""

    def check(self, settings: Settings, *, with_stems: bool) -> None:
        """Raise UsageError for what the model cannot be asked, and warn of what has no effect."""
        ...

    def resolve(self, settings: Settings) -> Settings:
        """Return `settings` with the model's own values where they name none."""
        ...

    def look(self, info: VideoInfo, start: Fraction, end: Fraction, sensitivity: float, report: Report) -> Scene:
        """Decode a span's pictures as the model wants them and encode them, in flat memory.

        `sensitivity` is that of `Settings`, and 0 for a model that refuses another.
        """
        ...

    @property
    def takes_events(self) -> bool:
        """Whether the model can be told a list of events."""
        ...

    @property
    def reads_events(self) -> bool:
        """Whether the model reads events from a scene, to be told them outright or in words."""
        ...

    def read_events(self, scene: Scene) -> tuple[SeenEvent, ...]:
        """Return what is seen to happen, on the clock of the new sound; only of a model that reads events."""
        ...

    def own_ambience(self, scene: Scene, settings: Settings) -> AmbientClip | None:
        """Return the ambience for "quiet", or "auto" without a library; None where the model is given none."""
        ...

    def versions(
        self,
        scene: Scene,
        settings: Settings,
        clip: AmbientClip | None,
        num_samples: int,
        progress: Callable[[float], None],
    ) -> Iterator[Signal]:
        """Yield a waveform (1, `num_samples`) for a scene, in the ambience of `clip` where the model hears one.

        Then yield what it becomes by each of the settings' re-rolls, one after another.
        """
        ...

    def precision(self) -> AbstractContextManager[object]:
        """Return the context in which the model computes."""
        ...


def look_frame_by_frame(
    encode: Callable[[Iterator[NDArray[np.uint8]]], VideoFeatures],
    info: VideoInfo,
    start: Fraction,
    end: Fraction,
    *,
    fps: float,
    size: tuple[int, int],
    report: Report,
) -> Scene:
    """Read a span once, at a model's rate and at `size` (H, W), and encode it."""
    quality = QualityWatch(info.average_fps)
    reader = VideoReader(info, fps=fps, size=size, start=start, end=end, on_picture=quality)
    watch = Watch(fps, report, len(reader))
    features = encode(watch.passing(reader))
    return Scene(info=info, start=start, end=end, features=features, shots=tuple(watch.shots), quality=quality.report())


def with_sampling(settings: Settings, *, num_steps: int | None, guidance_scale: float) -> Settings:
    """Return `settings` with a model's own steps and guidance where they name none."""
    return replace(
        settings,
        num_steps=num_steps if settings.num_steps is None else settings.num_steps,
        guidance_scale=guidance_scale if settings.guidance_scale is None else settings.guidance_scale,
    )


def refuse_prompts(settings: Settings, name: str) -> None:
    """Raise UsageError for a prompt to a model that reads none."""
    if any(settings.texts):
        raise UsageError(f'model "{name}" reads no text; leave out the prompts or use a model of family textvideo')


def refuse_sensitivity(settings: Settings, name: str) -> None:
    """Raise UsageError for a sensitivity of a model that knows no faint signs from clear ones."""
    if settings.sensitivity:
        raise UsageError(f'model "{name}" has no sensitivity that could be set; leave it out or use tiny-avldm')


def refuse_events(settings: Settings, name: str) -> None:
    """Raise UsageError for events that are told a model which takes none."""
    if settings.events is not None:
        raise UsageError(f'model "{name}" takes no events; leave them out or use tiny-avldm')
