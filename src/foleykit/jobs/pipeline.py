"""A video file to soundtracks in memory: read, look, choose an ambience, generate, weigh against the original."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

from foleykit.audio.ambient import AmbientClip
from foleykit.audio.voice import EspeakVoice, Voice
from foleykit.core.errors import MediaError, ModelError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.core.ranges import Line
from foleykit.core.signals import Signal
from foleykit.jobs.adapters import Model, adapter_of
from foleykit.jobs.ambience import BUILT_IN, at_level, middle_of, quietest_stretch, read_recording
from foleykit.jobs.judge import Judge
from foleykit.jobs.library import clip_by_key, embedding_space, nearest_clip
from foleykit.jobs.models import ModelDescription
from foleykit.jobs.original import read_original
from foleykit.jobs.placing import check_ranges, finish, place, reroll
from foleykit.jobs.scene import Scene
from foleykit.jobs.screening import MAX_FURTHER, Unwanted, unwanted_sounds
from foleykit.jobs.soundtrack import OUTPUT_RATE, Dtype, OriginalMode, Settings, Soundtrack
from foleykit.jobs.speech import Speech, speak
from foleykit.jobs.takes import best_of, judged, screened, unwanted_beside
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.events import SeenEvent
from foleykit.retrieval import open_index
from foleykit.video.info import DEFAULT_LIMITS, MediaLimits, VideoInfo
from foleykit.video.probe import probe
from foleykit.watermark import PUBLIC_WATERMARKER, Watermarker

OWN_CHOICE = "none"
"""Stands for the ambience of a model that was given none and chooses for itself."""


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
        events: Sequence[SeenEvent] | None = None,
        transcript: Sequence[Line] = (),
        voice: Voice | None = None,
        speech: bool = False,
        music: bool = True,
        original: OriginalMode = "replace",
        seed: int = 0,
        num_steps: int | None = None,
        guidance_scale: float | None = None,
        sensitivity: float = 0.0,
        start: float | None = None,
        end: float | None = None,
        loudness: float | None = None,
        watermark: bool = True,
        watermarker: Watermarker = PUBLIC_WATERMARKER,
        stems: bool = False,
        num_takes: int = 1,
        limits: MediaLimits = DEFAULT_LIMITS,
        report: Report = no_report,
    ) -> Soundtrack:
        """Return a soundtrack for a video file, exactly as long as its pictures; of several takes, the best.

        `ambient` is "auto", "quiet", "original" or a recording, `ambient_level` its RMS in dBFS, `loudness` in LUFS,
        `start` and `end` in seconds. "auto" chooses from the index `ambient_library` where one is named, among the
        clips that pass `ambient_filter`, such as "ambient_db < -50". `prompt` and `negative_prompt` say what should and
        should not be heard, where the model reads text. `sensitivity`, -1 to 1, is how readily faint signs that
        something begins to sound are heard. `transcript` is spoken by `voice`, or else by espeak-ng. A take in which
        speech or music is heard is made again unless `speech` and `music` allow it. Raises MediaError for a file that
        cannot be used and UsageError for impossible values.
        """
        settings = Settings(
            ambient=str(ambient),
            ambient_level_db=ambient_level,
            ambient_library=str(ambient_library),
            ambient_filter=ambient_filter,
            prompt=prompt,
            negative_prompt=negative_prompt,
            events=None if events is None else tuple(events),
            transcript=tuple(transcript),
            original=original,
            seed=seed,
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            sensitivity=sensitivity,
            start=start,
            end=end,
            loudness_lufs=loudness,
            is_marked=watermark,
        )
        takes = self.takes(
            video,
            settings,
            num_takes=num_takes,
            is_judged=num_takes > 1,
            unwanted=unwanted_sounds(speech=speech, music=music),
            voice=voice,
            with_stems=stems,
            watermarker=watermarker,
            limits=limits,
            report=report,
        )
        return best_of(takes)[0] if num_takes > 1 else next(takes)

    def takes(
        self,
        video: Path | str | VideoInfo,
        settings: Settings,
        *,
        num_takes: int = 1,
        is_judged: bool = False,
        unwanted: tuple[Unwanted, ...] = (),
        voice: Voice | None = None,
        with_stems: bool = False,
        watermarker: Watermarker = PUBLIC_WATERMARKER,
        limits: MediaLimits = DEFAULT_LIMITS,
        report: Report = no_report,
    ) -> Iterator[Soundtrack]:
        """Yield soundtracks with seeds `settings.seed`, +1, +2...; the video is looked at once.

        Judged takes say how well they agree with the pictures; `best_of` chooses among them. A take in which something
        `unwanted` is heard is made again with the next free seed, MAX_FURTHER times in all. `voice` speaks the
        transcript; None is espeak-ng.
        """
        self.adapter.check(settings, with_stems=with_stems)
        settings = self.adapter.resolve(settings)
        recording = self._recording(settings)
        report("read", 0)
        info = video if isinstance(video, VideoInfo) else probe(video, limits)
        # Asked for before anything slow happens, so that a video without sound is refused at once.
        clip = recording or self._own_ambience(info, settings) or self._library_clip(settings)
        report("read", 1)
        check_ranges(info, settings)
        speech = spoken(info, settings, voice, report)
        scene = self.look(info, settings, report=report)
        warn_of(scene)
        clip = self._ambience(clip, scene, settings)
        if settings.ambient_library and clip is not None:
            settings = replace(settings, ambient_clip=clip.name)
        judge = Judge.watching(scene, self.model, report) if is_judged else None
        is_told = settings.events is not None or not self.adapter.reads_events
        num_events = None if is_told else len(self.adapter.read_events(scene))
        if clip is not None:
            unwanted = unwanted_beside(clip, self.model.config.sample_rate, unwanted)

        def make(seed: int) -> Soundtrack:
            asked = replace(settings, seed=seed)
            made = self._voice(scene, asked, clip, speech, with_stems, watermarker, report)
            return replace(made, num_events=num_events)

        first_free = settings.seed + num_takes
        further = iter(range(first_free, first_free + MAX_FURTHER))

        def take(seed: int) -> Soundtrack:
            made = screened(make, chain([seed], further), unwanted, scene, report) if unwanted else make(seed)
            return made if judge is None else judged(made, scene, judge, report)

        # No name for what is yielded: a long sound is not held while the next one is made.
        for seed in range(settings.seed, first_free):
            yield take(seed)

    def read_events(
        self,
        video: Path | str | VideoInfo,
        *,
        sensitivity: float = 0.0,
        start: float | None = None,
        end: float | None = None,
        limits: MediaLimits = DEFAULT_LIMITS,
        report: Report = no_report,
    ) -> tuple[SeenEvent, ...]:
        """Return what is seen to happen in a video file, or between `start` and `end` seconds of it, sorted by time.

        `sensitivity`, -1 to 1, is how readily faint signs are listed. Raises MediaError for a file that cannot be used,
        ModelError for a model that reads no events, UsageError for a sensitivity that the model does not have.
        """
        if not self.adapter.reads_events:
            raise ModelError(f'model "{self.description.name}" reads no events; use tiny-avldm')
        info = video if isinstance(video, VideoInfo) else probe(video, limits)
        settings = Settings(sensitivity=sensitivity, start=start, end=end)
        self.adapter.check(settings, with_stems=False)
        scene = self.look(info, settings, report=report)
        events = self.adapter.read_events(scene)
        seconds = float(scene.end - scene.start)
        return tuple(replace(event, time=event.time + float(scene.start)) for event in events if event.time < seconds)

    def look(self, info: VideoInfo, settings: Settings, *, report: Report = no_report) -> Scene:
        """Return the span that `settings` name as the model sees it."""
        report("look", 0)
        scene = self.adapter.look(info, *span(info, settings), settings.sensitivity, report)
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
        speech: Speech | None,
        with_stems: bool,
        watermarker: Watermarker,
        report: Report,
    ) -> Soundtrack:
        """Generate one take and all its re-rolls, mark it and weigh it against the video's own sound."""
        versions = self._generate(scene, settings, clip, speech, with_stems, report)
        soundtrack = finish(next(versions), scene, watermarker, report)
        for asked in settings.rerolls:
            soundtrack = reroll(soundtrack, next(versions), asked, scene, watermarker)
        return soundtrack

    def _generate(
        self,
        scene: Scene,
        settings: Settings,
        clip: AmbientClip | None,
        speech: Speech | None,
        with_stems: bool,
        report: Report,
    ) -> Iterator[Soundtrack]:
        """Yield what the model makes, and then what each of the re-rolls makes of it."""
        rate = self.model.config.sample_rate
        sounds = self._versions(scene, settings, clip, "generate", report)
        actions: Iterator[Signal] | None = None
        if with_stems:
            quiet = self.adapter.own_ambience(scene, replace(settings, ambient="quiet"))
            actions = self._versions(scene, settings, quiet, "action", report)
        for _ in range(1 + len(settings.rerolls)):
            # No name for the sound: a long one is held once.
            yield Soundtrack(
                video=scene.info,
                num_samples=max(1, round(scene.info.duration * OUTPUT_RATE)),
                generated=place(next(sounds), scene, rate),
                action=None if actions is None else place(next(actions), scene, rate),
                model_rate=rate,
                settings=settings,
                ambience=OWN_CHOICE if clip is None else clip.name,
                speech=speech,
                quality=scene.quality,
            )

    def _versions(
        self, scene: Scene, settings: Settings, clip: AmbientClip | None, stage: str, report: Report
    ) -> Iterator[Signal]:
        report(stage, 0)
        num_samples = max(1, round((scene.end - scene.start) * self.model.config.sample_rate))

        def progress(fraction: float) -> None:
            report(stage, fraction)

        return self.adapter.versions(scene, settings, clip, num_samples, progress)

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
        stretch = quietest_stretch(own[:, :].mean(0, keepdims=True), config.sample_rate, config.ambient_samples)
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


def warn_of(scene: Scene) -> None:
    """Warn in one line of what in the pictures may make the sound worse."""
    if scene.quality is not None and scene.quality.problems:
        problems = "; ".join(scene.quality.problems)
        warnings.warn(f"{scene.info.path.name}: {problems}; the sound may fit the less", stacklevel=2)


def spoken(info: VideoInfo, settings: Settings, voice: Voice | None, report: Report) -> Speech | None:
    """Return the transcript as it is spoken; None without one."""
    if not settings.transcript:
        return None
    report("speak", 0)
    speech = speak(settings.transcript, voice or EspeakVoice(), OUTPUT_RATE, float(span(info, settings)[1]))
    report("speak", 1)
    return speech


def span(info: VideoInfo, settings: Settings) -> tuple[Fraction, Fraction]:
    """Return the seconds (start, end) that get new sound; raises UsageError where they lie outside the video."""
    start = Fraction(settings.start or 0)
    end = info.duration if settings.end is None else min(Fraction(settings.end), info.duration)
    if start >= info.duration:
        raise UsageError(
            f"start {float(start):g} s is not inside {info.path.name}, which lasts {float(info.duration):g} s"
        )
    return start, end
