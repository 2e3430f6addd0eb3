"""The library of ambient clips that ships with a model: backgrounds of every kind that the world knows, and silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from foleykit.audio.files import write_waveform
from foleykit.world.ambience import ambience
from foleykit.world.types import AMBIENCE_KINDS, AmbienceKind, Place

QUIET_LEVEL_DB = -75.0
"""RMS of the quiet clip in dBFS: the level of the world's quietest places, so that training has seen it."""
LEVEL_DB = -38.0
"""RMS of all other clips in dBFS: a background that is heard and does not cover an action."""
CLIP_BITS = 13
"""Resolution of all other clips; its noise lies 45 dB under them and FLAC stores it in a third of the size."""


def write_library(folder: Path, *, sample_rate: int, seconds: float, seed: int = 0) -> list[str]:
    """Write the library as FLAC with its index and return the clip names; the world's own synthesis, no recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    num_samples = round(seconds * sample_rate)
    names: list[str] = []
    for index, kind in enumerate(AMBIENCE_KINDS):
        quiet = kind == "silence"
        place = library_place(kind, seed, QUIET_LEVEL_DB if quiet else LEVEL_DB)
        rng = np.random.default_rng((seed, index))
        samples = ambience(place, num_samples=num_samples, sample_rate=sample_rate, rng=rng)
        scale = 2.0 ** (15 if quiet else CLIP_BITS - 1)
        name = "quiet" if quiet else kind
        stored = (samples[None] * scale).round() / scale
        write_waveform(folder / f"{name}.flac", stored.astype(np.float32), sample_rate)
        names.append(name)
    (folder / "library.json").write_text(json.dumps({"clips": names}, indent=2) + "\n")
    return names


def library_place(kind: AmbienceKind, seed: int, level_db: float) -> Place:
    """Return an unseen place with one background."""
    layers: tuple[AmbienceKind, ...] = ("room",) if kind == "silence" else (kind,)
    return Place(
        name=f"a place with {kind}", seed=900_000 + seed, split="test", ambience=layers, ambient_level_db=level_db
    )
