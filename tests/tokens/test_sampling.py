"""Laws of next-token sampling."""

import pytest
import torch

from foleykit.tokens.sampling import draw, probabilities


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(2, 4, 64, generator=torch.Generator().manual_seed(0))


def test_without_a_limit_it_is_the_softmax(logits: torch.Tensor) -> None:
    torch.testing.assert_close(probabilities(logits), logits.softmax(-1))
    torch.testing.assert_close(probabilities(logits, temperature=0.5), (2 * logits).softmax(-1))


@pytest.mark.parametrize("limits", [{}, {"top_k": 5}, {"top_p": 0.7}, {"temperature": 0.0}])
def test_every_choice_is_a_distribution_and_the_likeliest_stays(logits: torch.Tensor, limits: dict[str, float]) -> None:
    chances = probabilities(logits, **limits)
    torch.testing.assert_close(chances.sum(-1), torch.ones(2, 4))
    assert torch.equal(chances.argmax(-1), logits.argmax(-1))


def test_top_k_keeps_k_and_ties_with_the_last(logits: torch.Tensor) -> None:
    assert (probabilities(logits, top_k=5) > 0).sum(-1).eq(5).all()
    tied = torch.tensor([3.0, 2.0, 2.0, 2.0, 1.0])
    assert (probabilities(tied, top_k=2) > 0).tolist() == [True, True, True, True, False]
    assert torch.equal(probabilities(logits, top_k=64), probabilities(logits, top_k=0))


def test_the_nucleus_is_the_least_set_of_its_mass_and_goes_before_top_k() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert (probabilities(logits, top_p=0.6) > 0).tolist() == [True, True, False, False]
    assert (probabilities(logits, top_p=0.6, top_k=1) > 0).sum() == 2
    assert (probabilities(logits, top_p=1e-6) > 0).sum() == 1


def test_temperature_zero_is_the_limit_of_small_temperatures(logits: torch.Tensor) -> None:
    torch.testing.assert_close(probabilities(logits, temperature=0.0), probabilities(logits, temperature=1e-4))


def test_draws_follow_the_distribution_and_the_seed() -> None:
    chances = torch.tensor([0.5, 0.0, 0.3, 0.2]).expand(20_000, 4)
    drawn = draw(chances, torch.Generator().manual_seed(1))
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    assert (shares - chances[0]).abs().max() < 0.02 and shares[1] == 0
    assert torch.equal(drawn, draw(chances, torch.Generator().manual_seed(1)))
    assert not torch.equal(drawn, draw(chances, torch.Generator().manual_seed(2)))
