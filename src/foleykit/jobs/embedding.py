"""What the clips of a library are compared by: the embeddings of a model's similarity towers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import MediaError
from foleykit.jobs.ambience import read_recording
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.soundtrack import Settings
from foleykit.video.probe import open_media, picture_stream, probe

BATCH_CLIPS = 16
"""Recordings embedded in one call."""


def embed_sounds(pipeline: FoleyPipeline, waveforms: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return unit embeddings (N, E) of recordings (1, S) at the model's rate."""
    parts = [
        pipeline.matcher.embed_audio(waveforms[start : start + BATCH_CLIPS])
        for start in range(0, len(waveforms), BATCH_CLIPS)
    ]
    return np.concatenate(parts)


def embed_pictures(pipeline: FoleyPipeline, video: Path) -> NDArray[np.float32]:
    """Return the unit embedding (E,) of what a video shows; raises MediaError when it shows nothing."""
    matcher = pipeline.matcher
    return matcher.embed_video(pipeline.look(probe(video), Settings()).frame_features)


def embed_recording(pipeline: FoleyPipeline, path: Path) -> NDArray[np.float32]:
    """Return the unit embedding (E,) of the middle of a recording; raises MediaError when it cannot be used."""
    config = pipeline.model.config
    clip = read_recording(str(path), config.sample_rate, config.ambient_samples)
    return embed_sounds(pipeline, [clip.waveform])[0]


def has_pictures(path: Path) -> bool:
    """Return whether a media file shows more than a cover; raises MediaError when it is missing or no media."""
    with open_media(path) as container:
        try:
            picture_stream(container, path)
        except MediaError:
            return False
    return True
