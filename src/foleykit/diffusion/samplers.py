"""Samplers walk a schedule of times with a velocity function; guidance and conditioning are already inside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, assert_never

from torch import Tensor

from foleykit.diffusion.held import Held

VelocityFn = Callable[[Tensor, float], Tensor]
SamplerName = Literal["euler", "heun", "midpoint"]


def euler_step(velocity: VelocityFn, x: Tensor, t: float, t_next: float) -> Tensor:
    """Advance `x` (B, D, L) from `t` to `t_next` by Euler's rule: one call, first order."""
    return x + (t_next - t) * velocity(x, t)


def heun_step(velocity: VelocityFn, x: Tensor, t: float, t_next: float) -> Tensor:
    """Advance `x` (B, D, L) by Heun's rule: two calls, second order (Karras et al. 2022, Algorithm 2 without churn)."""
    dt = t_next - t
    first = velocity(x, t)
    return x + dt * (first + velocity(x + dt * first, t_next)) / 2


def midpoint_step(velocity: VelocityFn, x: Tensor, t: float, t_next: float) -> Tensor:
    """Advance `x` (B, D, L) by the velocity half way: two calls, second order."""
    middle = (t + t_next) / 2
    return x + (t_next - t) * velocity(euler_step(velocity, x, t, middle), middle)


def sample(
    velocity: VelocityFn,
    noise: Tensor,
    schedule: Sequence[float],
    *,
    sampler: SamplerName = "euler",
    held: Held | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Return latents (B, D, L) by walking `noise` down `schedule`; `on_step` hears how many steps are done.

    What is `held` follows the straight path from its noise to its data, whatever the velocity says.
    """
    match sampler:
        case "euler":
            step = euler_step
        case "heun":
            step = heun_step
        case "midpoint":
            step = midpoint_step
        case _:
            assert_never(sampler)
    x = noise
    for index, (t, t_next) in enumerate(pairwise(schedule)):
        x = step(velocity, x, t, t_next)
        if held is not None:
            x = held.put(x, 1 - t_next, t_next)
        if on_step is not None:
            on_step(index + 1)
    return x
