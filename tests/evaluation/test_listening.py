"""Figures of a listening test, and the plan of one."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.evaluation.listening import Choice, share_estimate, summarise, wilson_interval
from foleykit.evaluation.listening_design import Comparison, plan_comparisons, plan_trials

SYSTEMS = ("a", "b", "c")


def choice(clip: int, listener: int, chosen: str, shown: str = "ab", criterion: str = "overall") -> Choice:
    return Choice(
        criterion=criterion, clip=f"clip{clip}", listener=str(listener), shown=tuple(shown), chosen=tuple(chosen)
    )


def test_shares_are_the_counted_answers() -> None:
    choices = [choice(clip, listener, "a" if clip % 4 else "b") for clip in range(20) for listener in range(3)]
    result = summarise([*choices, choice(0, 0, "b", criterion="alignment")], SYSTEMS, "overall")
    assert (result.num_answers, result.num_listeners, result.num_clips) == (60, 3, 20)
    first, second = result.systems
    assert (first.system, first.num_chosen, first.num_shown, first.share.value) == ("a", 45, 60, 0.75)
    assert (second.system, second.num_chosen, second.share.value) == ("b", 15, 0.25)
    assert first.share.low == pytest.approx(1 - second.share.high) and first.share.low < 0.75 < first.share.high
    assert result.agreement is not None and result.agreement.alpha == 1 == result.agreement.observed


def test_best_of_three_shares_add_up_to_one() -> None:
    generator = np.random.default_rng(0)
    choices = [choice(clip, 0, "abc"[generator.choice(3, p=[0.6, 0.3, 0.1])], "abc") for clip in range(200)]
    result = summarise(choices, SYSTEMS, "overall")
    assert sum(system.share.value for system in result.systems) == pytest.approx(1)
    for system in result.systems:
        assert system.share.low < system.share.value < system.share.high


def test_pairs_count_only_comparisons_in_which_one_of_them_was_chosen() -> None:
    choices = [choice(0, 0, "a", "abc"), choice(1, 0, "c", "abc"), choice(2, 0, "b", "bc"), choice(3, 0, "b", "ab")]
    pairs = {
        (pair.first, pair.second): (pair.num_first, pair.num_second)
        for pair in summarise(choices, SYSTEMS, "overall").pairs
    }
    assert pairs == {("a", "b"): (1, 1), ("a", "c"): (1, 1), ("b", "c"): (1, 1)}


def test_several_choices_count_for_each_system() -> None:
    choices = [choice(clip, listener, "ab", "abc") for clip in range(5) for listener in range(2)]
    result = summarise(choices, SYSTEMS, "overall", several=True)
    assert [system.share.value for system in result.systems] == [1, 1, 0]
    assert result.agreement is not None
    # Everybody always says the same about each system: chance would agree as well.
    assert (result.agreement.num_units, result.agreement.observed, result.agreement.alpha) == (15, 1, None)


def test_wilson_interval_in_known_cases() -> None:
    """Newcombe (1998), table I: 81 of 263 gives .2553 to .3662, and 0 of 20 gives 0 to .1611."""
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0.0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


def test_an_interval_is_never_a_point() -> None:
    """Redrawn clips that all say the same would."""
    always = share_estimate(np.ones(20, bool), [str(i) for i in range(20)], ["x"] * 20)
    assert (always.value, always.high) == (1, 1) and always.low == pytest.approx(0.8389, abs=5e-5)
    once = share_estimate(np.array([True, False]), ["one", "one"], ["x", "y"])
    assert once.low < 0.1 and once.high > 0.9


def test_intervals_cover_other_clips_and_other_listeners() -> None:
    """Equal answers about a clip, or of a listener, are worth one: the interval is as wide as for so many answers."""
    generator = np.random.default_rng(0)
    clips, listeners = (grid.ravel() for grid in np.meshgrid(np.arange(40), np.arange(10)))
    by_clip = share_estimate(
        (generator.random(40) < 0.5)[clips], clips.astype(str).tolist(), listeners.astype(str).tolist()
    )
    by_listener = share_estimate(
        (np.arange(10) < 5)[listeners], clips.astype(str).tolist(), listeners.astype(str).tolist()
    )
    independent = share_estimate(
        generator.random(400) < 0.5, clips.astype(str).tolist(), listeners.astype(str).tolist()
    )
    width = {name: e.high - e.low for name, e in (("clip", by_clip), ("listener", by_listener), ("free", independent))}
    assert width["clip"] == pytest.approx(2 * 1.96 * 0.5 / 40**0.5, rel=0.15)
    assert width["listener"] == pytest.approx(2 * 1.96 * 0.5 / 10**0.5, rel=0.15)
    assert width["free"] < 0.5 * width["clip"]


def test_bootstrapped_intervals_hold_what_they_promise() -> None:
    """Of 60 tests with 40 clips and a true share of .7, about 95 % of the intervals hold it."""
    generator = np.random.default_rng(0)
    clips = [str(index) for index in range(40)]
    estimates = [share_estimate(generator.random(40) < 0.7, clips, ["x"] * 40) for _ in range(60)]
    assert sum(estimate.low <= 0.7 <= estimate.high for estimate in estimates) >= 54


def test_agreement_is_by_comparison_and_needs_two_listeners() -> None:
    alone = summarise([choice(clip, 0, "a") for clip in range(4)], SYSTEMS, "overall")
    assert alone.agreement is None
    generator = np.random.default_rng(0)
    # Each listener flips coins, but about other pairs on every other clip.
    flips = [
        choice(clip, listener, shown[generator.integers(2)], shown)
        for clip in range(300)
        for shown in [("ab", "bc")[clip % 2]]
        for listener in range(4)
    ]
    agreement = summarise(flips, SYSTEMS, "overall").agreement
    assert agreement is not None and agreement.alpha is not None
    assert agreement.low is not None and agreement.high is not None
    assert agreement.num_units == 300 and agreement.low < 0 < agreement.high
    assert agreement.observed == pytest.approx(0.5, abs=0.05)


def test_nothing_is_said_about_no_answers() -> None:
    result = summarise([], SYSTEMS, "overall")
    assert (result.num_answers, result.systems, result.pairs, result.agreement) == (0, (), (), None)


def test_all_systems_meet_on_every_clip_or_pair_by_pair() -> None:
    assert sorted(plan_comparisons(3, 3, "all"), key=lambda c: c.clip) == [
        Comparison(clip=clip, systems=(0, 1, 2)) for clip in range(3)
    ]
    pairs = plan_comparisons(5, 4, "pairs")
    assert {(c.clip, c.systems) for c in pairs} == {(i, pair) for i in range(5) for pair in combinations(range(4), 2)}
    assert len(pairs) == 30


@given(st.integers(1, 20), st.integers(2, 5), st.integers(1, 60), st.integers(0, 5))
def test_a_part_of_the_comparisons_is_balanced(num_clips: int, num_systems: int, num_trials: int, seed: int) -> None:
    planned = plan_comparisons(num_clips, num_systems, "pairs", num_trials=num_trials, seed=seed)
    assert len(set(planned)) == len(planned) == min(num_trials, num_clips * num_systems * (num_systems - 1) // 2)
    groups = Counter(dict.fromkeys(combinations(range(num_systems), 2), 0))
    groups.update(comparison.systems for comparison in planned)
    clips = Counter(dict.fromkeys(range(num_clips), 0))
    clips.update(comparison.clip for comparison in planned)
    for counts in (groups, clips):
        assert max(counts.values()) - min(counts.values()) <= 1


@given(st.integers(1, 20), st.integers(2, 4), st.integers(0, 50))
def test_each_listener_gets_everything_in_an_order_and_arrangement_of_their_own(
    num_clips: int, num_systems: int, listener: int
) -> None:
    comparisons = plan_comparisons(num_clips, num_systems, "all")
    trials = plan_trials(comparisons, seed=3, listener=listener)
    assert trials == plan_trials(comparisons, seed=3, listener=listener)
    assert sorted(trial.comparison for trial in trials) == list(range(num_clips))
    for place in range(num_systems):
        counts = Counter(dict.fromkeys(range(num_systems), 0))
        counts.update(trial.systems[place] for trial in trials)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_listeners_hear_in_different_orders() -> None:
    comparisons = plan_comparisons(20, 2, "all")
    plans = {plan_trials(comparisons, seed=0, listener=listener) for listener in range(10)}
    assert len(plans) == 10
