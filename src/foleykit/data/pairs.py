"""Training examples out of shards: a clip and the sound of another moment of its video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError
from foleykit.data.manifest import ClipRecord, ManifestSplit
from foleykit.data.neighbours import AmbientChoice, AmbientCondition, plan_ambient
from foleykit.data.shards import ClipShards


@dataclass(frozen=True, kw_only=True)
class ClipPair:
    """One training example."""

    record: ClipRecord
    frames: NDArray[np.uint8]
    """(T, H, W, 3)"""
    waveform: NDArray[np.float32]
    """(S,) mono"""
    ambient: NDArray[np.float32] | None
    """(S,) another moment's sound; None when this step has no condition, or when the condition is zeros."""
    choice: AmbientChoice
    """Where the condition comes from."""


class ClipPairs(Sequence[ClipPair]):
    """The usable clips of one split of a prepared folder.

    `ambient` has no default: training with and without the condition are both spelled out. What is drawn for a clip
    depends on (seed, epoch, clip) alone, so that any number of workers and a resumed run see the same examples.
    """

    def __init__(
        self,
        shards: ClipShards,
        ambient: AmbientCondition,
        *,
        split: ManifestSplit = "train",
        num_frames: int = 16,
        seed: int = 0,
    ) -> None:
        """Choose neighbours within `split`; raises InputError when no clip of it can be used."""
        self.shards = shards
        self.num_frames = num_frames
        self.seed = seed
        self.epoch = 0
        self._positions = [index for index, clip in enumerate(shards) if clip.record.split == split]
        if not self._positions:
            raise InputError(f"{shards.folder} holds no clip of the split {split}")
        levels = [shards[index].level_db for index in self._positions]
        self.plan = plan_ambient([shards[index].record for index in self._positions], ambient, levels)

    def __len__(self) -> int:
        """Return the number of usable clips; `plan.num_without` says how many have no neighbour of their own."""
        return len(self.plan.usable)

    def __getitem__(self, index: int) -> ClipPair:  # type: ignore[override]
        """Return example `index` of the current `epoch`; raises MediaError when it does not decode."""
        row = self.plan.usable[index]
        position = self._positions[row]
        choice = self.plan.draw(row, np.random.default_rng((self.seed, self.epoch, row)))
        waveform, _ = self.shards.waveform(position)
        ambient = None
        if choice.kind == "neighbour":
            assert choice.index is not None
            ambient, _ = self.shards.waveform(self._positions[choice.index])
        return ClipPair(
            record=self.shards[position].record,
            frames=self.shards.frames(position, self.num_frames),
            waveform=waveform,
            ambient=ambient,
            choice=choice,
        )
