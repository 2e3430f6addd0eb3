"""A run's resumable state: all networks and optimizers of one step, replaced as a whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from foleykit.core.checkpoint import (
    flat_optimizer_state,
    load_tensors,
    load_weights,
    restore_optimizer_state,
    save_tensors,
    save_weights,
)


def save_checkpoint(
    folder: Path, step: int, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> None:
    """Replace the checkpoint as a whole: the new one is complete under another name before the old one goes.

    Every module and optimizer becomes one file of its name.
    """
    fresh = folder.with_name(f".checkpoint.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, module in modules.items():
        save_weights(module, fresh / f"{name}.safetensors")
    for name, optimizer in optimizers.items():
        save_tensors(flat_optimizer_state(optimizer), fresh / f"{name}.safetensors")
    (fresh / "state.json").write_text(json.dumps({"step": step}))
    retired = folder.with_name("checkpoint.previous")
    shutil.rmtree(retired, ignore_errors=True)
    if folder.exists():
        folder.rename(retired)
    fresh.rename(folder)


def restore_checkpoint(
    folder: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> int:
    """Load the newest whole checkpoint and return its step, 0 when there is none."""
    previous = folder.with_name("checkpoint.previous")
    found = next((place for place in (folder, previous) if (place / "state.json").is_file()), None)
    if found is None:
        return 0
    for name, module in modules.items():
        load_weights(module, found / f"{name}.safetensors")
    for name, optimizer in optimizers.items():
        restore_optimizer_state(optimizer, load_tensors(found / f"{name}.safetensors"))
    return int(json.loads((found / "state.json").read_text())["step"])


@torch.no_grad()
def average_(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the parameters of `averaged` to those of `model` by 1 - `decay`; buffers are copied."""
    for kept, fresh in zip(averaged.parameters(), model.parameters(), strict=True):
        kept.lerp_(fresh, 1 - decay)
    for held, current in zip(averaged.buffers(), model.buffers(), strict=True):
        held.copy_(current)
