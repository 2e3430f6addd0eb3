"""Variance-preserving diffusion in discrete steps (Ho et al. 2020), as latent diffusion models were trained with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from foleykit.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseSchedule:
    """How much noise each training step adds; everything else follows. All tensors are (N,) float64 on the CPU."""

    betas: Tensor
    """Variance added by step n, in (0, 1)."""

    def __post_init__(self) -> None:
        if self.betas.ndim != 1 or not bool(((self.betas > 0) & (self.betas < 1)).all()):
            raise ConfigError("betas must be a row of numbers between 0 and 1")

    @property
    def num_steps(self) -> int:
        return len(self.betas)

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        """Share of the data's variance that is left after each step."""
        return (1 - self.betas).cumprod(0)

    @cached_property
    def alphas_cumprod_prev(self) -> Tensor:
        """Share left before each step; 1 before the first."""
        return torch.cat((self.betas.new_ones(1), self.alphas_cumprod[:-1]))

    @cached_property
    def posterior_variance(self) -> Tensor:
        """Variance of x_(n-1) given x_n and the data: Ho et al. 2020, eq. 7."""
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance(self) -> Tensor:
        """Natural logarithm of the above; the zero of the first step is floored."""
        return self.posterior_variance.clamp(min=1e-20).log()

    @cached_property
    def posterior_data_weight(self) -> Tensor:
        """Weight of the data in the posterior mean."""
        return self.betas * self.alphas_cumprod_prev.sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_state_weight(self) -> Tensor:
        """Weight of x_n in the posterior mean."""
        return (1 - self.alphas_cumprod_prev) * (1 - self.betas).sqrt() / (1 - self.alphas_cumprod)

    @cached_property
    def bound_weights(self) -> Tensor:
        """Weight of each step's noise error in the variational bound; the first, infinite, is that of the second."""
        weights = self.betas.square() / (
            2 * self.posterior_variance * (1 - self.betas) * (1 - self.alphas_cumprod)
        ).clamp(min=1e-300)
        weights[0] = weights[1]
        return weights

    def add_noise(self, data: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """Return x_n (B, ...) of `data` and `noise` (B, ...) at `steps` (B,) int64 in [0, N)."""
        kept = self._at(self.alphas_cumprod, steps, data)
        return kept.sqrt() * data + (1 - kept).sqrt() * noise

    def data_from_noise(self, x: Tensor, epsilon: Tensor, steps: Tensor) -> Tensor:
        """Return the data (B, ...) that `x` at `steps` (B,) holds under the noise `epsilon`."""
        kept = self._at(self.alphas_cumprod, steps, x)
        return (1 / kept).sqrt() * x - (1 / kept - 1).sqrt() * epsilon

    def posterior_mean(self, data: Tensor, x: Tensor, steps: Tensor) -> Tensor:
        """Return the mean (B, ...) of x_(n-1) given `data` and `x` at `steps` (B,)."""
        return (
            self._at(self.posterior_data_weight, steps, x) * data + self._at(self.posterior_state_weight, steps, x) * x
        )

    def _at(self, values: Tensor, steps: Tensor, like: Tensor) -> Tensor:
        chosen = values[steps.cpu()].to(like.device, like.dtype)
        return chosen.view(-1, *(1,) * (like.ndim - 1))


def sqrt_linear_schedule(num_steps: int = 1000, *, first: float = 0.00085, last: float = 0.012) -> NoiseSchedule:
    """Return the schedule whose betas have linearly spaced roots; the defaults are those of Stable Diffusion v1."""
    return NoiseSchedule(betas=torch.linspace(first**0.5, last**0.5, num_steps, dtype=torch.float64).square())
