"""Recordings that a soundtrack takes its ambience from, and a model folder's library of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.core.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class AmbientClip:
    """A recording that a generated soundtrack takes its ambience from."""

    name: str
    waveform: NDArray[np.float32]
    """(1, S) in [-1, 1] at the model's sample rate"""


def load_library(folder: Path, sample_rate: int) -> list[AmbientClip]:
    """Return the ambient clips that `folder`/library.json lists; an absent folder is an empty library."""
    index = folder / "library.json"
    if not index.is_file():
        return []
    clips = []
    for name in json.loads(index.read_text())["clips"]:
        samples, rate = soundfile.read(folder / f"{name}.flac", dtype="float32", always_2d=True)
        if rate != sample_rate:
            raise ModelError(f"ambient clip {name} is at {rate} Hz, the model at {sample_rate} Hz")
        clips.append(AmbientClip(name=name, waveform=samples.T.copy()))
    return clips


def quietest(library: tuple[AmbientClip, ...]) -> AmbientClip:
    """Return the clip of least power: it asks for action sound alone. Raises ModelError when there is none."""
    if not library:
        raise ModelError("this model has no ambient library, so it has no quiet clip; name a recording as the ambience")
    return min(library, key=lambda clip: float(np.square(clip.waveform).mean()))


def mirror_to(samples: Tensor, length: int) -> Tensor:
    """Return `samples` (S,) cut to `length`, or continued forwards and backwards until it is that long."""
    if samples.numel() >= length:
        start = (samples.numel() - length) // 2
        return samples[start : start + length]
    period = torch.cat((samples, samples.flip(0)))
    return period.repeat(-(-length // period.numel()))[:length]
