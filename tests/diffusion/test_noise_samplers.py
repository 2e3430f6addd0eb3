"""Samplers of noise models keep their order of accuracy; schedules keep their sums."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from foleykit.core.errors import ConfigError
from foleykit.diffusion.noise_samplers import ContinuousTimes, ddim, ddim_steps, dpm_solver_2m, sample_noise_model
from foleykit.diffusion.noise_schedule import NoiseSchedule, sqrt_linear_schedule

SCHEDULE = sqrt_linear_schedule()
TIMES = ContinuousTimes(schedule=SCHEDULE)
DEVIATION = 0.5
"""Of Gaussian data, whose noise a network could know exactly."""


def spread(t: float) -> float:
    """Return the deviation of the noised data at `t`; exact trajectories are proportional to it."""
    return math.hypot(TIMES.alpha(t) * DEVIATION, TIMES.sigma(t))


def exact_noise(x: Tensor, time: float) -> Tensor:
    t = (time + 1) / SCHEDULE.num_steps
    return x * TIMES.sigma(t) / spread(t) ** 2


@pytest.mark.parametrize(("sampler", "order"), [("dpm-solver++", 2), ("ddim", 1)])
def test_doubling_the_steps_divides_the_error_by_two_to_the_order(sampler: str, order: int) -> None:
    start = torch.ones(1, 1, 1, 1, dtype=torch.float64)

    def error(num_steps: int) -> float:
        if sampler == "ddim":
            first, last = ddim_steps(SCHEDULE, num_steps)[0] + 1, 1
            exact = spread(last / SCHEDULE.num_steps) / spread(first / SCHEDULE.num_steps)
            return abs(ddim(exact_noise, start, SCHEDULE, num_steps).item() - exact)
        exact = spread(1 / SCHEDULE.num_steps) / spread(1.0)
        return abs(dpm_solver_2m(exact_noise, start, SCHEDULE, num_steps).item() - exact)

    # Steps even in time are coarse where the noise runs out, so the second order shows only when there are many.
    counts = (50, 100) if sampler == "ddim" else (400, 800)
    assert error(counts[0]) / error(counts[1]) == pytest.approx(2**order, rel=0.15)


@pytest.mark.parametrize("sampler", ["dpm-solver++", "ddim"])
def test_a_network_that_knows_the_data_leads_to_it(sampler: str) -> None:
    torch.manual_seed(0)
    data = torch.randn(2, 4, 3, 5, dtype=torch.float64)

    def epsilon(x: Tensor, time: float) -> Tensor:
        t = (time + 1) / SCHEDULE.num_steps
        return (x - TIMES.alpha(t) * data) / TIMES.sigma(t)

    steps: list[int] = []
    made = sample_noise_model(
        epsilon,
        torch.randn_like(data),
        SCHEDULE,
        10,
        sampler=sampler,  # type: ignore[arg-type]
        on_step=steps.append,
    )
    # What is left is the noise of the first training step, 3 % of a unit.
    assert (made - data).abs().max() < 0.15
    assert steps == list(range(1, len(steps) + 1))


def test_amplitudes_are_those_of_the_schedule_at_its_steps() -> None:
    for step in (0, 1, 499, 999):
        t = (step + 1) / SCHEDULE.num_steps
        kept = float(SCHEDULE.alphas_cumprod[step])
        assert TIMES.alpha(t) ** 2 == pytest.approx(kept, rel=1e-9)
        assert TIMES.sigma(t) ** 2 == pytest.approx(1 - kept, rel=1e-9)
        assert TIMES.training_time(t) == pytest.approx(step, abs=1e-9)


@given(st.integers(0, 999))
def test_the_data_is_found_again_from_its_noised_state(step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    data, noise = (torch.randn(1, 2, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    steps = torch.tensor([step])
    x = SCHEDULE.add_noise(data, noise, steps)
    torch.testing.assert_close(SCHEDULE.data_from_noise(x, noise, steps), data)


def test_impossible_schedules_and_step_counts_are_refused() -> None:
    noise = torch.randn(1, 1, 1, 1)
    with pytest.raises(ConfigError, match="at least 2 steps"):
        dpm_solver_2m(exact_noise, noise, SCHEDULE, 1)
    for count in (0, 1000):
        with pytest.raises(ConfigError, match="DDIM takes"):
            ddim(exact_noise, noise, SCHEDULE, count)
    with pytest.raises(ConfigError, match="betas"):
        NoiseSchedule(betas=torch.tensor([0.0, 0.1]))
