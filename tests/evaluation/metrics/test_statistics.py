"""Fréchet distance, rank correlation, accuracy and intervals: closed forms, bounds, too few samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.accuracy import accuracy, balanced_accuracy
from foleykit.evaluation.metrics.frechet_distance import frechet_distance
from foleykit.evaluation.metrics.intervals import bootstrap_normal, bootstrap_percentile
from foleykit.evaluation.metrics.spearman import spearman


def gaussian(mean: float, deviation: float, num: int = 4000, width: int = 3, seed: int = 0) -> torch.Tensor:
    return mean + deviation * torch.randn(num, width, generator=torch.Generator().manual_seed(seed))


def test_a_set_is_no_distance_from_itself() -> None:
    embeddings = gaussian(0, 1)
    assert frechet_distance(embeddings, embeddings) == pytest.approx(0, abs=1e-5)
    few = gaussian(0, 1, num=5, width=16)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-5)


def test_frechet_distance_of_gaussians_in_closed_form() -> None:
    """For N(m, s² I) the distance is |m1 - m2|² + D (s1 - s2)²."""
    first = gaussian(0, 1)
    assert frechet_distance(first, 3 * first + 2) == pytest.approx(3 * 4 + 3 * 4, rel=0.1)
    shifted = first + torch.tensor([3.0, 0, 4.0])
    assert frechet_distance(first, shifted) == pytest.approx(25, abs=1e-6 * 25 + 1e-4)


def test_frechet_distance_is_symmetric_and_free_of_rotation() -> None:
    first, second = gaussian(0, 1, seed=1), gaussian(1, 2, seed=2)
    rotation = torch.linalg.qr(gaussian(0, 1, num=3, seed=3)).Q
    distance = frechet_distance(first, second)
    assert frechet_distance(second, first) == pytest.approx(distance)
    assert frechet_distance(first @ rotation, second @ rotation) == pytest.approx(distance, rel=1e-4)


def test_width_one_is_a_width() -> None:
    first = gaussian(0, 1, width=1)
    assert frechet_distance(first, first + 2) == pytest.approx(4, rel=1e-5)


def test_too_few_or_unequal_embeddings_are_refused() -> None:
    with pytest.raises(InputError, match="two embeddings"):
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))
    with pytest.raises(InputError, match="one width"):
        frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4))


def test_rank_correlation_sees_order_only() -> None:
    assert spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, -9]) == pytest.approx(-1)
    # One swap of neighbours among five: 1 - 6 * 2 / (5 * 24).
    assert spearman([1, 2, 3, 4, 5], [1, 2, 4, 3, 5]) == pytest.approx(0.9)
    assert spearman([1, 1, 2, 2], [5, 5, 7, 7]) == pytest.approx(1)
    with pytest.raises(InputError, match="constant"):
        spearman([1, 2, 3], [1, 1, 1])
    with pytest.raises(InputError, match="at least 3"):
        spearman([1, 2], [1, 2])


def test_accuracy_in_closed_form() -> None:
    assert accuracy([0, 0, 0, 1], [0, 0, 0, 0]) == 0.75
    assert balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0]) == 0.5
    assert accuracy([0, 1, 2], [0, 1, 2]) == balanced_accuracy([0, 1, 2], [0, 1, 2]) == 1
    with pytest.raises(InputError, match="at least one"):
        accuracy([], [])
    with pytest.raises(InputError, match="equally many"):
        balanced_accuracy([0, 1], [0])


def test_intervals_hold_the_figure_and_shrink_with_more_clips() -> None:
    values = np.random.default_rng(0).normal(5, 1, 400)
    few = bootstrap_percentile(lambda clips: float(values[clips].mean()), 25)
    many = bootstrap_percentile(lambda clips: float(values[clips].mean()), 400)
    assert few.low <= few.value <= few.high and few.num_clips == 25
    assert many.high - many.low < 0.5 * (few.high - few.low)
    # Four standard errors span the interval of a mean: 2 * 1.96 / sqrt(400).
    assert many.high - many.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    normal = bootstrap_normal(lambda clips: float(values[clips].mean()), 400, num_resamples=400)
    assert normal.high - normal.low == pytest.approx(many.high - many.low, rel=0.15)


def test_intervals_are_the_same_for_the_same_seed() -> None:
    values = np.arange(30.0)
    first = bootstrap_percentile(lambda clips: float(np.median(values[clips])), 30, seed=1)
    assert first == bootstrap_percentile(lambda clips: float(np.median(values[clips])), 30, seed=1)


def test_one_clip_has_no_interval() -> None:
    with pytest.raises(InputError, match="two clips"):
        bootstrap_percentile(lambda clips: 0.0, 1)


def test_about_95_percent_of_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    num_right = 0
    for trial in range(200):
        values = rng.normal(0, 1, 60)
        estimate = bootstrap_percentile(
            lambda clips, values=values: float(values[clips].mean()),  # type: ignore[misc]
            60,
            seed=trial,
            num_resamples=200,
        )
        num_right += estimate.low <= 0 <= estimate.high
    assert 0.88 <= num_right / 200 <= 0.99
