"""Where an ambience is taken from, and at what level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.audio.files import write_waveform
from foleykit.core.errors import MediaError
from foleykit.jobs.ambience import (
    at_level,
    background_level_db,
    background_stretch,
    middle_of,
    quietest_stretch,
    read_recording,
    rms_dbfs,
)

RATE = 16_000


def noise(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal((1, round(seconds * RATE))).astype(np.float32)


@given(level_db=st.floats(-60, -10), source=st.floats(1e-3, 0.5))
def test_level_is_what_was_asked_for(level_db: float, source: float) -> None:
    assert rms_dbfs(at_level(noise(0.1, source), level_db)) == pytest.approx(level_db, abs=1e-3)


@given(level=st.floats(1e-4, 0.2), num_hits=st.integers(0, 9))
def test_background_is_what_lies_between_actions(level: float, num_hits: int) -> None:
    waveform = noise(3, level)
    steady = rms_dbfs(waveform)
    for hit in range(num_hits):
        first = 3 * hit * RATE // 10
        waveform[:, first : first + RATE // 20] += 0.5
    assert background_level_db(waveform, RATE) == pytest.approx(steady, abs=0.5)


def test_background_of_silence_and_of_very_short_sound() -> None:
    assert background_level_db(np.zeros((1, RATE), np.float32), RATE) == -np.inf
    blip = noise(0.01)
    assert background_level_db(blip, RATE) == pytest.approx(rms_dbfs(blip))


def test_silence_has_no_level_to_set() -> None:
    silence = np.zeros((1, 100), np.float32)
    assert not at_level(silence, -20).any() and rms_dbfs(silence) == -np.inf


@given(start=st.integers(0, 50))
def test_quietest_stretch_is_found_to_a_tenth_of_a_second(start: int) -> None:
    waveform = noise(8)
    first = start * RATE // 10
    waveform[:, first : first + 3 * RATE] *= 0.1
    stretch = quietest_stretch(waveform, RATE, 3 * RATE)
    np.testing.assert_array_equal(stretch, waveform[:, first : first + 3 * RATE])


def test_digital_silence_is_no_ambience() -> None:
    waveform = noise(6)
    waveform[:, : 3 * RATE] = 0
    stretch = quietest_stretch(waveform, RATE, RATE)
    assert stretch is not None and rms_dbfs(stretch) > -60
    assert quietest_stretch(np.zeros((1, 5 * RATE), np.float32), RATE, RATE) is None


def test_short_sound_is_used_whole() -> None:
    waveform = noise(0.5)
    np.testing.assert_array_equal(quietest_stretch(waveform, RATE, 3 * RATE), waveform)
    np.testing.assert_array_equal(middle_of(waveform, 3 * RATE), waveform)


def test_recordings_are_read_mono_at_the_rate_from_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "bed.flac"
    time = np.arange(10 * 48_000) / 48_000
    tone = 0.2 * np.sin(2 * np.pi * 300 * time) * (np.abs(time - 5) < 2)
    write_waveform(path, np.stack([tone, tone]).astype(np.float32), 48_000)
    clip = read_recording(str(path), RATE, 3 * RATE)
    assert clip.waveform.shape == (1, 3 * RATE) and clip.name == "bed.flac"
    assert rms_dbfs(clip.waveform) == pytest.approx(20 * np.log10(0.2 / np.sqrt(2)), abs=0.1)


def test_a_misspelt_word_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="auto, quiet, original or the path"):
        read_recording("quit", RATE, RATE)


def test_a_background_stretch_is_neither_gap_nor_action() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 10 * RATE)).astype(np.float32)
    levels = np.repeat([-80.0, -40.0, -40.0, -40.0, -40.0, -40.0, -40.0, -10.0, -40.0, -40.0], RATE)
    stretch = background_stretch(noise * (10 ** (levels / 20)).astype(np.float32), RATE, RATE)
    assert stretch.shape == (1, RATE) and rms_dbfs(stretch) == pytest.approx(-40, abs=1.5)
    assert background_stretch(noise[:, :100], RATE, RATE).shape == (1, 100)
