"""Models on unseen places of the world: reference clips, generated conditions, baselines, the ambience dial."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.audio.ambient import AmbientClip
from foleykit.audio.files import write_waveform
from foleykit.audio.mel import LogMelConfig
from foleykit.codecs.griffin_lim import LogMelGriffinLim
from foleykit.core.checkpoint import with_weights
from foleykit.core.progress import Report as Progress
from foleykit.core.progress import no_report
from foleykit.core.types import VideoFeatures
from foleykit.evaluation.clips import ClipAudio, ClipInfo, cut_clips, read_clip, read_manifest, write_reference
from foleykit.evaluation.measure import measure_clip
from foleykit.evaluation.metrics.spearman import spearman
from foleykit.evaluation.onsets import OnsetConfig
from foleykit.evaluation.truth import clip_truth
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.network import Denoiser
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.events import SeenEvent
from foleykit.recipes.avldm_batches import PCM_SCALE, level_after_db
from foleykit.recipes.world_data import WorldDataArgs, open_world
from foleykit.world.cache import CachedVideo

DIAL_LEVELS_DB = tuple(float(level) for level in np.linspace(-60, -15, 10))
"""Levels of the condition, in dBFS, at which the dial is read."""


class Rates(Protocol):
    """What a model's config says of its clocks."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def video_fps(self) -> float: ...


Features = TypeVar("Features")


class SoundModel(Protocol, Generic[Features]):
    """A loaded model of any family: pictures and an ambient clip to sound."""

    @property
    def config(self) -> Rates: ...

    def encode(self, chunks: Iterable[NDArray[np.uint8]]) -> Features: ...

    def quiet(self) -> AmbientClip: ...

    def generate(
        self,
        features: Features,
        *,
        num_samples: int,
        ambient: NDArray[np.float32],
        seed: int = 0,
        guidance_scale: float | None = None,
    ) -> NDArray[np.float32]: ...


@dataclass(frozen=True, kw_only=True)
class WorldSetArgs:
    """A reference set cut from unseen places."""

    data: WorldDataArgs
    folder: Path
    """Receives `reference/` and one folder per condition under `generated/`."""
    num_clips: int = 256


@dataclass(frozen=True, kw_only=True)
class DialPoint:
    level_db: float
    """RMS of the ambient condition in dBFS"""
    gap_level_db: float
    """Median level of the generated sound between actions, in dBFS"""


@dataclass(frozen=True, kw_only=True)
class Dial:
    points: tuple[DialPoint, ...]
    spearman: float
    """Rank correlation of condition level and median output level"""
    pooled_spearman: float
    """The same over all clips and levels at once, where clips whose floor is high tell against it too"""
    share_rising: float
    """Share of neighbouring levels, over all clips, at which the output rises"""

    def in_words(self) -> str:
        """Return the correlations as a sentence."""
        return (
            f"Spearman {self.spearman:.3f} of the medians, {self.pooled_spearman:.3f} over all clips and levels "
            f"together; single clips rise at {self.share_rising:.0%} of the steps."
        )


def write_world_reference(args: WorldSetArgs) -> tuple[ClipInfo, ...]:
    """Cut `num_clips` clips from the test split and write them as a reference set; an existing one is kept."""
    reference = args.folder / "reference"
    if (reference / "manifest.jsonl").is_file():
        return read_manifest(reference)
    seconds = 3.0
    clips = (
        clip
        for video in open_world(args.data, "test")
        for clip in cut_clips(video.long_video(), video_name(video), seconds=seconds)
    )
    return write_reference(reference, islice(clips, args.num_clips))


def video_name(video: CachedVideo) -> str:
    return f"world{video.index:05d}"


def clip_frames(args: WorldSetArgs, fps: float) -> Iterator[tuple[ClipInfo, NDArray[np.uint8]]]:
    """Yield every reference clip with its frames (T, H, W, 3), which stay on disk until they are looked at."""
    videos = {video_name(video): video for video in open_world(args.data, "test")}
    for info in read_manifest(args.folder / "reference"):
        first = round(info.start * fps)
        yield info, videos[info.video_id].frames[first : first + round(info.seconds * fps)]


