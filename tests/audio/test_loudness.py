from __future__ import annotations

import math

import numpy as np
import pytest

from foleykit.audio.loudness import measure_loudness, normalise
from foleykit.core.errors import InputError


def tone(level_db: float, *, hz: float = 1000, rate: int = 48_000, seconds: float = 20, num_channels: int = 2):
    time = np.arange(round(seconds * rate)) / rate
    sine = (10 ** (level_db / 20) * np.sin(2 * np.pi * hz * time)).astype(np.float32)
    return np.tile(sine, (num_channels, 1))


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("level_db", [-23.0, -33.0])
def test_a_stereo_tone_at_1_khz_is_as_loud_as_its_level(rate, level_db):
    """EBU Tech 3341, cases 1 and 2."""
    assert measure_loudness(tone(level_db, rate=rate), rate).integrated_lufs == pytest.approx(level_db, abs=0.1)


def test_quiet_parts_do_not_count():
    """EBU Tech 3341, case 3: 10 s at -36, 60 s at -23, 10 s at -36 dBFS."""
    parts = [tone(-36, seconds=10), tone(-23, seconds=60), tone(-36, seconds=10)]
    assert measure_loudness(np.concatenate(parts, -1), 48_000).integrated_lufs == pytest.approx(-23, abs=0.1)


def test_the_true_peak_lies_between_the_samples():
    """A sine of a quarter of the rate, 45 degrees off its crests: its samples are 3 dB below its peak."""
    samples = np.arange(48_000)
    swell = np.hanning(48_000)
    sine = (0.5 * swell * np.sin(2 * np.pi * samples / 4 + np.pi / 4)).astype(np.float32)[None]
    assert np.abs(sine).max() == pytest.approx(0.5 / math.sqrt(2), rel=1e-3)
    assert measure_loudness(sine, 48_000).true_peak_dbtp == pytest.approx(20 * math.log10(0.5), abs=0.05)


def test_blocks_measure_like_the_whole():
    noise = np.random.default_rng(0).standard_normal((1, 130_000)).astype(np.float32) * 0.1
    whole = measure_loudness(noise, 16_000)
    blocks = measure_loudness(
        iter([noise[:, :7], noise[:, 7:50_000], noise[:, 50_000:50_000], noise[:, 50_000:]]), 16_000
    )
    assert blocks.integrated_lufs == pytest.approx(whole.integrated_lufs, abs=0.02)
    assert blocks.true_peak_dbtp == pytest.approx(whole.true_peak_dbtp, abs=0.05)


def test_a_short_sound_has_a_loudness_and_silence_has_none():
    short = measure_loudness(tone(-20, seconds=0.1), 48_000)
    assert short.integrated_lufs == pytest.approx(-20, abs=0.5)
    for silence in (np.zeros((2, 48_000), np.float32), np.zeros((1, 10), np.float32), []):
        assert measure_loudness(silence, 48_000).integrated_lufs == -math.inf
        assert measure_loudness(silence, 48_000).true_peak_dbtp == -math.inf
        assert normalise(silence, 48_000, target_lufs=-16) == 0


def test_the_gain_reaches_the_target_unless_the_ceiling_forbids_it():
    sound = tone(-40)
    gain_db = normalise(sound, 48_000, target_lufs=-16)
    assert gain_db == pytest.approx(24, abs=0.1)
    louder = (sound * 10 ** (gain_db / 20)).astype(np.float32)
    assert measure_loudness(louder, 48_000).integrated_lufs == pytest.approx(-16, abs=0.1)
    clicking = sound.copy()
    clicking[:, 48_000] = 0.5
    limited = clicking * 10 ** (normalise(clicking, 48_000, target_lufs=-16, ceiling_dbtp=-1) / 20)
    assert measure_loudness(limited.astype(np.float32), 48_000).true_peak_dbtp == pytest.approx(-1, abs=0.05)


def test_without_a_target_only_the_ceiling_acts():
    assert normalise(tone(-20), 48_000, target_lufs=None) == 0
    assert normalise(tone(2), 48_000, target_lufs=None, ceiling_dbtp=-1) == pytest.approx(-3, abs=0.05)


def test_an_unknown_layout_is_refused():
    with pytest.raises(InputError, match="not 7"):
        measure_loudness(np.zeros((7, 48_000), np.float32), 48_000)
