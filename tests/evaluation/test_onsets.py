"""The onset detector finds blows where they are, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from foleykit.core.errors import ConfigError, InputError
from foleykit.evaluation.metrics.onset_f1 import match_onsets, onset_counts, sum_counts
from foleykit.evaluation.onsets import OnsetConfig, detect_onsets, onset_candidates

RATE = 16_000


def blow(rng: np.random.Generator, sample_rate: int = RATE) -> NDArray[np.float32]:
    """Return decaying modes with a noisy attack, peak 1."""
    time = np.arange(int(rng.uniform(0.1, 0.8) * sample_rate)) / sample_rate
    pitch, damping = rng.uniform(150, 2000), rng.uniform(8, 80)
    modes = [ratio * pitch for ratio in rng.uniform(1, 7, 6) if ratio * pitch < 0.45 * sample_rate]
    sound = sum(np.sin(2 * np.pi * mode * time) * np.exp(-time * damping * (1 + mode / 3000)) for mode in modes)
    sound = sound + 0.5 * rng.standard_normal(len(time)) * np.exp(-time * 300)
    sound = sound * (1 - np.exp(-time / rng.uniform(0.0005, 0.003)))
    return (sound / np.abs(sound).max()).astype(np.float32)


def blows(seed: int, sample_rate: int = RATE, seconds: float = 5.0) -> tuple[NDArray[np.float32], list[float]]:
    """Return a waveform (S,) of blows at -30 to -8 dBFS and their times."""
    rng = np.random.default_rng(seed)
    waveform, times = np.zeros(int(seconds * sample_rate), np.float32), []
    time = rng.uniform(0.1, 0.6)
    while time < seconds - 0.1:
        start = round(time * sample_rate)
        sound = blow(rng, sample_rate)[: len(waveform) - start] * 10 ** (rng.uniform(-30, -8) / 20)
        waveform[start : start + len(sound)] += sound.astype(np.float32)
        times.append(start / sample_rate)
        time += rng.uniform(0.12, 1.2)
    return waveform, times


def test_blows_in_silence_are_found_without_bias() -> None:
    clips = [blows(seed) for seed in range(12)]
    found = [detect_onsets(waveform, RATE) for waveform, _ in clips]
    total = sum_counts(onset_counts(times, onsets) for (_, times), onsets in zip(clips, found, strict=True))
    assert total.f1 >= 0.97
    errors = [
        onsets[second] - times[first]
        for (_, times), onsets in zip(clips, found, strict=True)
        for first, second in match_onsets(times, onsets)
    ]
    assert abs(np.median(errors)) < 0.003
    assert np.quantile(np.abs(errors), 0.9) < 0.01


def test_stationary_noise_hides_little() -> None:
    counts = []
    for seed in range(12):
        waveform, times = blows(seed)
        noise = np.random.default_rng(1000 + seed).standard_normal(len(waveform)).astype(np.float32)
        counts.append(onset_counts(times, detect_onsets(waveform + 0.003 * noise, RATE)))
    assert sum_counts(counts).f1 >= 0.93


def test_noise_alone_has_no_onsets() -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)
    # The recording itself begins with a step, which is no event in it.
    assert (detect_onsets(noise, RATE) < 0.05).all()


def test_silence_has_no_onsets() -> None:
    assert len(detect_onsets(np.zeros(RATE, np.float32), RATE)) == 0
    assert len(detect_onsets(np.full(RATE, 1e-6, np.float32), RATE)) == 0


@pytest.mark.parametrize("length", [1, 7, 100, 1000])
def test_very_short_sounds_are_heard_to_the_end(length: int) -> None:
    waveform = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    times = detect_onsets(waveform, RATE)
    assert ((times >= 0) & (times <= length / RATE)).all()


@pytest.mark.parametrize("gap", [0.05, 0.12])
def test_no_two_onsets_lie_closer_than_the_gap(gap: float) -> None:
    config = OnsetConfig(min_gap_seconds=gap)
    for seed in range(12):
        waveform, times = blows(seed)
        noise = np.random.default_rng(1000 + seed).standard_normal(len(waveform)).astype(np.float32)
        onsets = onset_candidates(waveform + 0.003 * noise, RATE, config).times
        assert len(onsets) >= len(times) / 2 and np.diff(onsets).min() >= gap


def test_gain_does_not_change_the_onsets() -> None:
    waveform, _ = blows(3)
    np.testing.assert_allclose(detect_onsets(0.5 * waveform, RATE), detect_onsets(waveform, RATE), atol=0.004)


def test_delay_moves_the_onsets_by_the_delay() -> None:
    waveform, _ = blows(4)
    delayed = np.concatenate([np.zeros(1600, np.float32), waveform])
    np.testing.assert_allclose(detect_onsets(delayed, RATE), detect_onsets(waveform, RATE) + 0.1, atol=0.004)


def test_other_sample_rates_give_the_same_times() -> None:
    waveform, times = blows(5, sample_rate=48_000)
    assert onset_counts(times, detect_onsets(waveform, 48_000), tolerance=0.01).f1 >= 0.95


def test_a_higher_threshold_keeps_a_subset() -> None:
    waveform, _ = blows(6)
    candidates = onset_candidates(waveform, RATE)
    assert set(candidates.above(0.6)) <= set(candidates.above(0.2)) <= set(candidates.times)
    np.testing.assert_array_equal(detect_onsets(waveform, RATE, OnsetConfig(threshold=0.6)), candidates.above(0.6))


def test_what_is_no_waveform_is_refused() -> None:
    with pytest.raises(InputError, match="one channel"):
        detect_onsets(np.zeros((2, 100), np.float32), RATE)
    with pytest.raises(InputError, match="one channel"):
        detect_onsets(np.zeros(0, np.float32), RATE)
    with pytest.raises(InputError, match="NaN"):
        detect_onsets(np.array([0, np.nan], np.float32), RATE)
    with pytest.raises(ConfigError, match="background_quantile"):
        OnsetConfig(background_quantile=1.0)
