"""The clips that a table of systems is made of, from the world or from real videos, and the sounds made for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform, write_waveform
from foleykit.core.errors import MediaError
from foleykit.core.progress import Report as Progress
from foleykit.core.suffixes import VIDEO_SUFFIXES
from foleykit.core.types import VideoFeatures
from foleykit.evaluation.clips import read_clip
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.recipes.avldm_batches import PCM_SCALE
from foleykit.recipes.avldm_evaluation import WorldSetArgs, clip_frames, spans_of, write_world_reference
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe
from foleykit.world.cache import CachedVideo

SECONDS = 3.0
SILENT_PEAK = 1e-3
"""A recording that stays below it is no reference."""


class Identified(Protocol):
    """A clip of any table."""

    @property
    def clip_id(self) -> str: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class TableClip:
    """What a row needs of one clip; sound is mono at the model's rate."""

    clip_id: str
    frames: NDArray[np.uint8]
    """(T, H, W, 3) at the model's rate and size"""
    features: VideoFeatures
    """What the model sees in them."""
    recorded: NDArray[np.float32]
    """(S,) the clip's own sound"""
    neighbour: NDArray[np.float32]
    """(S,) another moment of the same video"""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipSet:
    """Clips and the folder with their own sound, one file per clip."""

    reference: Path
    clips: Sequence[TableClip]
    left_out: dict[str, str] = field(default_factory=dict)
    """Videos of which there is no clip, and why."""


def world_clips(args: WorldSetArgs, pipeline: AvLdmPipeline) -> ClipSet:
    """Return clips of unseen places; the reference set is written where it is missing."""
    write_world_reference(args)
    reference = args.folder / "reference"
    clips = []
    for info, frames in clip_frames(args, pipeline.config.video_fps):
        audio = read_clip(reference, info)
        clips.append(
            TableClip(
                clip_id=info.clip_id,
                frames=frames,
                features=pipeline.encode([np.array(frames)]),
                recorded=audio.mix,
                neighbour=audio.neighbour,
            )
        )
    return ClipSet(reference=reference, clips=clips)


