"""A video file to soundtracks in memory: read, look, choose an ambience, generate, weigh against the original."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.ambient import AmbientClip
from foleykit.audio.loudness import normalise
from foleykit.audio.mix import duck_gain
from foleykit.core.errors import MediaError, ModelError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.jobs.adapters import Model, Scene, adapter_of
from foleykit.jobs.ambience import BUILT_IN, at_level, middle_of, quietest_stretch, read_recording
from foleykit.jobs.library import clip_by_key, embedding_space, nearest_clip
from foleykit.jobs.mark import mark
from foleykit.jobs.models import ModelDescription
from foleykit.jobs.original import read_original
from foleykit.jobs.soundtrack import OUTPUT_RATE, Dtype, OriginalMode, Settings, Soundtrack
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.retrieval import open_index
from foleykit.video.info import DEFAULT_LIMITS, MediaLimits, VideoInfo
from foleykit.video.probe import probe
from foleykit.watermark import PUBLIC_KEY

OWN_CHOICE = "none"
"""Stands for the ambience of a model that was given none and chooses for itself."""
FADE_SECONDS = 0.02
"""Ramp between the original and the new sound where the new sound does not fill the video."""


class FoleyPipeline:
    """A loaded model that takes video files; `foleykit.load` returns one."""

    def __init__(
        self,
        model: Model,
        description: ModelDescription,
        *,
        device: str,
        dtype: Dtype,
    ) -> None:
        self.model = model
        self.description = description
        self.device = device
        self.dtype = dtype
        self.adapter = adapter_of(model, description.name, device=device, dtype=dtype)

    @property
    def matcher(self) -> AvLdmPipeline:
        """Return the model, if it can compare pictures with sounds; else raises ModelError."""
        if isinstance(self.model, AvLdmPipeline):
            return self.model
        raise ModelError(
            f'model "{self.description.name}" cannot choose from a library by the pictures; name a recording instead'
        )

    def __call__(
        self,
        video: Path | str,
        *,
        ambient: Path | str = "auto",
        ambient_level: float | None = None,
        ambient_library: Path | str = "",
        ambient_filter: str = "",
        prompt: str = "",
        negative_prompt: str = "",
        original: OriginalMode = "replace",
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        start: float | None = None,
        end: float | None = None,
        loudness: float | None = None,
        watermark: bool = True,
        watermark_key: bytes = PUBLIC_KEY,
        stems: bool = False,
        limits: MediaLimits = DEFAULT_LIMITS,
        report: Report = no_report,
    ) -> Soundtrack:
        """Return a soundtrack for a video file, exactly as long as its pictures.

        `ambient` is "auto", "quiet", "original" or a recording, `ambient_level` its RMS in dBFS, `loudness` in LUFS,
        `start` and `end` in seconds. "auto" chooses from the index `ambient_library` where one is named, among the
        clips that pass `ambient_filter`, such as "ambient_db < -50". `prompt` and `negative_prompt` say what should and
        should not be heard, where the model reads text. Raises MediaError for a file that cannot be used
        and UsageError for impossible values.
        """
        settings = Settings(
            ambient=str(ambient),
            ambient_level_db=ambient_level,
            ambient_library=str(ambient_library),
            ambient_filter=ambient_filter,
            prompt=prompt,
            negative_prompt=negative_prompt,
            original=original,
            seed=seed,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            start=start,
            end=end,
            loudness_lufs=loudness,
            is_marked=watermark,
        )
        takes = self.takes(video, settings, with_stems=stems, watermark_key=watermark_key, limits=limits, report=report)
        return next(takes)

    def takes(
        self,
        video: Path | str | VideoInfo,
        settings: Settings,
        *,
        num_takes: int = 1,
        with_stems: bool = False,
        watermark_key: bytes = PUBLIC_KEY,
        limits: MediaLimits = DEFAULT_LIMITS,
        report: Report = no_report,
    ) -> Iterator[Soundtrack]:
        """Yield soundtracks with seeds `settings.seed`, +1, +2...; the video is looked at once."""
        self.adapter.check(settings, with_stems=with_stems)
        settings = self.adapter.resolve(settings)
        recording = self._recording(settings)
        report("read", 0)
        info = video if isinstance(video, VideoInfo) else probe(video, limits)
        # Asked for before anything slow happens, so that a video without sound is refused at once.
        clip = recording or self._own_ambience(info, settings) or self._library_clip(settings)
        report("read", 1)
        scene = self.look(info, settings, report=report)
        clip = self._ambience(clip, scene, settings)
        if settings.ambient_library and clip is not None:
            settings = replace(settings, ambient_clip=clip.name)
        for take in range(num_takes):
            seeded = replace(settings, seed=settings.seed + take)
            yield self._voice(scene, seeded, clip, with_stems, watermark_key, report)

    def look(self, info: VideoInfo, settings: Settings, *, report: Report = no_report) -> Scene:
        """Return the span that `settings` name as the model sees it."""
        report("look", 0)
        scene = self.adapter.look(info, *span(info, settings), report)
        report("look", 1)
        return scene

    def _ambience(self, clip: AmbientClip | None, scene: Scene, settings: Settings) -> AmbientClip | None:
        """Return what the model hears as ambience: `clip`, or else what the pictures or the model itself choose."""
        if clip is None and settings.ambient_library:
            clip = self._nearest(scene, settings)
        clip = clip or self.adapter.own_ambience(scene, settings)
        return None if clip is None else self._prepare(clip, settings)

    def _voice(
        self,
        scene: Scene,
        settings: Settings,
        clip: AmbientClip | None,
        with_stems: bool,
        watermark_key: bytes,
        report: Report,
    ) -> Soundtrack:
        """Generate one take, mark it and weigh it against the video's own sound."""
        rate = self.model.config.sample_rate
        num_samples = max(1, round(scene.info.duration * OUTPUT_RATE))
        generated = self._generate(scene, settings, clip, "generate", report)
        action = None
        if with_stems:
            quiet = self.adapter.own_ambience(scene, replace(settings, ambient="quiet"))
            action = self._generate(scene, settings, quiet, "action", report)
        alone = Soundtrack(
            video=scene.info,
            num_samples=num_samples,
            generated=place(generated, scene, rate),
            action=None if action is None else place(action, scene, rate),
            model_rate=rate,
            settings=settings,
            ambience=OWN_CHOICE if clip is None else clip.name,
        )
        # A long sound is held once: marked, it takes the place of what was generated.
        del generated, action
        if settings.is_marked:
            report("mark", 0)
            alone = mark(alone, watermark_key)
        report("level", 0)
        soundtrack = with_original(alone, scene, settings)
        gain_db = normalise(soundtrack.blocks(), OUTPUT_RATE, target_lufs=settings.loudness_lufs)
        report("level", 1)
        return soundtrack.with_gain(gain_db)

    def _generate(
        self, scene: Scene, settings: Settings, clip: AmbientClip | None, stage: str, report: Report
    ) -> NDArray[np.float32]:
        report(stage, 0)
        num_samples = max(1, round((scene.end - scene.start) * self.model.config.sample_rate))

        def progress(fraction: float) -> None:
            report(stage, fraction)

        return self.adapter.generate(scene, settings, clip, num_samples, progress)

    def _recording(self, settings: Settings) -> AmbientClip | None:
        if settings.ambient in BUILT_IN:
            return None
        config = self.model.config
        return read_recording(settings.ambient, config.sample_rate, config.ambient_samples)

    def _own_ambience(self, info: VideoInfo, settings: Settings) -> AmbientClip | None:
        """Return the quietest stretch of the video's own sound where that is asked for."""
        if settings.ambient != "original":
            return None
        config = self.model.config
        own = read_original(info, config.sample_rate)
        if own is None:
            raise MediaError(f"{info.path} has no sound of its own; use another ambience than original")
        stretch = quietest_stretch(own.mean(0, keepdims=True), config.sample_rate, config.ambient_samples)
        if stretch is None:
            raise MediaError(f"the sound of {info.path} is silent; use the ambience quiet instead of original")
        return AmbientClip(name="original", waveform=stretch)

    def _library_clip(self, settings: Settings) -> AmbientClip | None:
        """Return the clip that is named; None where the pictures choose, after a look at what they choose from."""
        if not settings.ambient_library:
            return None
        # An index of other embeddings is refused before the pictures are looked at.
        with closing(open_index(settings.ambient_library, embedding_space(self.matcher, self.description))) as index:
            if not settings.ambient_clip:
                return None
            return clip_by_key(index, settings.ambient_clip, self.model.config.sample_rate)

    def _nearest(self, scene: Scene, settings: Settings) -> AmbientClip:
        """Return the clip of the user's library that fits the pictures best."""
        with self.adapter.precision():
            embedding = self.matcher.embed_video(scene.frame_features)
        with closing(open_index(settings.ambient_library)) as index:
            return nearest_clip(index, embedding, settings.ambient_filter, self.model.config.sample_rate)

    def _prepare(self, clip: AmbientClip, settings: Settings) -> AmbientClip:
        """Return the part of `clip` that the model hears, at the wished level."""
        waveform = middle_of(clip.waveform, self.model.config.ambient_samples)
        if settings.ambient_level_db is not None:
            waveform = at_level(waveform, settings.ambient_level_db)
        return AmbientClip(name=clip.name, waveform=waveform)