def clip_features(args: WorldSetArgs, pipeline: SoundModel[Features]) -> Iterator[tuple[ClipInfo, Features]]:
    """Yield every reference clip with what the model's encoder sees in its frames."""
    for info, frames in clip_frames(args, pipeline.config.video_fps):
        yield info, pipeline.encode([np.array(frames)])


Ambient = Callable[[ClipInfo, Features], NDArray[np.float32]]
"""Chooses the ambient condition (1, S) of a clip."""


def quiet_ambient(pipeline: SoundModel[Features]) -> Ambient[Features]:
    return lambda info, features: pipeline.quiet().waveform


def retrieved_ambient(pipeline: AvLdmPipeline) -> Ambient[VideoFeatures]:
    return lambda info, features: pipeline.retrieve(features).waveform


def neighbour_ambient(reference: Path) -> Ambient[object]:
    return lambda info, features: read_clip(reference, info).neighbour[None]


def generate_condition(
    args: WorldSetArgs,
    pipeline: SoundModel[Features],
    name: str,
    ambient: Ambient[Features],
    *,
    guidance_scale: float | None = None,
    progress: Progress = no_report,
) -> Path:
    """Generate every reference clip under one ambient condition and return the folder; finished clips are kept."""

    def make(info: ClipInfo, features: Features, seed: int) -> NDArray[np.float32]:
        return pipeline.generate(
            features,
            num_samples=round(info.seconds * pipeline.config.sample_rate),
            ambient=ambient(info, features),
            seed=seed,
            guidance_scale=guidance_scale,
        )

    return write_condition(args, pipeline, name, make, progress)


def told_condition(args: WorldSetArgs, pipeline: AvLdmPipeline, *, progress: Progress = no_report) -> Path:
    """Generate every reference clip in quiet mode, told what truly happens in it instead of what is seen."""
    reference = args.folder / "reference"

    def make(info: ClipInfo, features: VideoFeatures, seed: int) -> NDArray[np.float32]:
        return next(
            pipeline.versions(
                features,
                num_samples=round(info.seconds * pipeline.config.sample_rate),
                ambient=pipeline.quiet().waveform,
                seed=seed,
                events=true_events(info, read_clip(reference, info)),
            )
        )

    return write_condition(args, pipeline, "told the true events", make, progress)


def true_events(info: ClipInfo, audio: ClipAudio) -> tuple[SeenEvent, ...]:
    """Return the visible events of a clip that can be heard beginning."""
    onsets = clip_truth(info, audio).onsets
    return tuple(
        SeenEvent(
            time=event.time,
            duration=event.duration,
            kind=event.kind,
            action=event.action,
            material=event.material,
            level_db=level_after_db(audio.action, event.time, audio.sample_rate),
        )
        for event in info.events
        if event.on_screen and event.time in onsets
    )


def write_condition(
    args: WorldSetArgs,
    pipeline: SoundModel[Features],
    name: str,
    make: Callable[[ClipInfo, Features, int], NDArray[np.float32]],
    progress: Progress,
) -> Path:
    """Write what `make` makes of every reference clip, its features and a seed; return the folder, in which finished
    clips are kept."""
    folder = args.folder / "generated" / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, (info, features) in enumerate(clip_features(args, pipeline)):
        path = folder / f"{info.clip_id}.wav"
        if path.is_file():
            continue
        write_waveform(path, make(info, features, number), pipeline.config.sample_rate)
        progress(name, (number + 1) / args.num_clips)
    return folder


@torch.inference_mode()
def retrieve_condition(args: WorldSetArgs, pipeline: AvLdmPipeline, library: Sequence[CachedVideo]) -> Path:
    """Write the retrieval baseline: the sound of the clip of `library` nearest by audio-visual similarity."""
    folder = args.folder / "generated" / "retrieval"
    folder.mkdir(parents=True, exist_ok=True)
    sounds, embeddings = [], []
    for video in library:
        for span in spans_of(video, pipeline.config):
            mix = (video.action[span] + video.off_screen[span].astype(np.float32) + video.ambient[0, span]) / PCM_SCALE
            sounds.append(mix.astype(np.float32))
            latents = pipeline.codec.encode(torch.from_numpy(sounds[-1])[None])
            embeddings.append(pipeline.similarity.embed_audio(latents)[0])
    stacked = torch.stack(embeddings)
    for info, features in clip_features(args, pipeline):
        picture = torch.from_numpy(pipeline.embed_video(features))
        nearest = sounds[int((stacked @ picture).argmax())]
        write_waveform(folder / f"{info.clip_id}.wav", nearest[None], pipeline.config.sample_rate)
    return folder


