"""What a stage of a training uses unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class StageDefaults:
    num_steps: int
    batch_size: int
    """Clips of a step, in each process."""
    learning_rate: float
