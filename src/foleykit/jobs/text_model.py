"""How a model of pictures and text looks at a video, and which wishes it can be asked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import UsageError
from foleykit.jobs.soundtrack import Settings
from foleykit.models.textvideo.pipeline import TextVideoPipeline, VideoFeatures
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader

QUIET_WORDS = "background noise, ambience, hum, hiss, wind, music"
"""What a model without an ambient condition is led away from when it is asked for action alone."""
FULL_CHUNK = 8
"""Frames of the video's own size that are in memory at a time."""


def check_wishes(settings: Settings, model_name: str) -> None:
    """Raise UsageError for wishes about ambience that a model without an ambient condition cannot meet.

    Warns of wishes that have no effect, or another one than with other models.
    """
    if settings.ambient not in ("auto", "quiet") or settings.ambient_library:
        raise UsageError(
            f'model "{model_name}" has no ambient condition: describe the background in --prompt, or ask for '
            "--ambient quiet"
        )
    if settings.ambient_level_db is not None:
        raise UsageError(f'model "{model_name}" has no ambient condition whose level could be set')
    if negative_prompt(settings) and settings.guidance_scale is not None and settings.guidance_scale <= 1:
        warnings.warn("a negative prompt has no effect at a guidance scale of 1 or below", stacklevel=2)
    if settings.ambient == "quiet":
        warnings.warn(
            f'model "{model_name}" has no ambient condition; quiet is asked for as negative prompt: {QUIET_WORDS}',
            stacklevel=2,
        )


def negative_prompt(settings: Settings) -> str:
    """Return what the model is led away from."""
    words = [settings.negative_prompt] if settings.negative_prompt else []
    return ", ".join([*words, QUIET_WORDS] if settings.ambient == "quiet" else words)


def look(
    model: TextVideoPipeline,
    info: VideoInfo,
    *,
    start: Fraction,
    end: Fraction,
    on_frames: Callable[[NDArray[np.uint8]], None],
    progress: Callable[[float], None],
) -> VideoFeatures:
    """Read the span of a video twice, at the rates of both encoders and in its own size, and encode it.

    `on_frames` sees the faster stream in passing; `progress` hears the share done.
    """
    config = model.config

    def reader(fps: float) -> VideoReader:
        return VideoReader(
            info,
            fps=fps,
            size=(info.height, info.width),
            start=start,
            end=end,
            chunk_frames=FULL_CHUNK,
            pick=config.frame_pick,
        )

    pictures, frames = reader(config.picture_fps), reader(config.video_fps)
    expected, done = len(pictures) + len(frames), 0

    def watched(chunks: VideoReader, *, is_faster: bool) -> Iterator[NDArray[np.uint8]]:
        nonlocal done
        for chunk in chunks:
            if is_faster:
                on_frames(chunk)
            yield chunk
            done += len(chunk)
            progress(min(1.0, done / expected))

    return model.encode(watched(pictures, is_faster=False), watched(frames, is_faster=True), seconds=float(end - start))