def real_clips(
    videos: Path, folder: Path, pipeline: AvLdmPipeline, *, clips_per_video: int, progress: Progress
) -> ClipSet:
    """Return clips of 3 s, spread evenly over each video, and write their recorded sound to `folder`/reference.

    The neighbour is the clip half the video away. Videos without sound, or too short to have a neighbour, are named.
    Raises MediaError when fewer than two clips are left.
    """
    reference = folder / "reference"
    reference.mkdir(parents=True, exist_ok=True)
    paths = sorted(path for path in videos.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    clips: list[TableClip] = []
    left_out: dict[str, str] = {}
    for number, path in enumerate(paths):
        try:
            clips += _clips_of(path, pipeline, clips_per_video)
        except MediaError as error:
            left_out[path.name] = str(error).removeprefix(f"{path}: ")
        progress("read videos", (number + 1) / len(paths))
    for clip in clips:
        write_waveform(reference / f"{clip.clip_id}.wav", clip.recorded, pipeline.config.sample_rate)
    if len(clips) < 2:
        raise MediaError(f"{videos}: {len(clips)} clips of {SECONDS:g} s with sound and a neighbour, 2 are needed")
    return ClipSet(reference=reference, clips=clips, left_out=left_out)


def _clips_of(path: Path, pipeline: AvLdmPipeline, count: int) -> list[TableClip]:
    info, config = probe(path), pipeline.config
    num_spans = int(info.duration / Fraction(SECONDS))
    if num_spans < 2:
        raise MediaError(f"lasts {float(info.duration):.1f} s, a clip and its neighbour need {2 * SECONDS:g} s")
    sound, rate = read_waveform(path, sample_rate=config.sample_rate, mono=True)
    length = round(SECONDS * rate)

    def heard(span: int) -> NDArray[np.float32]:
        return sound[0, span * length : (span + 1) * length]

    # Every span once, in even steps; the last may hold less sound than pictures.
    chosen = sorted({round(number * (num_spans - 1) / max(1, count - 1)) for number in range(min(count, num_spans))})
    clips = []
    for span in chosen:
        recorded, neighbour = heard(span), heard((span + num_spans // 2) % num_spans)
        if min(len(recorded), len(neighbour)) < length or np.abs(recorded).max() < SILENT_PEAK:
            continue
        start = Fraction(SECONDS) * span
        reader = VideoReader(
            info, fps=config.video_fps, size=config.frame_size, start=start, end=start + Fraction(SECONDS)
        )
        frames = np.concatenate(list(reader))
        clips.append(
            TableClip(
                clip_id=f"{path.stem}_{span:03d}",
                frames=frames,
                features=pipeline.encode([frames]),
                recorded=recorded,
                neighbour=neighbour,
            )
        )
    if not clips:
        raise MediaError("has no clip with sound throughout")
    return clips


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The clips of the training split that a condition, or a whole sound, may be retrieved from."""

    videos: Sequence[CachedVideo]
    spans: Sequence[tuple[int, slice]]
    """Video and samples of every clip."""
    embeddings: NDArray[np.float32]
    """(N, E) unit embeddings of their sound"""

    def __len__(self) -> int:
        return len(self.spans)

    def sound(self, index: int) -> NDArray[np.float32]:
        """Return everything that is heard in a clip, (S,)."""
        return _mix(self.videos, self.spans[index])

    def nearest(self, embedding: NDArray[np.float32], size: int) -> int:
        """Return the clip nearest to an embedding (E,) of pictures among `size` of them, drawn once for all sizes."""
        order = np.random.default_rng(0).permutation(len(self))[:size]
        return int(order[(self.embeddings[order] @ embedding).argmax()])


def open_pool(videos: Sequence[CachedVideo], pipeline: AvLdmPipeline, progress: Progress) -> Pool:
    """Return the pool of all clips that lie side by side in `videos`."""
    spans = [(index, span) for index, video in enumerate(videos) for span in spans_of(video, pipeline.config)]
    embeddings = []
    for first in range(0, len(spans), 16):
        part = spans[first : first + 16]
        embeddings.append(pipeline.embed_audio([_mix(videos, span)[None] for span in part]))
        progress("listen to the pool", (first + len(part)) / len(spans))
    return Pool(videos=videos, spans=spans, embeddings=np.concatenate(embeddings))


def _mix(videos: Sequence[CachedVideo], place: tuple[int, slice]) -> NDArray[np.float32]:
    video, span = videos[place[0]], place[1]
    mix = video.action[span].astype(np.float32) + video.off_screen[span] + video.ambient[0, span]
    return np.asarray(np.clip(mix / PCM_SCALE, -1, 1), np.float32)


Clip = TypeVar("Clip", bound=Identified)
Make = Callable[[int, Clip], NDArray[np.float32]]
"""The sound (S,) of the clip of a number."""


def write_row(clips: Sequence[Clip], folder: Path, make: Make[Clip], sample_rate: int, progress: Progress) -> Path:
    """Write one sound per clip; those that are there already are kept, so that a killed run goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, clip in enumerate(clips):
        path = folder / f"{clip.clip_id}.wav"
        if not path.is_file():
            write_waveform(path, make(number, clip), sample_rate)
        progress(f"make {folder.name}, {number + 1} of {len(clips)} clips", (number + 1) / len(clips))
    return folder


def held_frames(frames: NDArray[np.uint8], fps: float, slower: float) -> NDArray[np.uint8]:
    """Return `frames` (T, H, W, 3) as if taken at `slower` frames per second, each held until the next."""
    times = np.arange(len(frames)) / fps
    index = np.round(np.floor(times * slower + 1e-6) / slower * fps).astype(np.int64)
    return frames[np.minimum(index, len(frames) - 1)]


@torch.inference_mode()
def resynthesised(pipeline: AvLdmPipeline, waveform: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return a recording (S,) after codec and vocoder: what they alone cost."""
    mel = pipeline.codec.decode(pipeline.codec.encode(torch.from_numpy(waveform)[None].to(pipeline.device)))
    shape = (1, pipeline.config.vocoder.num_noise_channels, mel.shape[2])
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(pipeline.device)
    return pipeline.vocoder(mel, noise)[0, : len(waveform)].float().cpu().numpy()
