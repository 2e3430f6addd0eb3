"""Samplers keep their order of accuracy; guidance and windows are neutral where they should be."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foleykit.core.errors import ConfigError
from foleykit.diffusion.flow import denoised, interpolate, shifted_schedule, velocity_target
from foleykit.diffusion.guidance import guide
from foleykit.diffusion.samplers import SamplerName, sample
from foleykit.diffusion.windows import cut, merge, plan_windows


def decay_error(sampler: SamplerName, num_steps: int) -> float:
    """Return the error at t = 0 of dx/dt = x walked from x(1) = e."""
    start = torch.full((1, 1, 1), math.e, dtype=torch.float64)
    end = sample(lambda x, t: x, start, shifted_schedule(num_steps), sampler=sampler)
    return abs(end.item() - 1)


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2), ("midpoint", 2)])
def test_halving_the_step_divides_the_error_by_two_to_the_order(sampler: SamplerName, order: int) -> None:
    assert decay_error(sampler, 128) / decay_error(sampler, 256) == pytest.approx(2**order, rel=0.03)


def test_the_true_velocity_leads_from_noise_to_data_in_one_step() -> None:
    data, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    walked = sample(lambda x, t: velocity_target(data, noise), noise, [1.0, 0.0])
    torch.testing.assert_close(walked, data)


def test_denoised_recovers_the_data_anywhere_on_the_path() -> None:
    data, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    x = interpolate(data, noise, torch.tensor([0.7, 0.7]))
    torch.testing.assert_close(denoised(x, velocity_target(data, noise), 0.7), data)


def test_guidance_of_one_is_the_conditional_and_of_zero_the_unconditional() -> None:
    conditional, unconditional = torch.randn(3), torch.randn(3)
    torch.testing.assert_close(guide(conditional, unconditional, 1.0), conditional)
    torch.testing.assert_close(guide(conditional, unconditional, 0.0), unconditional)


@given(num_steps=st.integers(1, 60), shift=st.floats(0.3, 5.0))
def test_a_schedule_falls_from_one_to_zero(num_steps: int, shift: float) -> None:
    times = shifted_schedule(num_steps, shift=shift)
    assert times[0] == 1 and times[-1] == 0 and len(times) == num_steps + 1
    assert all(late > early for late, early in pairwise(times))


@given(length=st.integers(1, 400), window=st.integers(2, 80), data=st.data())
def test_windows_cover_every_position_and_merging_their_cuts_gives_the_signal_back(
    length: int, window: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    preferred = data.draw(st.lists(st.integers(0, 400), max_size=4))
    plan = plan_windows(length, window, overlap, preferred=preferred)
    signal = torch.randn(3, length)
    torch.testing.assert_close(merge(cut(signal, plan), plan), signal)
    assert all(late - early <= window - overlap for early, late in pairwise(plan.starts))


def test_a_window_starts_at_a_shot_change_within_reach() -> None:
    assert 55 in plan_windows(200, 75, 15, preferred=[55]).starts


def test_overlap_must_be_smaller_than_the_window() -> None:
    with pytest.raises(ConfigError, match="smaller than the window"):
        plan_windows(10, 5, 5)
