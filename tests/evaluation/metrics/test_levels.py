"""Envelopes, gaps and level errors: closed forms and bounds."""

from __future__ import annotations

import numpy as np
import pytest

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.envelope_correlation import energy_envelope_db, envelope_correlation
from foleykit.evaluation.metrics.gap_level import SILENCE_DB, gap_level_db, gap_mask
from foleykit.evaluation.metrics.level_change import level_changes_db
from foleykit.evaluation.metrics.level_error import level_error

RATE = 16_000


def test_the_envelope_of_a_constant_is_its_level() -> None:
    envelope = energy_envelope_db(np.full(RATE, 0.1, np.float32), RATE)
    assert envelope.shape == (100,)
    np.testing.assert_allclose(envelope, -20, atol=1e-4)
    np.testing.assert_allclose(energy_envelope_db(np.zeros(RATE, np.float32), RATE), -60)


def test_the_envelope_keeps_time() -> None:
    waveform = np.zeros(RATE, np.float32)
    waveform[RATE // 2 :] = 0.5
    envelope = energy_envelope_db(waveform, RATE)
    assert (envelope[:49] == -60).all() and (envelope[51:] > -7).all()


def test_an_envelope_correlates_with_itself_whatever_the_gain() -> None:
    course = np.random.default_rng(0).uniform(-50, -10, 200)
    assert envelope_correlation(course, course) == pytest.approx(1)
    assert envelope_correlation(course, course - 12) == pytest.approx(1)
    assert envelope_correlation(course, -course) == pytest.approx(-1)
    assert envelope_correlation(course, np.full(200, -30.0)) == 0


def test_envelopes_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="one length"):
        envelope_correlation([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(InputError, match="moves"):
        envelope_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="at least"):
        energy_envelope_db(np.zeros(10, np.float32), RATE)


def test_gaps_end_before_events_and_begin_after_their_ringing() -> None:
    foreground = np.zeros(2 * RATE, np.float32)
    foreground[RATE : RATE + 4800] = 0.1
    mask = gap_mask(foreground, RATE, [(1.0, 1.0)])
    assert mask[: int(0.93 * RATE)].all()
    assert not mask[int(0.95 * RATE) : int(1.31 * RATE)].any()
    assert mask[int(1.33 * RATE) :].all()


def test_a_quiet_sustained_event_is_no_gap_while_it_lasts() -> None:
    mask = gap_mask(np.zeros(2 * RATE, np.float32), RATE, [(0.5, 1.0)])
    assert not mask[int(0.45 * RATE) : int(1.11 * RATE)].any()
    assert mask.sum() == pytest.approx((2 - 0.5 - 0.18) * RATE, abs=2)


def test_the_gap_level_is_the_level_of_the_gaps_only() -> None:
    waveform = np.full(RATE, 0.01, np.float32)
    mask = np.ones(RATE, bool)
    mask[4000:8000], waveform[4000:8000] = False, 0.9
    assert gap_level_db(waveform, mask, RATE) == pytest.approx(-40, abs=1e-3)
    assert gap_level_db(np.zeros_like(waveform), mask, RATE) == SILENCE_DB


def test_too_short_gaps_are_refused() -> None:
    mask = np.zeros(RATE, bool)
    mask[:100] = True
    with pytest.raises(InputError, match=r"0\.2 s of gaps"):
        gap_level_db(np.zeros(RATE, np.float32), mask, RATE)
    with pytest.raises(InputError, match="one shape"):
        gap_level_db(np.zeros(RATE + 1, np.float32), mask, RATE)
    with pytest.raises(InputError, match="before it starts"):
        gap_mask(np.zeros(RATE, np.float32), RATE, [(0.5, 0.4)])


def test_level_errors_in_closed_form() -> None:
    error = level_error([-40, -40, -40], [-39, -38, -48])
    assert error.bias_db == pytest.approx(-5 / 3)
    assert error.mean_absolute_db == pytest.approx(11 / 3)
    assert error.median_absolute_db == pytest.approx(2)
    ideal = level_error([-40.0], [-40.0])
    assert (ideal.bias_db, ideal.mean_absolute_db, ideal.median_absolute_db) == (0, 0, 0)
    with pytest.raises(InputError, match="at least one"):
        level_error([], [])


def test_a_step_of_level_is_found_where_it_is() -> None:
    rate = 16_000
    time = np.arange(2 * rate) / rate
    tone = np.where(time < 1, 0.1, 0.2).astype(np.float32) * np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    inside, outside = level_changes_db(tone, rate, [(0.99, 1.01)])
    assert inside.sum() == pytest.approx(20 * np.log10(2), abs=0.05)
    assert outside.max() < 0.05
    with pytest.raises(InputError, match="inside spans and outside"):
        level_changes_db(tone, rate, [(0.0, 2.0)])
