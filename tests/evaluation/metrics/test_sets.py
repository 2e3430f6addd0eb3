"""Fréchet distance to the last digit, precision, recall, density, coverage, and paired tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.frechet_distance import frechet_distance
from foleykit.evaluation.metrics.paired_difference import holm, paired_difference
from foleykit.evaluation.metrics.prdc import prdc


def normal(num: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(num, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(mean: Tensor, root: Tensor, num: int, seed: int) -> Tensor:
    """Return samples (num, D) whose own mean is `mean` and whose own covariance is `root @ root.T`, exactly."""
    samples = normal(num, len(mean), seed)
    samples = samples - samples.mean(0)
    whitened = torch.linalg.qr(samples).Q * (num - 1) ** 0.5
    return whitened @ root.T + mean


@pytest.mark.parametrize("width", [2, 16, 64])
def test_frechet_distance_of_gaussians_to_one_in_a_million(width: int) -> None:
    """For commuting covariances the distance is |m1 - m2|² + the sum of squared differences of deviations."""
    generator = torch.Generator().manual_seed(width)
    rotation = torch.linalg.qr(normal(width, width, seed=7)).Q
    first, second = (0.2 + 2 * torch.rand(width, generator=generator, dtype=torch.float64) for _ in range(2))
    gap = torch.rand(width, generator=generator, dtype=torch.float64)
    reference = with_moments(torch.zeros(width, dtype=torch.float64), rotation * first, 500, seed=1)
    generated = with_moments(gap, rotation * second, 700, seed=2)
    expected = float(gap.square().sum() + (first - second).square().sum())
    assert frechet_distance(reference, generated) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    """In two dimensions the trace of the root is sqrt(trace(AB) + 2 sqrt(det(AB)))."""
    one = torch.tensor([[1.0, 0.0], [0.8, 0.5]], dtype=torch.float64)
    other = torch.tensor([[0.3, 0.9], [0.0, 1.5]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    product = (one @ one.T) @ (other @ other.T)
    root = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()
    expected = float((one @ one.T).trace() + (other @ other.T).trace() - 2 * root)
    found = frechet_distance(with_moments(zero, one, 300, seed=3), with_moments(zero, other, 300, seed=4))
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_set_covers_itself() -> None:
    embeddings = normal(300, 8)
    found = prdc(embeddings, embeddings)
    assert found.precision == found.recall == found.coverage == 1
    assert found.density == pytest.approx(1, abs=0.3)


def test_sets_of_one_distribution_cover_each_other_and_distant_ones_do_not() -> None:
    first, second = normal(600, 4, seed=0), normal(600, 4, seed=1)
    same = prdc(first, second)
    # With five neighbours, 1 - 2^-5 of the neighbourhoods are expected to hold another set's sample (Naeem et al.).
    assert same.coverage == pytest.approx(1 - 2**-5, abs=0.04)
    assert same.density == pytest.approx(1, abs=0.1) and min(same.precision, same.recall) > 0.85
    far = prdc(first, second + 100)
    assert far.precision == far.recall == far.density == far.coverage == 0


def test_one_mode_of_two_is_precise_and_recalls_half() -> None:
    modes = torch.cat([normal(300, 4, seed=0), normal(300, 4, seed=1) + 50])
    found = prdc(modes, normal(300, 4, seed=2))
    assert found.precision > 0.85 and found.recall == pytest.approx(0.5, abs=0.07)
    assert found.coverage == pytest.approx(0.5, abs=0.05)
    swapped = prdc(normal(300, 4, seed=2), modes)
    assert swapped.precision == pytest.approx(0.5, abs=0.07) and swapped.recall > 0.85


def test_neighbourhoods_by_hand() -> None:
    """On a line with one neighbour: radii of 0, 1, 3 are 1, 1, 2."""
    reference = torch.tensor([[0.0], [1.0], [3.0]])
    found = prdc(reference, torch.tensor([[-0.5], [4.5], [9.0]]), num_neighbours=1)
    assert found.is_precise.tolist() == [True, True, False]
    assert found.densities.tolist() == [1, 1, 0]
    assert found.is_covered.tolist() == [True, False, True]


def test_too_few_or_broken_embeddings_are_refused() -> None:
    with pytest.raises(InputError, match="5 neighbours need more"):
        prdc(normal(5, 2), normal(50, 2))
    with pytest.raises(InputError, match="finite"):
        prdc(normal(50, 2), torch.full((50, 2), torch.nan))
    with pytest.raises(InputError, match="one width"):
        prdc(normal(50, 2), normal(50, 3))


def mean(values: np.ndarray) -> float:
    return float(values.mean())


def test_a_constant_advantage_is_found_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((60, 1))
    found = paired_difference(mean, base + 0.3 + 0.1 * rng.standard_normal((60, 1)), base, num_resamples=500)
    assert found.low < 0.3 < found.high and found.high - found.low < 0.1
    assert found.p_value == pytest.approx(1 / 501)


def test_equal_systems_are_not_told_apart() -> None:
    values = np.random.default_rng(1).standard_normal((40, 1))
    same = paired_difference(mean, values, values, num_resamples=200)
    assert same.difference == same.low == same.high == 0 and same.p_value == 1


def test_without_a_difference_p_values_spread_evenly() -> None:
    rng = np.random.default_rng(2)
    p_values = [
        paired_difference(
            mean, rng.standard_normal((12, 1)), rng.standard_normal((12, 1)), num_resamples=99, seed=seed
        ).p_value
        for seed in range(200)
    ]
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.07)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1] and holm([]) == []


def test_systems_need_the_same_clips() -> None:
    with pytest.raises(InputError, match="same clips"):
        paired_difference(mean, np.zeros((3, 1)), np.zeros((4, 1)))