def span(info: VideoInfo, settings: Settings) -> tuple[Fraction, Fraction]:
    """Return the seconds (start, end) that get new sound; raises UsageError where they lie outside the video."""
    start = Fraction(settings.start or 0)
    end = info.duration if settings.end is None else min(Fraction(settings.end), info.duration)
    if start >= info.duration:
        raise UsageError(
            f"start {float(start):g} s is not inside {info.path.name}, which lasts {float(info.duration):g} s"
        )
    return start, end


def place(generated: NDArray[np.float32], scene: Scene, sample_rate: int) -> NDArray[np.float32]:
    """Return `generated` (1, S) at its time in the whole video, with silence around it."""
    num_samples = max(1, round(scene.info.duration * sample_rate))
    before = round(scene.start * sample_rate)
    if before == 0 and generated.shape[-1] >= num_samples:
        return generated[:, :num_samples]
    whole = np.zeros((1, num_samples), np.float32)
    part = whole[:, before : before + generated.shape[-1]]
    part[:] = generated[:, : part.shape[-1]]
    return whole


def with_original(alone: Soundtrack, scene: Scene, settings: Settings) -> Soundtrack:
    """Return `alone` together with the video's own sound, as `settings` and the span ask for.

    Outside the span only the original is heard, whatever becomes of it inside.
    """
    is_partial = scene.start > 0 or scene.end < scene.info.duration
    inside = span_weight(scene, alone.num_samples) if is_partial else None
    alone = replace(alone, generated_weight=inside)
    if settings.original == "replace" and not is_partial:
        return alone
    original = read_original(scene.info, OUTPUT_RATE)
    if original is None:
        return alone
    match settings.original:
        case "replace":
            assert inside is not None
            weight: NDArray[np.float32] | None = 1 - inside
        case "keep":
            weight = None
        case "duck":
            weight = duck_gain(alone.waveform, OUTPUT_RATE)
        case _:
            assert_never(settings.original)
    return replace(alone, original=original, original_weight=weight)


def span_weight(scene: Scene, num_samples: int) -> NDArray[np.float32]:
    """Return (S,): 1 inside the span, 0 outside, with short ramps inside it where it does not end with the video."""
    time = np.arange(num_samples) / OUTPUT_RATE
    weight = np.ones(num_samples, np.float32)
    if scene.start > 0:
        weight *= np.clip((time - float(scene.start)) / FADE_SECONDS, 0, 1)
    if scene.end < scene.info.duration:
        weight *= np.clip((float(scene.end) - time) / FADE_SECONDS, 0, 1)
    return weight
