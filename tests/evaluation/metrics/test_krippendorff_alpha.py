"""Alpha: a published example, perfect and chance agreement, strata, what cannot be said."""

from __future__ import annotations

import numpy as np
import pytest

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.krippendorff_alpha import krippendorff_alpha, observed_agreement


def counted(ratings: list[list[int]], num_values: int) -> np.ndarray:
    """Return how many observers gave each unit each value; 0 in `ratings` (observers, units) is a missing answer."""
    table = np.array(ratings)
    return np.stack([(table == value).sum(0) for value in range(1, num_values + 1)], axis=1)


def test_the_published_example_with_missing_answers() -> None:
    """Four observers, twelve units (Krippendorff 2011, section C): nominal alpha is .743."""
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
    assert krippendorff_alpha(counted(ratings, 5)) == pytest.approx(0.743, abs=5e-4)


def test_two_observers_and_two_values() -> None:
    """Ten units, two observers, binary (Krippendorff 2011, section A): alpha is .095, and six in ten agree."""
    ratings = [[1, 2, 1, 1, 1, 1, 1, 1, 2, 1], [2, 2, 2, 1, 1, 2, 1, 1, 1, 1]]
    counts = counted(ratings, 2)
    assert krippendorff_alpha(counts) == pytest.approx(0.095, abs=5e-4)
    assert observed_agreement(counts) == pytest.approx(0.6)


def test_full_agreement_is_one_and_chance_is_zero() -> None:
    generator = np.random.default_rng(0)
    agreed = np.eye(3, dtype=int)[generator.integers(3, size=50)] * 4
    assert krippendorff_alpha(agreed) == 1 == observed_agreement(agreed)
    random = generator.multinomial(5, [0.2, 0.3, 0.5], size=20_000)
    assert krippendorff_alpha(random) == pytest.approx(0, abs=0.01)


def test_full_disagreement_of_two_listeners_is_near_minus_one() -> None:
    counts = np.ones((1000, 2), int)
    assert krippendorff_alpha(counts) == pytest.approx(-1, abs=2e-3)
    assert observed_agreement(counts) == 0


def test_strata_keep_comparisons_of_other_systems_from_passing_for_agreement() -> None:
    """Coin flips about A or B, and about C or D: agreement comes from what was shown, not from the listeners."""
    generator = np.random.default_rng(1)
    flips = generator.binomial(2, 0.5, size=(2, 4000))
    first = np.stack([flips[0], 2 - flips[0], 0 * flips[0], 0 * flips[0]], axis=1)
    second = np.stack([0 * flips[1], 0 * flips[1], flips[1], 2 - flips[1]], axis=1)
    counts, strata = np.concatenate([first, second]), np.repeat([0, 1], 4000)
    assert krippendorff_alpha(counts) > 0.3
    assert krippendorff_alpha(counts, strata) == pytest.approx(0, abs=0.03)


def test_lone_answers_change_nothing() -> None:
    counts = np.array([[2, 0], [0, 2], [1, 1]])
    assert krippendorff_alpha(np.concatenate([counts, [[1, 0]] * 9])) == krippendorff_alpha(counts)


def test_what_cannot_be_said_is_not_said() -> None:
    assert np.isnan(krippendorff_alpha(np.array([[3, 0], [2, 0]])))
    for measure in (krippendorff_alpha, observed_agreement):
        with pytest.raises(InputError, match="two listeners"):
            measure(np.array([[1, 0], [0, 1]]))
