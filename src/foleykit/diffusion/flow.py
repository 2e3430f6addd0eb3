"""Rectified flow between data (t = 0) and Gaussian noise (t = 1): Liu et al. 2022; Lipman et al. 2022."""

from __future__ import annotations

import torch
from torch import Tensor


def interpolate(data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Return the point at `t` (B,) of the straight path from `data` to `noise`, both (B, D, L)."""
    t = t.view(-1, *(1,) * (data.ndim - 1))
    return (1 - t) * data + t * noise


def velocity_target(data: Tensor, noise: Tensor) -> Tensor:
    """Return the velocity dx/dt of the straight path, constant in t."""
    return noise - data


def denoised(x: Tensor, velocity: Tensor, t: float) -> Tensor:
    """Return the data estimate (B, D, L) that `velocity` implies at `x` and time `t`."""
    return x - t * velocity


def logit_normal_times(batch: int, generator: torch.Generator, *, mean: float = 0.0, deviation: float = 1.0) -> Tensor:
    """Draw training times (B,) in (0, 1), densest in the middle: Esser et al. 2024, eq. 19."""
    return torch.sigmoid(mean + deviation * torch.randn(batch, generator=generator))


def shifted_schedule(num_steps: int, *, shift: float = 1.0) -> list[float]:
    """Return `num_steps + 1` times from 1 to 0; `shift` above 1 dwells near noise (Esser et al. 2024, eq. 23)."""
    ramp = [1 - step / num_steps for step in range(num_steps + 1)]
    return [t / (t + (1 - t) / shift) for t in ramp]
