"""A training loop with two optimizers: a generator, and a discriminator that it learns to deceive.

It keeps the laws of `fit`: a batch is a function of the step, the generator is averaged, a killed run goes on with the
same losses, and under torchrun every process takes its own batch of each step while gradients are averaged.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn

from foleykit.core.errors import ConfigError
from foleykit.core.types import Losses
from foleykit.training.checkpoints import restore_checkpoint
from foleykit.training.loop import CHECKPOINT, BaseRun, TrainingConfig, take_steps
from foleykit.training.processes import Processes, join_processes

Batch = TypeVar("Batch")
Batch_contra = TypeVar("Batch_contra", contravariant=True)


class Detachable(Protocol):
    """What a generator makes: a tensor, or several that belong together."""

    def detach(self) -> Self:
        """Return the same without a gradient."""


Made = TypeVar("Made", bound=Detachable)


class AdversarialObjective(Protocol, Generic[Batch_contra, Made]):
    """A batch to what is generated of it, and to the losses of both sides."""

    @property
    def generator(self) -> nn.Module:
        """Exactly the weights that are trained, averaged and saved."""

    @property
    def discriminator(self) -> nn.Module:
        """What judges, and is kept for resuming only."""

    def generate(self, batch: Batch_contra, generator: torch.Generator) -> Made:
        """Return what the generator makes of the batch."""

    def judging_losses(self, batch: Batch_contra, generated: Made) -> Losses:
        """Return what the discriminator descends; `generated` carries no gradient."""

    def reconstruction_losses(self, batch: Batch_contra, generated: Made) -> Losses:
        """Return what the generator descends in every step."""

    def deceiving_losses(self, batch: Batch_contra, generated: Made) -> Losses:
        """Return what the generator descends besides, once there is an adversary."""


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(TrainingConfig):
    """Both sides share rates and schedule; the defaults are those of HiFi-GAN (Kong et al. 2020, section 3)."""

    learning_rate: float = 2e-4
    max_gradient_norm: float = 1e3
    """Far above an ordinary step's: it stops only one that would undo the run."""
    first_beta: float = 0.8
    """Momentum of both optimizers; low, since what is descended moves."""
    adversarial_start: int = 0
    """Steps in which the generator reconstructs alone; without a discriminator a step costs far less."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.first_beta < 1 or self.adversarial_start < 0:
            raise ConfigError(
                f"first_beta must be in [0, 1) and adversarial_start 0 or more, not {self.first_beta} and "
                f"{self.adversarial_start}"
            )


@dataclass(frozen=True, kw_only=True)
class AdversarialRun(BaseRun[Batch]):
    """An adversarial run; the generator is what is averaged, validated and saved."""

    objective: AdversarialObjective[Batch, Any]
    config: AdversarialConfig


class Side:
    """One of the two: its weights, their optimizer, and a step down."""

    def __init__(self, module: nn.Module, config: AdversarialConfig, processes: Processes) -> None:
        self.module = module
        self.processes = processes
        self.max_gradient_norm = config.max_gradient_norm
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=config.learning_rate,
            betas=(config.first_beta, config.second_beta),
            weight_decay=config.weight_decay,
        )

    def descend(self, loss: Tensor, rate: float) -> float:
        """Take one step down `loss` at `rate` and return the norm of the gradient, the mean over processes."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        mean_(
            [parameter.grad for parameter in self.parameters if parameter.grad is not None],
            self.processes,
        )
        norm = nn.utils.clip_grad_norm_(self.parameters, self.max_gradient_norm)
        self.optimizer.step()
        return norm.item()


def fit_adversarial(run: AdversarialRun[Batch], *, resume: bool = True) -> nn.Module:
    """Train to `config.num_steps`, continuing from the last checkpoint, and return the averaged generator.

    Raises ConfigError when several processes were asked for and did not come together.
    """
    objective, config = run.objective, run.config
    processes = join_processes(run.device)
    averaged = copy.deepcopy(objective.generator).eval().requires_grad_(False)
    generating = Side(objective.generator, config, processes)
    judging = Side(objective.discriminator, config, processes)
    modules = {"model": generating.module, "averaged": averaged, "discriminator": judging.module}
    optimizers = {"optimizer": generating.optimizer, "discriminator_optimizer": judging.optimizer}
    first = restore_checkpoint(run.output / CHECKPOINT, modules, optimizers) if resume else 0
    processes.wait()
    for side in (generating, judging):
        as_first_(side.module, processes)
    # The generator's step runs through the discriminator, which it must not move.
    judging.module.requires_grad_(False)

    def advance(batch: Batch, step: int, generator: torch.Generator) -> dict[str, float]:
        """Take step `step` of both sides and return what is worth logging."""
        rate = config.learning_rate_at(step)
        generated = objective.generate(batch, generator)
        values = {"rate": rate}
        deceiving: Losses | None = None
        if step >= config.adversarial_start:
            for parameter in judging.parameters:
                parameter.requires_grad_(True)
            judged = objective.judging_losses(batch, generated.detach())
            values["discriminator_gradient_norm"] = judging.descend(judged.total, rate)
            judging.module.requires_grad_(False)
            values |= logged(judged)
            deceiving = objective.deceiving_losses(batch, generated)
            values |= logged(deceiving)
        losses = objective.reconstruction_losses(batch, generated)
        total = losses.total if deceiving is None else losses.total + deceiving.total
        values["gradient_norm"] = generating.descend(total, rate)
        return {"loss": total.item(), "reconstruction": losses.total.item()} | values | logged(losses)

    return take_steps(
        run,
        advance,
        first=first,
        modules=modules,
        optimizers=optimizers,
        processes=processes,
        watched="reconstruction",
    )


def logged(losses: Losses) -> dict[str, float]:
    return {name: part.item() for name, part in losses.parts.items()}


def mean_(tensors: Sequence[Tensor], processes: Processes) -> None:
    """Replace `tensors` by their mean over all processes, in one exchange."""
    if processes.count == 1:
        return
    from accelerate.utils import reduce

    mean: Tensor = reduce(torch.cat([tensor.flatten() for tensor in tensors]), "mean")
    for tensor, part in zip(tensors, mean.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def as_first_(module: nn.Module, processes: Processes) -> None:
    """Give `module` the first process's weights and buffers."""
    if processes.count == 1:
        return
    from accelerate.utils import broadcast

    for tensor in module.state_dict().values():
        tensor.copy_(broadcast(tensor.clone()))
