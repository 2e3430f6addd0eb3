"""The user's own library of ambient clips as the source of an ambience."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from foleykit.audio.ambient import AmbientClip
from foleykit.audio.files import read_waveform
from foleykit.audio.resample import resample
from foleykit.core.errors import MediaError
from foleykit.jobs.models import ModelDescription
from foleykit.jobs.sidecar import hash_file
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.retrieval import open_index
from foleykit.retrieval.filters import parse_filter
from foleykit.retrieval.types import EmbeddingSpace, LibraryClip, VectorIndex


def embedding_space(model: AvLdmPipeline, description: ModelDescription) -> EmbeddingSpace:
    """Return the space of a model's embeddings, named by everything that the embedding of a sound depends on."""
    digest = hashlib.sha256()
    digest.update(json.dumps([asdict(model.config.codec), model.config.window_seconds], sort_keys=True).encode())
    for name in ("codec", "similarity"):
        digest.update(hash_file(description.folder / f"{name}.safetensors").encode())
    return EmbeddingSpace(
        model_id=f"{description.name}/similarity@{digest.hexdigest()[:12]}",
        num_dimensions=model.similarity.config.embedding_width,
    )


def nearest_clip(index: VectorIndex, embedding: NDArray[np.float32], where: str, sample_rate: int) -> AmbientClip:
    """Return the clip nearest to `embedding` (E,) that passes the filter `where`, by its key.

    Raises MediaError when none passes or its sound is gone.
    """
    matches = index.search(embedding, num_matches=1, where=parse_filter(where))
    if not matches:
        which = f"no clip with {where}" if where else "no clips"
        raise MediaError(f"{index.location} holds {which}; widen the filter, or add to the library")
    return read_clip(index, matches[0].clip, sample_rate)


def clip_by_key(index: VectorIndex, key: str, sample_rate: int) -> AmbientClip:
    """Return one clip of a library; raises MediaError when the library or its files do not hold it any more."""
    return read_clip(index, _find(index, key), sample_rate)


def read_clip(index: VectorIndex, clip: LibraryClip, sample_rate: int) -> AmbientClip:
    """Return the sound of a clip, mono at `sample_rate`, from the index or from the file it was cut from."""
    stored = index.read_audio(clip.key)
    if stored is None:
        path = source_path(index.location, clip)
        if not path.is_file():
            raise MediaError(f'clip "{clip.key}" of {index.location} is no longer at {path}')
        waveform, _ = read_waveform(path, sample_rate=sample_rate, start=clip.start, seconds=clip.seconds, mono=True)
    else:
        samples, rate = soundfile.read(io.BytesIO(stored), dtype="float32", always_2d=True)
        waveform = resample(samples.T.mean(0, keepdims=True), rate, sample_rate)
    return AmbientClip(name=clip.key, waveform=waveform)


def clip_sha256(location: str, key: str) -> str:
    """Return the SHA-256 of a clip's stored sound, or of the file that it is cut from."""
    index = open_index(location)
    clip = _find(index, key)
    stored = index.read_audio(key)
    index.close()
    if stored is not None:
        return hashlib.sha256(stored).hexdigest()
    path = source_path(location, clip)
    if not path.is_file():
        raise MediaError(f'clip "{key}" of {location} is no longer at {path}')
    return hash_file(path)


def source_path(location: str, clip: LibraryClip) -> Path:
    """Return the file that a clip was cut from; its name is as seen from the folder of the index."""
    return Path(clip.source) if "://" in location else Path(location).parent / clip.source


def _find(index: VectorIndex, key: str) -> LibraryClip:
    clip = index.find(key)
    if clip is None:
        raise MediaError(f'{index.location} holds no clip "{key}"')
    return clip
