"""One training loop for every objective: warm-up, decay, EMA, checkpoints, resume, fixed validation.

Under torchrun every process takes its own batch of each step and gradients are averaged; the first one logs and saves.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar, assert_never

import torch
from torch import nn

from foleykit.core.checkpoint import save_weights, with_weights
from foleykit.core.errors import ConfigError
from foleykit.core.types import BatchSource, Objective
from foleykit.training.checkpoints import average_, restore_checkpoint, save_checkpoint
from foleykit.training.logging import RunLog
from foleykit.training.processes import Processes, join_processes

Batch = TypeVar("Batch")
CHECKPOINT = "checkpoint"
Schedule = Literal["linear_tail", "cosine", "inverse_sqrt"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    num_steps: int
    """Optimizer steps of the whole run."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW."""
    warmup_steps: int = 100
    decay_fraction: float = 0.3
    """Share of the steps, at the end, over which "linear_tail" falls to zero."""
    schedule: Schedule = "linear_tail"
    """How the rate falls after the warm-up: only near the end; along half a cosine; with the root of the steps."""
    weight_decay: float = 0.01
    second_beta: float = 0.99
    """Decay of AdamW's average of squared gradients."""
    max_gradient_norm: float = 1.0
    bf16: bool = False
    """Compute in bfloat16 what torch.autocast deems safe; weights and their averages stay fp32."""
    ema_decay: float = 0.998
    """Of the exponential moving average of weights that is validated and saved."""
    checkpoint_every: int = 200
    """Steps between resumable checkpoints."""
    validate_every: int = 200
    """Steps between validations of the averaged weights."""
    seed: int = 0
    """Draws initial noise of every step together with the step's number."""

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.learning_rate <= 0:
            raise ConfigError(
                f"a run needs steps and a positive learning rate, not {self.num_steps}, {self.learning_rate}"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay {self.ema_decay} must be in [0, 1)")

    def learning_rate_at(self, step: int) -> float:
        """Return the rate of `step`, counted from 0: linear warm-up, then as `schedule` says."""
        warmup = max(1, self.warmup_steps)
        warm = min(1.0, (step + 1) / warmup)
        match self.schedule:
            case "linear_tail":  # Hu et al. 2024, sec. 4
                decay_steps = max(1, round(self.decay_fraction * self.num_steps))
                return self.learning_rate * min(warm, (self.num_steps - step) / decay_steps, 1.0)
            case "cosine":
                share = max(0.0, step + 1 - warmup) / max(1, self.num_steps - warmup)
                return self.learning_rate * min(warm, 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
            case "inverse_sqrt":
                return self.learning_rate * min(warm, math.sqrt(warmup / (step + 1)))
            case _:
                assert_never(self.schedule)


def write_settings(
    folder: Path, training: TrainingConfig, batch_size: int, further: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Make `folder`, write to settings.json what a run in it is told and by which torch it is run, and return that."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"batch_size": batch_size, **(further or {}), "training": asdict(training), "torch": torch.__version__}
    (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
    return settings


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the CPU generator of one step, so that step k draws the same noise in a resumed run."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


@dataclass(frozen=True, kw_only=True)
class BaseRun(Generic[Batch]):
    """What every training run states, whatever it descends."""

    batches: BatchSource[Batch]
    """Called ahead of time from one background thread."""
    config: TrainingConfig
    output: Path
    """Receives model.safetensors (averaged weights), checkpoint/, log.jsonl and TensorBoard events."""
    device: str = "cpu"
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None
    """Maps the averaged model to fixed metrics."""
    on_step: Callable[[int, float], None] | None = None
    """Hears the number of finished steps and the smoothed loss."""


@dataclass(frozen=True, kw_only=True)
class Run(BaseRun[Batch]):
    """A training run with one objective."""

    objective: Objective[Batch]


def fit(run: Run[Batch], *, resume: bool = True) -> nn.Module:
    """Train to `config.num_steps`, continuing from the last checkpoint, and return the model with averaged weights.

    Raises ConfigError when several processes were asked for and did not come together.
    """
    model, config = run.objective.model, run.config
    processes = join_processes(run.device)
    averaged = copy.deepcopy(model).eval().requires_grad_(False)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=(0.9, config.second_beta), weight_decay=config.weight_decay
    )
    modules, optimizers = {"model": model, "averaged": averaged}, {"optimizer": optimizer}
    first = restore_checkpoint(run.output / CHECKPOINT, modules, optimizers) if resume else 0
    processes.wait()
    objective = processes.share(run.objective) if isinstance(run.objective, nn.Module) else run.objective

    def advance(batch: Batch, step: int, generator: torch.Generator) -> dict[str, float]:
        rate = config.learning_rate_at(step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(torch.device(run.device).type, torch.bfloat16, enabled=config.bf16):
            losses = objective(batch, generator)
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        norm = nn.utils.clip_grad_norm_(parameters, config.max_gradient_norm)
        optimizer.step()
        values = {"loss": losses.total.item(), "rate": rate, "gradient_norm": norm.item()}
        return values | {name: part.item() for name, part in losses.parts.items()}

    return take_steps(run, advance, first=first, modules=modules, optimizers=optimizers, processes=processes)


def take_steps(
    run: BaseRun[Batch],
    advance: Callable[[Batch, int, torch.Generator], Mapping[str, float]],
    *,
    first: int,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    processes: Processes,
    watched: str = "loss",
) -> nn.Module:
    """Call `advance` for every step from `first` on, between drawing batches and logging, averaging and saving.

    `advance` takes one step down, given this process's batch, the step and its noise, and returns what to log; the
    value named `watched` is what `on_step` hears. `modules` holds "model", "averaged" and what else a checkpoint keeps.
    Returns "averaged" with the weights that were saved.
    """
    config, averaged = run.config, modules["averaged"]

    def draw(step: int) -> int:
        """Return the number of this process's batch and noise in `step`."""
        return step * processes.count + processes.rank

    started = time.monotonic()
    with ExitStack() as stack:
        ahead = stack.enter_context(ThreadPoolExecutor(1))
        log = stack.enter_context(RunLog(run.output, first_step=first)) if processes.is_main else None
        smoothed = math.nan
        pending = ahead.submit(run.batches, draw(first))
        for step in range(first, config.num_steps):
            batch = pending.result()
            if step + 1 < config.num_steps:
                pending = ahead.submit(run.batches, draw(step + 1))
            values = advance(batch, step, step_generator(config.seed, draw(step)))
            if log is None:
                continue
            done = step + 1
            average_(averaged, modules["model"], min(config.ema_decay, done / (done + 9)))
            smoothed = values[watched] if math.isnan(smoothed) else 0.98 * smoothed + 0.02 * values[watched]
            log.scalars(done, values)
            if run.validate is not None and (done % config.validate_every == 0 or done == config.num_steps):
                log.scalars(done, {f"valid/{key}": value for key, value in run.validate(averaged).items()})
            if done % config.checkpoint_every == 0 or done == config.num_steps:
                save_checkpoint(run.output / CHECKPOINT, done, modules, optimizers)
            if run.on_step is not None:
                run.on_step(done, smoothed)
        if log is not None:
            log.event("finished", {"seconds": time.monotonic() - started, "first_step": first})
            save_weights(averaged, run.output / "model.safetensors")
    processes.wait()
    return with_weights(averaged, run.output / "model.safetensors")
