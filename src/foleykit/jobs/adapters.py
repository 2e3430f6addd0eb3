"""What the one path from video to sound asks of a model, and how each family answers it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Protocol, assert_never

import torch

from foleykit.audio.ambient import AmbientClip
from foleykit.core.errors import ModelError, UsageError
from foleykit.core.progress import Report
from foleykit.core.signals import Signal
from foleykit.encoders.text.words import words_in
from foleykit.jobs.ambience import background_stretch, is_silent
from foleykit.jobs.scene import Scene, Watch
from foleykit.jobs.soundtrack import Dtype, Settings
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.avldm.published.pipeline import Action2SoundPipeline
from foleykit.models.events import SeenEvent
from foleykit.models.foleygen.pipeline import FoleyGenPipeline
from foleykit.models.textvideo.pipeline import TextVideoPipeline
from foleykit.models.textvideo.pipeline import VideoFeatures as TextVideoFeatures
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader
from foleykit.video.quality import QualityWatch

Model = AvLdmPipeline | Action2SoundPipeline | FoleyGenPipeline | TextVideoPipeline

HEARD_SECONDS = 9.0
"""Of a video whose background a model of family textvideo is to choose; a few of its windows."""
BACKGROUND_SECONDS = 1.0
"""Of what is heard there, that then lies behind all of the video."""
QUIET_WORDS = "background noise, ambience, hum, hiss, wind, music"
"""What a model without an ambient condition is led away from when it is asked for action alone."""
FULL_CHUNK = 8
"""Frames of the video's own size that are in memory at a time."""


class Adapter(Protocol):
    """A model of any family, as the path from video to sound sees it."""

    def check(self, settings: Settings, *, with_stems: bool) -> None:
        """Raise UsageError for what the model cannot be asked, and warn of what has no effect."""
        ...

    def resolve(self, settings: Settings) -> Settings:
        """Return `settings` with the model's own values where they name none."""
        ...

    def look(self, info: VideoInfo, start: Fraction, end: Fraction, report: Report) -> Scene:
        """Decode a span's pictures as the model wants them and encode them, in flat memory."""
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


def adapter_of(model: Model, name: str, *, device: str, dtype: Dtype) -> Adapter:
    """Return the adapter of a loaded model's family; `name` is what its user calls it."""
    match model:
        case AvLdmPipeline() | Action2SoundPipeline():
            return AvLdmAdapter(model, name, device=device, dtype=dtype)
        case FoleyGenPipeline():
            return FoleyGenAdapter(model, name)
        case TextVideoPipeline():
            return TextVideoAdapter(model, name)
        case _:
            assert_never(model)


def look_frame_by_frame(
    model: AvLdmPipeline | Action2SoundPipeline | FoleyGenPipeline,
    info: VideoInfo,
    start: Fraction,
    end: Fraction,
    size: tuple[int, int],
    report: Report,
) -> Scene:
    """Read a span once, at the model's rate and at `size` (H, W), and encode it."""
    fps = model.config.video_fps
    quality = QualityWatch(info.average_fps)
    reader = VideoReader(info, fps=fps, size=size, start=start, end=end, on_picture=quality)
    watch = Watch(fps, report, len(reader))
    features = model.encode(watch.passing(reader))
    return Scene(info=info, start=start, end=end, features=features, shots=tuple(watch.shots), quality=quality.report())


class AvLdmAdapter:
    """Action from the pictures, ambience from a clip: tiny-avldm and Action2Sound at published size."""

    def __init__(self, model: AvLdmPipeline | Action2SoundPipeline, name: str, *, device: str, dtype: Dtype) -> None:
        self._model, self._name = model, name
        self._device, self._dtype = device, dtype

    def check(self, settings: Settings, *, with_stems: bool) -> None:
        refuse_prompts(settings, self._name)
        if not self.takes_events:
            refuse_events(settings, self._name)

    def resolve(self, settings: Settings) -> Settings:
        sampling = self._model.config.sampling
        return with_sampling(settings, num_steps=sampling.num_steps, guidance_scale=sampling.guidance_scale)

    def look(self, info: VideoInfo, start: Fraction, end: Fraction, report: Report) -> Scene:
        with self.precision():
            return look_frame_by_frame(self._model, info, start, end, self._model.config.frame_size, report)

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


