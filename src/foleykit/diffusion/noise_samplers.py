"""Samplers for networks that predict the noise of a discrete schedule; guidance and conditioning are inside `epsilon`.

Times passed to the network count training steps and may be fractional.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, assert_never

import torch
from torch import Tensor

from foleykit.core.errors import ConfigError
from foleykit.diffusion.held import Held
from foleykit.diffusion.noise_schedule import NoiseSchedule

EpsilonFn = Callable[[Tensor, float], Tensor]
"""The noise (B, ...) in a state (B, ...) at a time in training steps, 0 to N - 1."""
NoiseSamplerName = Literal["dpm-solver++", "ddim"]

FEW_STEPS = 15
"""Below this many steps the last one of DPM-Solver++ is of first order, for stability."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ContinuousTimes:
    """A discrete schedule read at any t in [1/N, 1]: log alpha is interpolated linearly between steps."""

    schedule: NoiseSchedule

    @cached_property
    def _log_alphas(self) -> list[float]:
        return (0.5 * self.schedule.alphas_cumprod.log()).tolist()

    def log_alpha(self, t: float) -> float:
        """Return the logarithm of the data's amplitude at `t`."""
        num_steps = self.schedule.num_steps
        nodes = self._log_alphas
        position = min(max(t * num_steps - 1, 0.0), num_steps - 1.0)
        left = min(int(position), num_steps - 2)
        return nodes[left] + (position - left) * (nodes[left + 1] - nodes[left])

    def alpha(self, t: float) -> float:
        """Return the data's amplitude at `t`."""
        return math.exp(self.log_alpha(t))

    def sigma(self, t: float) -> float:
        """Return the noise's amplitude at `t`."""
        return math.sqrt(-math.expm1(2 * self.log_alpha(t)))

    def half_log_snr(self, t: float) -> float:
        """Return log alpha - log sigma at `t`, which falls as `t` grows."""
        return self.log_alpha(t) - math.log(self.sigma(t))

    def training_time(self, t: float) -> float:
        """Return `t` in training steps, 0 to N - 1, fractional."""
        return (t - 1 / self.schedule.num_steps) * self.schedule.num_steps

    def grid(self, num_steps: int) -> list[float]:
        """Return `num_steps + 1` even times from 1 down to 1/N."""
        return torch.linspace(1.0, 1 / self.schedule.num_steps, num_steps + 1, dtype=torch.float64).tolist()


def dpm_solver_2m(
    epsilon: EpsilonFn,
    noise: Tensor,
    schedule: NoiseSchedule,
    num_steps: int,
    *,
    held: Held | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Return data (B, ...) by DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2): `num_steps` calls, second order.

    The walk ends at the first training step, where almost no noise is left. Raises ConfigError below two steps.
    """
    if num_steps < 2:
        raise ConfigError(f"DPM-Solver++(2M) needs at least 2 steps, not {num_steps}")
    times = ContinuousTimes(schedule=schedule)
    x, previous, previous_width = noise, None, 0.0
    for index, (t, t_next) in enumerate(pairwise(times.grid(num_steps))):
        data = (x - times.sigma(t) * epsilon(x, times.training_time(t))) / times.alpha(t)
        width = times.half_log_snr(t_next) - times.half_log_snr(t)
        is_first_order = previous is None or (index == num_steps - 1 and num_steps < FEW_STEPS)
        direction = data
        if previous is not None and not is_first_order:
            direction = data + (data - previous) * (width / (2 * previous_width))
        x = times.sigma(t_next) / times.sigma(t) * x - times.alpha(t_next) * math.expm1(-width) * direction
        if held is not None:
            x = held.put(x, times.alpha(t_next), times.sigma(t_next))
        previous, previous_width = data, width
        if on_step is not None:
            on_step(index + 1)
    return x


def ddim_steps(schedule: NoiseSchedule, num_steps: int) -> list[int]:
    """Return the training steps that DDIM visits, falling to 1: every floor(N / num_steps)-th.

    A `num_steps` that does not divide N gives more steps than asked for. Raises ConfigError where there is no step.
    """
    if not 1 <= num_steps < schedule.num_steps:
        raise ConfigError(f"DDIM takes 1 to {schedule.num_steps - 1} steps, not {num_steps}")
    stride = schedule.num_steps // num_steps
    return [step + 1 for step in range(0, schedule.num_steps - 1, stride)][::-1]


def ddim(
    epsilon: EpsilonFn,
    noise: Tensor,
    schedule: NoiseSchedule,
    num_steps: int,
    *,
    held: Held | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Return data (B, ...) by deterministic DDIM (Song et al. 2021, eq. 12 with eta 0), first order.

    As in latent diffusion, the last step leaves the noise of training step 0.
    """
    kept = schedule.alphas_cumprod.tolist()
    steps = ddim_steps(schedule, num_steps)
    x = noise
    for index, (step, next_step) in enumerate(pairwise([*steps, 0])):
        predicted = epsilon(x, float(step))
        data = (x - math.sqrt(1 - kept[step]) * predicted) / math.sqrt(kept[step])
        x = math.sqrt(kept[next_step]) * data + math.sqrt(1 - kept[next_step]) * predicted
        if held is not None:
            x = held.put(x, math.sqrt(kept[next_step]), math.sqrt(1 - kept[next_step]))
        if on_step is not None:
            on_step(index + 1)
    return x


def sample_noise_model(
    epsilon: EpsilonFn,
    noise: Tensor,
    schedule: NoiseSchedule,
    num_steps: int,
    *,
    sampler: NoiseSamplerName = "dpm-solver++",
    held: Held | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Return data (B, ...) by walking `noise` (B, ...) down `schedule`; `on_step` hears how many steps are done.

    What is `held` is kept at the amplitudes of the schedule, whatever the network says; at the end as little noise is
    left in it as in the rest.
    """
    match sampler:
        case "dpm-solver++":
            return dpm_solver_2m(epsilon, noise, schedule, num_steps, held=held, on_step=on_step)
        case "ddim":
            return ddim(epsilon, noise, schedule, num_steps, held=held, on_step=on_step)
        case _:
            assert_never(sampler)
