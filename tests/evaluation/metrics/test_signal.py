"""Bandwidth, noise floor, clipping, duration, ambience beside action, diversity: known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foleykit.audio.resample import resample
from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.ambience_to_action import ambience_to_action_db
from foleykit.evaluation.metrics.clipping import clipped_share
from foleykit.evaluation.metrics.diversity import take_diversity
from foleykit.evaluation.metrics.duration_error import duration_error
from foleykit.evaluation.metrics.effective_bandwidth import effective_bandwidth
from foleykit.evaluation.metrics.noise_floor import noise_floor_db
from foleykit.evaluation.metrics.spectral_error import log_spectral_distance

RATE = 48_000


def noise(seconds: float, level_db: float, *, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (10 ** (level_db / 20) * samples).astype(np.float32)


def test_a_sound_that_was_resampled_upwards_keeps_its_bandwidth() -> None:
    for true_rate in (8_000, 16_000, 32_000):
        sound = resample(noise(2, -20, rate=true_rate), true_rate, RATE)
        assert effective_bandwidth(sound, RATE) == pytest.approx(true_rate / 2, rel=0.05)
    assert effective_bandwidth(noise(2, -20), RATE) == RATE / 2


def test_added_noise_fills_the_band_and_raises_the_floor() -> None:
    narrow = noise(2, -20, rate=16_000)
    narrow[:8_000] = 0
    sound = resample(narrow, 16_000, RATE)
    assert effective_bandwidth(sound, RATE) < 8_400
    assert noise_floor_db(sound, RATE) == -120
    for level_db in (-60, -50):
        noisy = sound + noise(2, level_db, seed=1)
        assert effective_bandwidth(noisy, RATE) == RATE / 2
        assert noise_floor_db(noisy, RATE) == pytest.approx(level_db, abs=0.5)


def test_rounding_to_sixteen_bits_is_no_content() -> None:
    sound = resample(noise(2, -20, rate=16_000), 16_000, RATE)
    rounded = (np.round(sound * 32768) / 32768).astype(np.float32)
    assert effective_bandwidth(rounded, RATE) < 8_400


def test_gain_changes_no_bandwidth_and_moves_the_floor_along() -> None:
    sound = resample(noise(1, -20, rate=16_000), 16_000, RATE)
    assert effective_bandwidth(0.1 * sound, RATE) == pytest.approx(effective_bandwidth(sound, RATE), abs=200)
    assert noise_floor_db(0.1 * sound, RATE) == pytest.approx(noise_floor_db(sound, RATE) - 20, abs=1e-3)


def test_silence_has_no_bandwidth() -> None:
    with pytest.raises(InputError, match="silence"):
        effective_bandwidth(np.zeros(RATE, np.float32), RATE)
    with pytest.raises(InputError, match="samples at least"):
        effective_bandwidth(np.ones(100, np.float32), RATE)


def test_a_clipped_sine_is_told_from_one_at_full_scale() -> None:
    sine = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    assert clipped_share(sine[None]) == 0
    clipped = np.clip(2 * sine, -1, 1)
    # |2 sin| exceeds 1 for two thirds of the time.
    assert clipped_share(clipped[None]) == pytest.approx(2 / 3, abs=0.01)
    assert clipped_share(2 * sine[None]) == pytest.approx(2 / 3, abs=0.01)
    assert clipped_share(np.stack([sine, clipped])) == pytest.approx(1 / 3, abs=0.01)
    sixteen_bit = np.clip(np.round(2 * sine * 32768), -32768, 32767).astype(np.float32) / 32768
    assert clipped_share(sixteen_bit[None]) == pytest.approx(2 / 3, abs=0.01)


def test_a_single_sample_at_full_scale_is_a_peak() -> None:
    waveform = np.zeros((1, 100), np.float32)
    waveform[0, 50:52] = 1
    assert clipped_share(waveform) == 0
    waveform[0, 52] = 1
    assert clipped_share(waveform) == 0.03


def test_exact_durations() -> None:
    assert duration_error(144_000, RATE, 3.0) == 0
    # 30 frames at 29.97 fps are 1.001 s: no rate of whole samples is nearer than the rounded one.
    assert duration_error(44_144, 44_100, 30 * 1001 / 30_000) == 0
    assert duration_error(48_128, 16_000, 3.0) == pytest.approx(0.008)
    assert duration_error(47_000, 16_000, 3.0) == pytest.approx(-0.0625)
    with pytest.raises(InputError, match="positive"):
        duration_error(0, RATE, 3.0)


def test_ambience_beside_action_in_closed_form() -> None:
    """Noise at -50 dBFS throughout and action at -20 dBFS in half of it are 30 dB apart."""
    waveform, gaps = noise(4, -50), np.ones(4 * RATE, np.bool_)
    waveform[RATE : 3 * RATE] += noise(2, -20, seed=1)
    gaps[RATE : 3 * RATE] = False
    ratio = ambience_to_action_db(waveform, gaps, RATE)
    assert ratio == pytest.approx(-30, abs=0.3)
    assert ambience_to_action_db(0.1 * waveform, gaps, RATE) == pytest.approx(ratio, abs=0.1)
    with pytest.raises(InputError, match="silence"):
        ambience_to_action_db(np.zeros_like(waveform), gaps, RATE)
    with pytest.raises(InputError, match="gaps"):
        ambience_to_action_db(waveform, np.zeros_like(gaps), RATE)


def test_equal_takes_have_no_diversity() -> None:
    one, other = (torch.from_numpy(noise(1, -20, seed=seed)) for seed in (0, 1))
    assert take_diversity([one, one, one]) == 0
    assert take_diversity([one, other]) == log_spectral_distance(one, other) > 1
    # Of three pairs one is equal.
    assert take_diversity([one, one, other]) == pytest.approx(2 / 3 * log_spectral_distance(one, other))
    with pytest.raises(InputError, match="at least two"):
        take_diversity([one])
