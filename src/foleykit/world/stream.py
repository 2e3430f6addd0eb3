"""Long videos one after another, simulated and voiced as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import get_args

import numpy as np

from foleykit.core.errors import ConfigError
from foleykit.world.config import WorldConfig
from foleykit.world.recordings import Recordings
from foleykit.world.types import LongVideo, Split, Take
from foleykit.world.voice import voice

SPLITS: tuple[Split, ...] = get_args(Split)


def voice_seed(seed: int, index: int, split: Split) -> int:
    """Return the seed that voices long video `index` of `split`; it says nothing about any other one."""
    return int(np.random.SeedSequence((seed, SPLITS.index(split), index)).generate_state(1, np.uint64)[0] >> 1)


def make_take(config: WorldConfig, *, seed: int, index: int, split: Split) -> Take:
    """Return the silent long video `index` of `split`.

    Raises ConfigError when MuJoCo or the system's GL library is missing.
    """
    from foleykit.world.simulate import simulate

    return simulate(config, seed=seed, index=index, split=split)


def make_long_video(
    config: WorldConfig,
    *,
    seed: int,
    index: int,
    split: Split,
    sample_rate: int = 16_000,
    recordings: Recordings | None = None,
    recording_share: float = 0.3,
) -> LongVideo:
    """Return long video `index` of `split` with its stems; equal arguments give equal pictures and samples."""
    take = make_take(config, seed=seed, index=index, split=split)
    stems = voice(
        take,
        sample_rate=sample_rate,
        seed=voice_seed(seed, index, split),
        recordings=recordings,
        recording_share=recording_share,
    )
    return LongVideo(seed=seed, index=index, take=take, stems=stems)


def stream_world(
    config: WorldConfig,
    *,
    seed: int,
    split: Split,
    worker: int = 0,
    num_workers: int = 1,
    num_videos: int | None = None,
    sample_rate: int = 16_000,
    recordings: Recordings | None = None,
    recording_share: float = 0.3,
) -> Iterator[LongVideo]:
    """Yield the long videos of one worker: every `num_workers`-th from `worker` on, below `num_videos` (None: no end).

    All workers together yield each index exactly once, and an index is the same video on whichever worker.
    """
    if not 0 <= worker < num_workers:
        raise ConfigError(f"worker must be 0 to {num_workers - 1}, got {worker}")
    indices = count(worker, num_workers) if num_videos is None else range(worker, num_videos, num_workers)
    for index in indices:
        yield make_long_video(
            config,
            seed=seed,
            index=index,
            split=split,
            sample_rate=sample_rate,
            recordings=recordings,
            recording_share=recording_share,
        )
