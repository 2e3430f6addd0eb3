"""Offsets, aligning shift and sync score: shifted sounds, unrelated sounds, silence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.alignment_shift import alignment_shift
from foleykit.evaluation.metrics.onset_f1 import onset_counts
from foleykit.evaluation.metrics.onset_offsets import onset_offsets, summarise_offsets
from foleykit.evaluation.metrics.sync_score import sync_score
from foleykit.evaluation.onsets import OnsetConfig, detect_onsets, onset_course

RATE = 16_000
FRAME_RATE = 1 / OnsetConfig().hop_seconds


def hits(seed: int, seconds: float = 6.0, noise_db: float = -60.0) -> NDArray[np.float32]:
    """Return decaying bursts at irregular times over noise."""
    rng = np.random.default_rng(seed)
    waveform = 10 ** (noise_db / 20) * rng.standard_normal(round(seconds * RATE))
    for time in np.cumsum(rng.uniform(0.25, 0.9, 30)):
        start = round(time * RATE)
        if start + 3000 > len(waveform):
            break
        waveform[start : start + 3000] += 0.4 * rng.standard_normal(3000) * np.exp(-np.arange(3000) / 400)
    return np.clip(waveform, -1, 1).astype(np.float32)


def strength(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    return onset_course(waveform, RATE)[1]


@pytest.mark.parametrize("noise_db", [-60.0, -35.0])
@pytest.mark.parametrize("shift_ms", [-310.0, -41.7, -3.1, 0.0, 1.4, 17.3, 120.0, 444.0])
def test_the_shift_of_a_shifted_sound_is_found_within_two_milliseconds(shift_ms: float, noise_db: float) -> None:
    whole = hits(3, seconds=8.0, noise_db=noise_db)
    start, length, shift = RATE, 5 * RATE, round(shift_ms / 1000 * RATE)
    reference, late = whole[start : start + length], whole[start - shift : start - shift + length]
    found = alignment_shift(strength(reference), strength(late), FRAME_RATE)
    assert found.is_found
    assert 1000 * found.seconds == pytest.approx(1000 * shift / RATE, abs=2.0)


def test_unrelated_sounds_have_no_shift() -> None:
    curves = [strength(hits(seed)) for seed in range(12)]
    found = [alignment_shift(one, other, FRAME_RATE).is_found for one, other in pairwise(curves)]
    assert sum(found) <= 1


def test_onset_agreement_falls_as_the_shift_passes_the_tolerance() -> None:
    whole = hits(5, seconds=14.0)
    reference = detect_onsets(whole[RATE:-RATE], RATE)
    scores = {}
    for shift_ms in (0, 30, 55, 70, 90):
        late = detect_onsets(whole[RATE - round(shift_ms * RATE / 1000) : -RATE], RATE)
        scores[shift_ms] = onset_counts(reference, late, tolerance=0.06).f1
    assert scores[0] == 1
    assert min(scores[30], scores[55]) > 0.9
    assert max(scores[70], scores[90]) < 0.15


def test_offsets_are_signed_and_summarised() -> None:
    reference = np.array([0.5, 1.0, 2.0, 3.0])
    offsets = onset_offsets(reference, np.array([0.51, 1.03, 1.98, 3.5]))
    assert offsets == pytest.approx([0.01, 0.03, -0.02])
    summary = summarise_offsets(offsets)
    assert summary.median == pytest.approx(0.01) and summary.mean_absolute == pytest.approx(0.02)
    assert summary.num_offsets == 3 and summary.share_late == pytest.approx(2 / 3)
    assert summarise_offsets([0.0, 0.0]).share_late == 0.5
    with pytest.raises(InputError, match="at least one"):
        summarise_offsets(onset_offsets([1.0], [2.0]))


def test_the_sync_score_of_a_sound_with_itself_is_one_and_over_all_shifts_zero() -> None:
    curve = strength(hits(1))
    assert sync_score(curve, curve, FRAME_RATE) == pytest.approx(1)
    scores = [sync_score(curve, np.roll(curve, shift), FRAME_RATE) for shift in range(len(curve))]
    assert np.mean(scores) == pytest.approx(0, abs=1e-6)


def test_the_sync_score_does_not_depend_on_level_and_falls_with_the_shift() -> None:
    curve = strength(hits(2))
    assert sync_score(curve, 5 * curve, FRAME_RATE) == pytest.approx(1)
    scores = [sync_score(curve, np.roll(curve, shift), FRAME_RATE) for shift in (0, 5, 10, 15, 30)]
    assert scores == sorted(scores, reverse=True)
    # 60 ms, the tolerance, is 15 frames.
    assert scores[1] > 0.6 and scores[3] < 0.25


def test_nothing_begins_in_silence() -> None:
    curve, silence = strength(hits(2)), np.zeros(1501, np.float32)
    assert sync_score(curve, silence[: len(curve)], FRAME_RATE) == 0
    with pytest.raises(InputError, match="something begins"):
        sync_score(silence, silence, FRAME_RATE)
    with pytest.raises(InputError, match="move"):
        alignment_shift(silence, silence, FRAME_RATE)


def test_curves_must_fit() -> None:
    curve = np.ones(100)
    with pytest.raises(InputError, match="one length"):
        sync_score(curve, curve[:50], FRAME_RATE)
    with pytest.raises(InputError, match="one length"):
        alignment_shift(curve, curve[:50], FRAME_RATE)
    with pytest.raises(InputError, match="curves of 1 s"):
        alignment_shift(curve, curve, FRAME_RATE)


def test_the_course_is_zero_at_both_ends() -> None:
    course = strength(hits(4, noise_db=-20.0))
    assert not course[:5].any() and not course[-5:].any() and course.any()