def spans_of(video: CachedVideo, config: AvLdmConfig) -> list[slice]:
    """Return the sample spans of the windows that lie side by side in a long video."""
    window = config.window_samples
    return [slice(start, start + window) for start in range(0, video.action.shape[0] - window + 1, window)]


def read_dial(args: WorldSetArgs, pipeline: SoundModel[Features], *, num_clips: int = 32) -> Dial:
    """Return the output's ambience at ten levels of one condition: the scene's own ambience, without actions."""
    reference = args.folder / "reference"
    rate = pipeline.config.sample_rate
    table = []
    for number, (info, features) in enumerate(islice(clip_features(args, pipeline), num_clips)):
        audio = read_clip(reference, info)
        truth = clip_truth(info, audio)
        if not truth.gaps.any() or not audio.ambient.any():
            continue
        levels = []
        for level_db in DIAL_LEVELS_DB:
            waveform = pipeline.generate(
                features, num_samples=len(audio.mix), ambient=at_level(audio.ambient, level_db)[None], seed=number
            )
            measured = measure_clip(waveform[0], rate, truth, classifier=None, onsets=OnsetConfig())
            levels.append(measured.gap_level_db)
        table.append(levels)
    heard = np.array(table)
    heard = heard[np.isfinite(heard).all(axis=1)]
    medians = np.median(heard, axis=0)
    return Dial(
        points=tuple(
            DialPoint(level_db=level, gap_level_db=float(median))
            for level, median in zip(DIAL_LEVELS_DB, medians, strict=True)
        ),
        spearman=spearman(DIAL_LEVELS_DB, medians),
        pooled_spearman=spearman(np.tile(DIAL_LEVELS_DB, len(heard)), heard.ravel()),
        share_rising=float((np.diff(heard, axis=1) > 0).mean()),
    )


def at_level(waveform: NDArray[np.float32], level_db: float) -> NDArray[np.float32]:
    """Return `waveform` scaled to an RMS of `level_db` dBFS."""
    rms = float(np.sqrt(np.mean(np.square(waveform)))) or 1e-9
    return np.asarray(waveform * (10 ** (level_db / 20) / rms), dtype=np.float32)


def with_denoiser(pipeline: AvLdmPipeline, weights: Path, *, uses_ambient: bool) -> AvLdmPipeline:
    """Return the same pipeline around another denoiser, such as the ablation without a neighbour."""
    config = replace(pipeline.config, denoiser=replace(pipeline.config.denoiser, uses_ambient=uses_ambient))
    return _rebuilt(pipeline, config, with_weights(Denoiser(config.denoiser), weights), pipeline.vocoder)


class PhaseFinder(nn.Module):
    """Griffin-Lim in the place of a vocoder: it takes the vocoder's noise and needs none."""

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        self.griffin_lim = LogMelGriffinLim(config)

    def forward(self, mel: Tensor, noise: Tensor) -> Tensor:
        """Return a waveform (B, S) of `mel` (B, M, F)."""
        return self.griffin_lim(mel)


def without_vocoder(pipeline: AvLdmPipeline) -> AvLdmPipeline:
    """Return the same pipeline with Griffin-Lim instead of its vocoder."""
    return _rebuilt(pipeline, pipeline.config, pipeline.denoiser, PhaseFinder(pipeline.config.codec.mel))


def _rebuilt(pipeline: AvLdmPipeline, config: AvLdmConfig, denoiser: Denoiser, vocoder: nn.Module) -> AvLdmPipeline:
    return AvLdmPipeline(
        config,
        codec=pipeline.codec,
        vocoder=vocoder,
        video=pipeline.video,
        denoiser=denoiser,
        similarity=pipeline.similarity,
        library=pipeline.library,
        steering=pipeline.steering,
        events=pipeline.events,
        device=str(pipeline.device),
    )
