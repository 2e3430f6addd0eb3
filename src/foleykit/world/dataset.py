"""The world as a torch dataset; everything else in `world` is free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torch.utils.data import IterableDataset, get_worker_info

from foleykit.core.errors import ConfigError
from foleykit.world.config import WorldConfig
from foleykit.world.recordings import Recordings
from foleykit.world.stream import stream_world
from foleykit.world.types import LongVideo, Split


class WorldStream(IterableDataset[LongVideo]):
    """Long videos for a DataLoader with `batch_size=None`: its workers and all ranks share the indices among them."""

    def __init__(
        self,
        config: WorldConfig,
        *,
        seed: int,
        split: Split,
        num_videos: int | None = None,
        sample_rate: int = 16_000,
        recordings: Path | None = None,
        recording_share: float = 0.3,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """`num_videos` None never ends; `recordings` is a folder that `Recordings.load` reads in each worker."""
        super().__init__()
        if not 0 <= rank < world_size:
            raise ConfigError(f"rank must be 0 to {world_size - 1}, got {rank}")
        self.config = config
        self.seed = seed
        self.split = split
        self.num_videos = num_videos
        self.sample_rate = sample_rate
        self.recordings = recordings
        self.recording_share = recording_share
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[LongVideo]:
        info = get_worker_info()
        worker, num_workers = (0, 1) if info is None else (info.id, info.num_workers)
        return stream_world(
            self.config,
            seed=self.seed,
            split=self.split,
            worker=self.rank * num_workers + worker,
            num_workers=self.world_size * num_workers,
            num_videos=self.num_videos,
            sample_rate=self.sample_rate,
            recordings=None if self.recordings is None else Recordings.load(self.recordings),
            recording_share=self.recording_share,
        )
