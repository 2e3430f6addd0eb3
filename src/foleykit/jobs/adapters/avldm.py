"""How models of family avldm answer the path from video to sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from functools import partial

import torch

from foleykit.audio.ambient import AmbientClip
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
from foleykit.jobs.soundtrack import Dtype, Settings
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.avldm.published.pipeline import Action2SoundPipeline
from foleykit.models.events import SeenEvent
from foleykit.video.info import VideoInfo


class AvLdmAdapter:
    """Action from the pictures, ambience from a clip: tiny-avldm and Action2Sound at published size."""

    def __init__(self, model: AvLdmPipeline | Action2SoundPipeline, name: str, *, device: str, dtype: Dtype) -> None:
        self._model, self._name = model, name
        self._device, self._dtype = device, dtype

    def check(self, settings: Settings, *, with_stems: bool) -> None:
        refuse_prompts(settings, self._name)
        if not self.takes_events:
            refuse_events(settings, self._name)
        if isinstance(self._model, Action2SoundPipeline) or not self._model.is_steered:
            refuse_sensitivity(settings, self._name)

    def resolve(self, settings: Settings) -> Settings:
        sampling = self._model.config.sampling
        return with_sampling(settings, num_steps=sampling.num_steps, guidance_scale=sampling.guidance_scale)

    def look(self, info: VideoInfo, start: Fraction, end: Fraction, sensitivity: float, report: Report) -> Scene:
        config, model = self._model.config, self._model
        encode = (
            model.encode if isinstance(model, Action2SoundPipeline) else partial(model.encode, sensitivity=sensitivity)
        )
        with self.precision():
            return look_frame_by_frame(
                encode, info, start, end, fps=config.video_fps, size=config.frame_size, report=report
            )

    @property
    def takes_events(self) -> bool:
        return isinstance(self._model, AvLdmPipeline) and self._model.takes_events

    @property
    def reads_events(self) -> bool:
        return self.takes_events

    def read_events(self, scene: Scene) -> tuple[SeenEvent, ...]:
        assert isinstance(self._model, AvLdmPipeline)
        with self.precision():
            return self._model.read_events(scene.frame_features)

    def own_ambience(self, scene: Scene, settings: Settings) -> AmbientClip | None:
        if settings.ambient == "quiet":
            return self._model.quiet()
        with self.precision():
            return self._model.retrieve(scene.frame_features)

    def versions(
        self,
        scene: Scene,
        settings: Settings,
        clip: AmbientClip | None,
        num_samples: int,
        progress: Callable[[float], None],
    ) -> Iterator[Signal]:
        assert clip is not None
        asked = partial(
            self._model.versions,
            scene.frame_features,
            num_samples=num_samples,
            ambient=clip.waveform,
            seed=settings.seed,
            num_steps=settings.num_steps,
            guidance_scale=settings.guidance_scale,
            shots=scene.shots,
            rerolls=scene.on_clock(settings.rerolls),
            progress=progress,
        )
        versions = asked() if settings.events is None else asked(events=scene.heard(settings.events))
        for _ in range(1 + len(settings.rerolls)):
            # Entered anew for each: who takes the sound computes in a precision of its own. No name is left for the
            # sound, since a long one is held once.
            with self.precision():
                version = [next(versions)]
            yield version.pop()

    def precision(self) -> AbstractContextManager[object]:
        if isinstance(self._model, Action2SoundPipeline):
            # Its large networks hold their weights in the wished precision; the others stay exact.
            return nullcontext()
        kind = torch.device(self._device).type
        return torch.autocast(kind, dtype=getattr(torch, self._dtype), enabled=self._dtype != "float32")
