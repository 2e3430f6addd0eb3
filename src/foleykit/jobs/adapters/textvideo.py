"""How models of family textvideo answer the path from video to sound."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction

from foleykit.audio.ambient import AmbientClip
from foleykit.core.errors import UsageError
from foleykit.core.progress import Report
from foleykit.core.signals import Signal
from foleykit.encoders.text.words import words_in
from foleykit.jobs.adapters.base import refuse_events, refuse_sensitivity, with_sampling
from foleykit.jobs.ambience import background_stretch, is_silent
from foleykit.jobs.scene import Scene, Watch
from foleykit.jobs.soundtrack import Settings
from foleykit.models.events import SeenEvent
from foleykit.models.textvideo.pipeline import TextVideoPipeline, VideoFeatures
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader
from foleykit.video.quality import QualityWatch

HEARD_SECONDS = 9.0
"""Of a video whose background a model of family textvideo is to choose; a few of its windows."""
BACKGROUND_SECONDS = 1.0
"""Of what is heard there, that then lies behind all of the video."""
QUIET_WORDS = "background noise, ambience, hum, hiss, wind, music"
"""What a model without an ambient condition is led away from when it is asked for action alone."""
FULL_CHUNK = 8
"""Frames of the video's own size that are in memory at a time."""


class TextVideoAdapter:
    """Pictures and text to sound; published models have no ambient condition, ours do."""

    def __init__(self, model: TextVideoPipeline, name: str) -> None:
        self._model, self._name = model, name

    def check(self, settings: Settings, *, with_stems: bool) -> None:
        if not self.takes_events:
            refuse_events(settings, self._name)
        if not self._model.is_steered:
            refuse_sensitivity(settings, self._name)
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

    def look(self, info: VideoInfo, start: Fraction, end: Fraction, sensitivity: float, report: Report) -> Scene:
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
            sensitivity=sensitivity,
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
        assert isinstance(scene.features, VideoFeatures)
        return self._model.read_events(scene.features)

    def own_ambience(self, scene: Scene, settings: Settings) -> AmbientClip | None:
        """Return the quiet clip, or for "auto" what the model puts behind the beginning when it is told no ambience.

        Left to themselves, windows would each choose a background of their own.
        """
        if not self._has_ambient:
            return None
        if settings.ambient == "quiet":
            return self._model.quiet()
        assert isinstance(scene.features, VideoFeatures)
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
        assert isinstance(scene.features, VideoFeatures)
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


def negative_prompt(settings: Settings) -> str:
    """Return what a model of text is led away from."""
    words = [settings.negative_prompt] if settings.negative_prompt else []
    return ", ".join([*words, QUIET_WORDS] if settings.ambient == "quiet" else words)
