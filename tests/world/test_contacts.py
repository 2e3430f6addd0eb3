"""Laws of turning forces into events, on forces made up here: no physics engine is needed."""

from __future__ import annotations

import numpy as np
import pytest

from foleykit.world.contacts import (
    AUDIBLE_IMPULSE,
    Contacts,
    Impact,
    find_impacts,
    merge_impacts,
    pair_histories,
    profile_of,
    sounding_spells,
)

STEP = 0.002


def contacts_of(force: np.ndarray, bodies: tuple[int, int] = (1, 2)) -> Contacts:
    steps = np.flatnonzero(force > 0)
    return Contacts(
        step=steps.astype(np.int32),
        bodies=np.repeat([bodies], len(steps), 0).astype(np.int32),
        force=force[steps].astype(np.float32),
        point=np.zeros((len(steps), 3), np.float32),
    )


def impacts_of(force: np.ndarray) -> list[Impact]:
    contacts = contacts_of(force)
    (history,) = pair_histories(contacts, len(force))
    return find_impacts(history, contacts, STEP)


def test_a_blow_has_its_time_and_its_impulse():
    force = np.zeros(1000)
    force[400:404] = 50.0
    (impact,) = impacts_of(force)
    assert impact.step == 400
    assert impact.impulse == pytest.approx(50.0 * 4 * STEP, rel=1e-6)


def test_weight_at_rest_is_no_blow_and_does_not_count_towards_one():
    """A body of 1 kg that lands with 0.5 N s and stays: its weight adds nothing to the impulse."""
    force = np.zeros(1000)
    force[300:] = 9.8
    force[300:305] += 50.0
    (impact,) = impacts_of(force)
    assert impact.impulse == pytest.approx(50.0 * 5 * STEP, rel=0.01)
    resting = np.full(1000, 9.8)
    assert all(impact.step == 0 for impact in impacts_of(resting))


def test_blows_apart_are_counted_and_chatter_is_one():
    force = np.zeros(2000)
    for start in (100, 350, 600, 608, 612):
        force[start : start + 3] = 40.0
    assert [impact.step for impact in impacts_of(force)] == [100, 350, 600]


def test_a_tools_blow_wins_over_what_it_sets_off():
    """Tool 5 strikes object 2, which at once presses harder on table 1: one event, of tool and object."""
    point = np.zeros(3, np.float32)
    blow = Impact(step=101, bodies=(2, 5), impulse=0.2, point=point)
    thud = Impact(step=100, bodies=(1, 2), impulse=0.9, point=point)
    other = Impact(step=102, bodies=(1, 3), impulse=0.3, point=point)
    merged = merge_impacts(
        [blow, thud, other], static=frozenset({1}), tools=frozenset({5}), softest_blow=0.004, step_seconds=STEP
    )
    assert [(impact.bodies, impact.step) for impact in merged] == [((2, 5), 101), ((1, 3), 102)]


def test_inaudible_bounces_make_no_event():
    quiet = Impact(step=5, bodies=(1, 2), impulse=AUDIBLE_IMPULSE / 2, point=np.zeros(3, np.float32))
    assert merge_impacts([quiet], static=frozenset({1}), tools=frozenset(), softest_blow=0.004, step_seconds=STEP) == []


def test_spells_bridge_short_dips_only():
    intensity = np.zeros(500, np.float32)
    intensity[50:100] = intensity[110:200] = intensity[300:400] = 1.0
    assert sounding_spells(intensity, threshold=0.5, gap=20, shortest=30) == [(50, 200), (300, 400)]
    assert sounding_spells(intensity, threshold=2.0, gap=20, shortest=30) == []


def test_a_profile_runs_at_100_hz_and_peaks_at_one():
    intensity = np.sin(np.linspace(0, np.pi, 250)).astype(np.float32) * 3
    profile = profile_of(intensity, STEP)
    assert len(profile) == 50
    assert profile.max() == pytest.approx(1.0)
    assert profile.min() >= 0
