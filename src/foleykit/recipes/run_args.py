"""What every recipe of the world, and what those of prepared clips, are told besides what they train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from foleykit.recipes.world_data import WorldDataArgs


@dataclass(frozen=True, kw_only=True)
class RunArgs:
    """One run; where a number is None the recipe has its own."""

    data: WorldDataArgs
    """Long videos and recordings to train on; missing videos are rendered into the cache first."""
    output: Path
    """Run folder: checkpoints, logs and weights; of several stages each has a folder in it that later ones read."""
    num_steps: int | None = None
    batch_size: int | None = None
    """Clips per step and process."""
    learning_rate: float | None = None
    """Peak rate."""
    seed: int = 0
    """Draws weights, batches and noise."""
    device: str = "cpu"
    resume: bool = True
    """Go on from the last checkpoint where there is one."""
    checkpoint_every: int = 200
    """Steps between checkpoints, and between validations."""


@dataclass(frozen=True, kw_only=True)
class ShardRunArgs:
    """One run that trains the one part which a model still lacks."""

    parts: Path
    """Model folder without that part, such as the recipe's `assemble` makes; it is completed."""
    shards: Path
    """Prepared clips to train on."""
    held_out: Path
    """Prepared clips to validate on."""
    output: Path
    """Run folder: checkpoints, log, weights."""
    device: str = "cpu"
    resume: bool = True
    """Go on from the last checkpoint where there is one."""
