"""A part of a signal sampled anew: what is held stays, and what is free agrees with it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from foleykit.diffusion.flow import shifted_schedule
from foleykit.diffusion.held import Held
from foleykit.diffusion.noise_samplers import NoiseSamplerName, sample_noise_model
from foleykit.diffusion.noise_schedule import sqrt_linear_schedule
from foleykit.diffusion.samplers import SamplerName, sample
from foleykit.diffusion.windows import WindowPlan, cut, merge, part_of, plan_windows, touching


def twins(x: Tensor, t: float) -> Tensor:
    """Return the exact velocity where data are pairs (1, 2) of one and the same standard normal number."""
    value = (1 - t) * x.sum(dim=-1, keepdim=True) / (t**2 + 2 * (1 - t) ** 2)
    data = value.expand_as(x)
    return (x - (1 - t) * data) / max(t, 1e-6) - data


@pytest.mark.parametrize("sampler", ["euler", "heun", "midpoint"])
@pytest.mark.parametrize("known", [-2.0, 0.5, 2.0])
def test_what_is_free_follows_what_is_held(sampler: SamplerName, known: float) -> None:
    noise = torch.randn(1, 2)
    held = Held(data=torch.tensor([[known, 99.0]]), noise=noise, free=slice(1, 2))
    made = sample(twins, noise, shifted_schedule(512), sampler=sampler, held=held)
    assert made[0, 0] == known
    assert made[0, 1] == pytest.approx(known, abs=0.25)


def test_where_positions_know_nothing_of_each_other_holding_some_changes_no_other() -> None:
    noise, data = torch.randn(3, 10), torch.randn(3, 10)
    held = Held(data=data, noise=noise, free=slice(4, 7))

    def velocity(x: Tensor, t: float) -> Tensor:
        return x.tanh() - t

    alone = sample(velocity, noise, shifted_schedule(8))
    made = sample(velocity, noise, shifted_schedule(8), held=held)
    torch.testing.assert_close(made[:, 4:7], alone[:, 4:7])
    assert torch.equal(made[:, :4], data[:, :4]) and torch.equal(made[:, 7:], data[:, 7:])


@pytest.mark.parametrize("sampler", ["dpm-solver++", "ddim"])
def test_noise_models_hold_up_to_the_noise_of_their_last_step(sampler: NoiseSamplerName) -> None:
    noise, data = torch.randn(2, 6), torch.randn(2, 6)
    held = Held(data=data, noise=noise, free=slice(2, 4))
    schedule = sqrt_linear_schedule()
    seen: list[Tensor] = []

    def epsilon(x: Tensor, t: float) -> Tensor:
        seen.append(x)
        return x.tanh()

    alone = sample_noise_model(epsilon, noise, schedule, 20, sampler=sampler)
    made = sample_noise_model(epsilon, noise, schedule, 20, sampler=sampler, held=held)
    torch.testing.assert_close(made[:, 2:4], alone[:, 2:4])
    torch.testing.assert_close(made[:, :2], data[:, :2], atol=0.1, rtol=0)
    middle = seen[-10][:, :2]
    # Half way, what is held is a mixture of its data and its noise that the network could have met in training.
    weights = torch.linalg.lstsq(
        torch.stack((data[:, :2].flatten(), noise[:, :2].flatten()), 1), middle.flatten()[:, None]
    )
    assert weights.solution.square().sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("positions", [slice(0, 3), slice(37, 52), slice(95, 100)])
def test_a_part_of_the_windows_gives_what_all_of_them_give(positions: slice) -> None:
    plan = plan_windows(100, 30, 10)
    signal = torch.randn(2, 100)
    part, stretch = part_of(plan, touching(plan, positions))
    assert stretch.start <= positions.start and positions.stop <= stretch.stop
    assert len(part.starts) < len(plan.starts)

    def bent(windows: Tensor) -> Tensor:
        return windows.cumsum(dim=-1)

    whole, some = merge(bent(cut(signal, plan)), plan), merge(bent(cut(signal[:, stretch], part)), part)
    inside = slice(positions.start - stretch.start, positions.stop - stretch.start)
    torch.testing.assert_close(some[:, inside], whole[:, positions])


def test_a_signal_shorter_than_a_window_is_one_part() -> None:
    plan = WindowPlan(length=12, window=30, starts=(0,))
    part, stretch = part_of(plan, touching(plan, slice(3, 5)))
    assert (part.length, part.width, stretch) == (12, 12, slice(0, 12))
