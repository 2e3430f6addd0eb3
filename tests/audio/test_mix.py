from __future__ import annotations

import numpy as np
import pytest

from foleykit.audio.mix import duck, duck_gain, mix_original, to_channels
from foleykit.core.errors import InputError

RATE = 16_000


def noise(num_channels: int, num_samples: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (num_channels, num_samples)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("wanted", [1, 2, 6])
def test_channels_become_what_is_asked_for_and_cannot_clip(count, wanted):
    mixed = to_channels(noise(count), wanted)
    assert mixed.shape == (wanted, RATE)
    assert np.abs(mixed).max() <= 1


def test_mono_and_stereo_round_trips_keep_the_sound():
    mono = noise(1)
    np.testing.assert_array_equal(to_channels(to_channels(mono, 2), 1), mono)
    np.testing.assert_array_equal(to_channels(to_channels(noise(2), 6), 6)[:2], noise(2))


def test_dialogue_in_the_centre_of_5_1_reaches_both_sides_equally_and_bass_is_left_out():
    surround = np.zeros((6, 10), np.float32)
    surround[2] = 1
    left, right = to_channels(surround, 2)
    np.testing.assert_array_equal(left, right)
    assert left[0] > 0.2
    surround[2], surround[3] = 0, 1
    assert not to_channels(surround, 2).any()


def test_an_unknown_layout_is_refused():
    with pytest.raises(InputError):
        to_channels(noise(7), 2)


@pytest.mark.parametrize("mode", ["keep", "duck"])
@pytest.mark.parametrize("num_original", [RATE // 2, RATE, 2 * RATE])
def test_the_mix_is_the_sum_of_its_stems_and_as_long_as_the_generated_sound(mode, num_original):
    mixed = mix_original(noise(1), noise(2, num_original, seed=1), mode, sample_rate=RATE)
    assert mixed.generated.shape == mixed.original.shape == mixed.waveform.shape == (2, RATE)
    np.testing.assert_array_equal(mixed.waveform, mixed.generated + mixed.original)
    np.testing.assert_array_equal(mixed.generated[0], noise(1)[0])


def test_keep_leaves_the_original_as_it_is():
    original = noise(1, seed=2)
    np.testing.assert_array_equal(mix_original(noise(1), original, "keep", sample_rate=RATE).original, original)


def test_ducking_falls_before_the_event_by_the_depth_and_comes_back():
    sidechain = 0.001 * noise(1, 3 * RATE)
    sidechain[:, RATE : RATE + RATE // 5] = noise(1, RATE // 5)
    gain_db = 20 * np.log10(duck_gain(sidechain, RATE, depth_db=12))
    assert gain_db.shape == (3 * RATE,)
    assert gain_db[RATE] == pytest.approx(-12, abs=0.5)
    assert gain_db[round(1.15 * RATE)] == pytest.approx(-12, abs=0.1)
    assert gain_db[: round(0.95 * RATE)] == pytest.approx(0, abs=0.1)
    assert gain_db[round(1.5 * RATE) :] == pytest.approx(0, abs=0.1)
    # No step is audible as a click: at most 12 dB within 10 ms.
    assert np.abs(np.diff(gain_db)).max() < 13 / (RATE / 100)


def test_a_steady_background_ducks_nothing():
    assert duck_gain(0.3 * noise(2, 2 * RATE), RATE).min() > 0.95
    assert duck_gain(np.zeros((1, RATE), np.float32), RATE).min() == 1


@pytest.mark.parametrize("num_samples", [1, 7, 159, 161])
def test_very_short_sounds_have_a_gain_for_every_sample(num_samples):
    assert duck_gain(noise(1, num_samples), RATE).shape == (num_samples,)


def test_ducking_heard_in_blocks_is_that_of_the_whole():
    sidechain = noise(1, 3 * RATE + 77) * np.repeat([0.01, 1, 0.01], [RATE, RATE, RATE + 77]).astype(np.float32)
    ducking = duck(np.split(sidechain, [1, 5000, 20_001, 20_001], axis=1), RATE)
    parts = [ducking(start, min(start + 7000, sidechain.shape[1])) for start in range(0, sidechain.shape[1], 7000)]
    np.testing.assert_array_equal(np.concatenate(parts), duck_gain(sidechain, RATE))
