"""How models of family foleygen answer the path from video to sound."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial

from foleykit.audio.ambient import AmbientClip
from foleykit.core.errors import ModelError, UsageError
from foleykit.core.progress import Report
from foleykit.core.signals import Signal
from foleykit.jobs.adapters.base import (
    look_frame_by_frame,
    refuse_events,
    refuse_prompts,
    refuse_sensitivity,
    with_sampling,
)
from foleykit.jobs.scene import Scene
from foleykit.jobs.soundtrack import Settings
from foleykit.models.events import SeenEvent
from foleykit.models.foleygen.pipeline import FoleyGenPipeline
from foleykit.video.info import VideoInfo


class FoleyGenAdapter:
    """A language model over codes, which goes on from the ambience that it is given, if any."""

    def __init__(self, model: FoleyGenPipeline, name: str) -> None:
        self._model, self._name = model, name

    def check(self, settings: Settings, *, with_stems: bool) -> None:
        refuse_prompts(settings, self._name)
        refuse_events(settings, self._name)
        if not self._model.is_steered:
            refuse_sensitivity(settings, self._name)
        if with_stems:
            raise UsageError(
                f'model "{self._name}" makes no stems: a language model that is told another ambience makes another '
                "sound, not a part of the first"
            )
        if settings.rerolls:
            raise UsageError(
                f'model "{self._name}" cannot re-roll a range: a language model goes on from what was before and does '
                "not lead back to what comes after"
            )
        if settings.num_steps is not None:
            warnings.warn("num_steps has no effect: this model takes one step per frame of codes", stacklevel=2)

    def resolve(self, settings: Settings) -> Settings:
        return with_sampling(
            replace(settings, num_steps=None),
            num_steps=None,
            guidance_scale=self._model.config.sampling.guidance_scale,
        )

    def look(self, info: VideoInfo, start: Fraction, end: Fraction, sensitivity: float, report: Report) -> Scene:
        config = self._model.config
        return look_frame_by_frame(
            partial(self._model.encode, sensitivity=sensitivity),
            info,
            start,
            end,
            fps=config.video_fps,
            size=config.reading_size(info.height, info.width),
            report=report,
        )

    @property
    def takes_events(self) -> bool:
        return False

    @property
    def reads_events(self) -> bool:
        return False

    def read_events(self, scene: Scene) -> tuple[SeenEvent, ...]:
        raise ModelError(f'model "{self._name}" reads no events')

    def own_ambience(self, scene: Scene, settings: Settings) -> AmbientClip | None:
        if settings.ambient == "quiet":
            return self._model.quiet()
        if settings.ambient_level_db is not None:
            warnings.warn("ambient_level has no effect: no ambient clip is heard; name one with ambient", stacklevel=2)
        return None

    def versions(
        self,
        scene: Scene,
        settings: Settings,
        clip: AmbientClip | None,
        num_samples: int,
        progress: Callable[[float], None],
    ) -> Iterator[Signal]:
        yield self._model.generate(
            scene.frame_features,
            num_samples=num_samples,
            ambient=None if clip is None else clip.waveform,
            seed=settings.seed,
            guidance_scale=settings.guidance_scale,
            progress=progress,
        )

    def precision(self) -> AbstractContextManager[object]:
        # The language model holds its weights in the wished precision; codec and encoder stay exact.
        return nullcontext()