class FoleyGenAdapter:
    """A language model over codes, which goes on from the ambience that it is given, if any."""

    def __init__(self, model: FoleyGenPipeline, name: str) -> None:
        self._model, self._name = model, name

    def check(self, settings: Settings, *, with_stems: bool) -> None:
        refuse_prompts(settings, self._name)
        refuse_events(settings, self._name)
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

    def look(self, info: VideoInfo, start: Fraction, end: Fraction, report: Report) -> Scene:
        size = self._model.config.reading_size(info.height, info.width)
        return look_frame_by_frame(self._model, info, start, end, size, report)

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


class TextVideoAdapter:
    """Pictures and text to sound; published models have no ambient condition, ours do."""

    def __init__(self, model: TextVideoPipeline, name: str) -> None:
        self._model, self._name = model, name

    def check(self, settings: Settings, *, with_stems: bool) -> None:
        if not self.takes_events:
            refuse_events(settings, self._name)
        self._check_words("prompt", settings.prompt)
        self._check_words("negative prompt", settings.negative_prompt)
        for stretch in (*settings.cues, *settings.rerolls):
            self._check_words(f"prompt at {stretch.start:g} s", stretch.prompt)
            self._check_words(f"negative prompt at {stretch.start:g} s", stretch.negative_prompt)
        if self._negative(settings) and settings.guidance_scale is not None and settings.guidance_scale <= 1:
            warnings.warn("a negative prompt has no effect at a guidance scale of 1 or below", stacklevel=2)
        if not self._has_ambient:
            self._check_without_ambient(settings, with_stems=with_stems)

    def _check_words(self, what: str, text: str) -> None:
        """Warn of words that the model does not read; raise UsageError where it reads none of a text."""
        unread = self._model.unread(text)
        if not unread:
            return
        words = ", ".join(f'"{word}"' for word in unread)
        if set(unread) >= set(words_in(text)):
            raise UsageError(f'model "{self._name}" reads no word of the {what}, {words}; it knows plain English ones')
        warnings.warn(f'model "{self._name}" does not read these words of the {what}: {words}', stacklevel=2)

    @property
    def _has_ambient(self) -> bool:
        return self._model.config.network.has_ambient

    def _negative(self, settings: Settings) -> str:
        """Return what the model is led away from: backgrounds too, where it is asked for quiet and has no other way."""
        return settings.negative_prompt if self._has_ambient else negative_prompt(settings)

    def _check_without_ambient(self, settings: Settings, *, with_stems: bool) -> None:
        name = self._name
        if settings.ambient not in ("auto", "quiet") or settings.ambient_library:
            raise UsageError(
                f'model "{name}" has no ambient condition: describe the background in --prompt, ask for '
                "--ambient quiet, or mix the video's own sound in with --original keep"
            )
        if settings.ambient_level_db is not None:
            raise UsageError(f'model "{name}" has no ambient condition whose level could be set')
        if with_stems:
            raise UsageError(f'model "{name}" has no ambient condition and so no stems of action and ambience')
        if settings.ambient == "quiet":
            warnings.warn(
                f'model "{name}" has no ambient condition; quiet is asked for as negative prompt: {QUIET_WORDS}',
                stacklevel=2,
            )

    def resolve(self, settings: Settings) -> Settings:
        sampling = self._model.config.sampling
        texts = (settings.prompt, *(cue.prompt for cue in settings.cues))
        return with_sampling(settings, num_steps=sampling.num_steps, guidance_scale=sampling.guidance_for(*texts))

    def look(self, info: VideoInfo, start: Fraction, end: Fraction, report: Report) -> Scene:
        """Read the span once at the encoder's rate and size, or twice in its own size where two encoders scale it."""
        config = self._model.config
        quality = QualityWatch(info.average_fps)

        def reader(fps: float, on_picture: QualityWatch | None) -> VideoReader:
            return VideoReader(
                info,
                fps=fps,
                size=config.frame_size or (info.height, info.width),
                start=start,
                end=end,
                chunk_frames=FULL_CHUNK,
                pick=config.frame_pick,
                on_picture=on_picture,
            )

        frames = reader(config.video_fps, quality)
        pictures = None if config.clip is None else reader(config.picture_fps, None)
        watch = Watch(config.video_fps, report, len(frames) + (0 if pictures is None else len(pictures)))
        features = self._model.encode(
            watch.passing(frames),
            () if pictures is None else watch.passing(pictures, is_cut=False),
            seconds=float(end - start),
        )
        return Scene(
            info=info, start=start, end=end, features=features, shots=tuple(watch.shots), quality=quality.report()
        )

    @property
    def takes_events(self) -> bool:
        return self._model.takes_events

    @property
    def reads_events(self) -> bool:
        return self._model.events is not None

    def read_events(self, scene: Scene) -> tuple[SeenEvent, ...]:
        assert isinstance(scene.features, TextVideoFeatures)
        return self._model.read_events(scene.features)

    def own_ambience(self, scene: Scene, settings: Settings) -> AmbientClip | None:
        """Return the quiet clip, or for "auto" what the model puts behind the beginning when it is told no ambience.

        Left to themselves, windows would each choose a background of their own.
        """
        if not self._has_ambient:
            return None
        if settings.ambient == "quiet":
            return self._model.quiet()
        assert isinstance(scene.features, TextVideoFeatures)
        rate, features = self._model.config.sample_rate, self._model.beginning(scene.features, HEARD_SECONDS)
        sound = self._model.generate(
            features,
            num_samples=max(1, round(features.seconds * rate)),
            prompt=settings.prompt,
            negative_prompt=self._negative(settings),
            num_steps=settings.num_steps,
            guidance_scale=settings.guidance_scale,
        )
        background = background_stretch(sound, rate, round(BACKGROUND_SECONDS * rate))
        return self._model.quiet() if is_silent(background) else AmbientClip(name="auto", waveform=background)

    def versions(
        self,
        scene: Scene,
        settings: Settings,
        clip: AmbientClip | None,
        num_samples: int,
        progress: Callable[[float], None],
    ) -> Iterator[Signal]:
        assert isinstance(scene.features, TextVideoFeatures)
        return self._model.versions(
            scene.features,
            num_samples=num_samples,
            prompt=settings.prompt,
            negative_prompt=self._negative(settings),
            # Without a place for them, lines are only spoken, by the voice that is laid over the sound.
            transcript=scene.on_clock(settings.transcript) if self._model.takes_transcript else (),
            ambient=None if clip is None else clip.waveform,
            seed=settings.seed,
            num_steps=settings.num_steps,
            guidance_scale=settings.guidance_scale,
            events=None if settings.events is None else scene.heard(settings.events),
            cues=scene.on_clock(settings.cues),
            shots=scene.shots,
            rerolls=scene.on_clock(settings.rerolls),
            progress=progress,
        )

    def precision(self) -> AbstractContextManager[object]:
        # All networks hold their weights in the wished precision.
        return nullcontext()


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


def refuse_events(settings: Settings, name: str) -> None:
    """Raise UsageError for events that are told a model which takes none."""
    if settings.events is not None:
        raise UsageError(f'model "{name}" takes no events; leave them out or use tiny-avldm')


def negative_prompt(settings: Settings) -> str:
    """Return what a model of text is led away from."""
    words = [settings.negative_prompt] if settings.negative_prompt else []
    return ", ".join([*words, QUIET_WORDS] if settings.ambient == "quiet" else words)
