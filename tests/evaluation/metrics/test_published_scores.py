"""KL divergence, inception score and paired cosine: closed forms, bounds, conventions."""

from __future__ import annotations

import math

import pytest
import torch

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.inception_score import inception_score, split_scores
from foleykit.evaluation.metrics.kl_divergence import kl_divergence
from foleykit.evaluation.metrics.paired_cosine import paired_cosine


def test_no_sound_diverges_from_itself() -> None:
    logits = torch.randn(5, 7)
    torch.testing.assert_close(kl_divergence(logits, logits), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(
        kl_divergence(logits, logits + 3), torch.zeros(5, dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_divergence_of_two_classes_in_closed_form() -> None:
    """Of (1/2, 1/2) from (p, 1 - p): -ln(4 p (1 - p)) / 2; and the direction matters."""
    p = 0.9
    even, skewed = torch.zeros(1, 2), torch.tensor([[p, 1 - p]], dtype=torch.float64).log()
    assert float(kl_divergence(even, skewed)) == pytest.approx(-math.log(4 * p * (1 - p)) / 2)
    back = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert float(kl_divergence(skewed, even)) == pytest.approx(back)


def test_divergence_is_never_negative_and_per_row() -> None:
    reference, generated = torch.randn(40, 9), 3 * torch.randn(40, 9)
    values = kl_divergence(reference, generated)
    assert values.shape == (40,) and values.min() > 0
    assert float(values[7]) == pytest.approx(float(kl_divergence(reference[7:8], generated[7:8])))


def test_epsilon_bounds_what_a_class_given_no_chance_costs() -> None:
    sure, other = torch.tensor([[0.0, -200.0]]), torch.tensor([[-200.0, 0.0]])
    assert float(kl_divergence(sure, other)) == pytest.approx(200)
    assert float(kl_divergence(sure, other, epsilon=1e-6)) == pytest.approx(-math.log(1e-6))


def test_sigmoid_posteriors_do_not_add_up_and_may_be_negative() -> None:
    reference, generated = torch.zeros(1, 1), torch.full((1, 1), math.log(3.0))
    assert float(kl_divergence(reference, generated, posterior="sigmoid")) == pytest.approx(0.5 * math.log(0.5 / 0.75))
    assert float(kl_divergence(reference, generated)) == 0


@pytest.mark.parametrize(
    ("reference", "generated", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 3), "two sets of logits"),
        (torch.zeros(0, 3), torch.zeros(0, 3), "two sets of logits"),
        (torch.zeros(3), torch.zeros(3), "two sets of logits"),
        (torch.zeros(1, 3), torch.full((1, 3), torch.nan), "finite"),
    ],
)
def test_divergence_refuses(reference: torch.Tensor, generated: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kl_divergence(reference, generated)


def test_inception_score_between_one_and_the_number_of_classes() -> None:
    undecided, same = torch.zeros(20, 4), torch.tensor([[50.0, 0, 0, 0]]).expand(20, 4)
    assert inception_score(undecided) == pytest.approx(1)
    assert inception_score(same) == pytest.approx(1)
    sure = 50 * torch.eye(4).repeat(5, 1)
    assert inception_score(sure, num_splits=1) == pytest.approx(4, rel=1e-6)
    assert 1 < inception_score(torch.randn(60, 4)) < 4


def test_inception_score_of_one_split_does_not_depend_on_order() -> None:
    logits = torch.randn(30, 5)
    assert inception_score(logits, num_splits=1) == pytest.approx(inception_score(logits.flip(0), num_splits=1))
    assert inception_score(logits) != inception_score(logits.flip(0))


def test_splits_are_as_equal_as_can_be() -> None:
    """The score of N distinct certain clips is N."""
    scores = split_scores(200 * torch.eye(23), num_splits=10)
    assert sorted(round(score) for score in scores.tolist()) == [2] * 7 + [3] * 3


def test_inception_score_refuses_empty_splits_and_what_is_not_finite() -> None:
    with pytest.raises(InputError, match="10 splits"):
        inception_score(torch.zeros(9, 4))
    with pytest.raises(InputError, match="finite"):
        inception_score(torch.full((10, 4), torch.inf))


def test_cosines_of_pairs() -> None:
    one = torch.tensor([[1.0, 0], [1, 0], [1, 1], [3, 4]])
    other = torch.tensor([[2.0, 0], [0, 5], [-1, -1], [1, 0]])
    torch.testing.assert_close(paired_cosine(one, other), torch.tensor([1, 0, -1, 0.6], dtype=torch.float64))
    torch.testing.assert_close(paired_cosine(20 * one, other), paired_cosine(one, other))


@pytest.mark.parametrize("other", [torch.ones(3, 2), torch.zeros(2, 2), torch.full((2, 2), torch.nan)])
def test_cosines_refuse_what_has_no_direction(other: torch.Tensor) -> None:
    with pytest.raises(InputError, match="cosines need"):
        paired_cosine(torch.ones(2, 2), other)
