"""What is found, what is not, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.foley import RATE, SECONDS, hits
from foleykit.audio.resample import resample
from foleykit.core.errors import InputError
from foleykit.watermark import detect, embed
from foleykit.watermark.detection import FALSE_ALARM_RATE, calibrated

KEY = b"a key of the test"
MESSAGE = 0xBEEF
Waveform = NDArray[np.float32]


@pytest.fixture(scope="module")
def marked() -> Waveform:
    return embed(hits(), RATE, MESSAGE, KEY).waveform


def test_the_message_is_found_with_its_key_and_nothing_with_another(marked: Waveform) -> None:
    heard = detect(marked, RATE, KEY)
    assert (heard.verdict, heard.message, heard.speed) == ("found", MESSAGE, 1.0)
    assert heard.p_value < FALSE_ALARM_RATE
    for other in (detect(marked, RATE, b"another"), detect(marked, RATE), detect(hits(), RATE, KEY)):
        assert (other.verdict, other.message, other.spans) == ("not found", None, ())
        assert other.p_value > 1e-4


def test_detection_is_deterministic(marked: Waveform) -> None:
    assert detect(marked, RATE, KEY) == detect(marked, RATE, KEY)


@pytest.mark.parametrize("start", [1, 127, 5000, 33_333])
def test_any_offset_and_any_three_seconds_do(marked: Waveform, start: int) -> None:
    assert detect(marked[:, start:], RATE, KEY).message == MESSAGE
    assert detect(marked[:, start : start + 3 * RATE], RATE, KEY).verdict == "found"


def test_rate_gain_polarity_and_channels_do_not_matter(marked: Waveform) -> None:
    noise = 0.003 * np.random.default_rng(3).standard_normal(marked.shape).astype(np.float32)
    treated = {
        "48 kHz": (resample(marked, RATE, 48_000), 48_000),
        "44.1 kHz": (resample(marked, RATE, 44_100), 44_100),
        "quiet": (0.1 * marked, RATE),
        "loud": (10 * marked, RATE),
        "inverted": (-marked, RATE),
        "one inverted": (np.concatenate([marked, -0.6 * marked]), RATE),
        "noisy": (marked + noise, RATE),
        "16 bit": (np.round(marked * 32767).astype(np.float32) / 32767, RATE),
    }
    for name, (waveform, rate) in treated.items():
        assert detect(waveform, rate, KEY).verdict == "found", name


@pytest.mark.parametrize("room", [1e-4, 3e-4])
def test_noise_added_to_a_quiet_room_leaves_the_mark_of_the_hits(room: float) -> None:
    """Most of the mark lies in decays and pauses, which 20 dB of noise cover; what stands above it still tells."""
    quiet = embed(hits(1, room=room), RATE, MESSAGE, KEY).waveform
    noise = 0.1 * np.sqrt(np.square(quiet).mean()) * np.random.default_rng(1).standard_normal(quiet.shape)
    assert detect((quiet + noise).astype(np.float32), RATE, KEY).verdict == "found"


@pytest.mark.parametrize("speed", [0.98, 0.993, 1.011, 1.02])
def test_a_change_of_speed_is_found_out(marked: Waveform, speed: float) -> None:
    played = resample(marked, round(48_000 * speed), 48_000)
    heard = detect(played, RATE, KEY)
    assert heard.message == MESSAGE
    assert heard.speed == pytest.approx(speed, abs=0.005)
    assert detect(resample(marked, 52_800, 48_000), RATE, KEY, speed_range=0.12).verdict == "found"


def test_marks_written_at_48_khz_are_found_at_16() -> None:
    sound = resample(hits(5), RATE, 48_000)
    heard = detect(resample(embed(sound, 48_000, MESSAGE, KEY).waveform, 48_000, RATE), RATE, KEY)
    assert heard.message == MESSAGE


def test_marked_seconds_are_told(marked: Waveform) -> None:
    spliced = np.concatenate([hits(1), marked[:, : 6 * RATE], hits(2)], axis=-1)
    heard = detect(spliced, RATE, KEY)
    assert heard.verdict == "found"
    (start, end) = heard.spans[0][0], heard.spans[-1][1]
    assert abs(start - SECONDS) < 1.1 and abs(end - (SECONDS + 6)) < 1.1


def test_a_mark_in_a_long_sound_is_found_in_its_part(marked: Waveform) -> None:
    long = np.concatenate([hits(number, seconds=30.0) for number in range(3)], axis=-1)
    long[:, 70 * RATE : 70 * RATE + marked.shape[-1]] = marked
    heard = detect(long, RATE, KEY)
    assert heard.message == MESSAGE
    assert abs(heard.spans[0][0] - 70) < 1.1 and abs(heard.spans[-1][1] - 78) < 1.1


def test_too_little_sound_is_no_verdict() -> None:
    silent = np.zeros((1, 8 * RATE), np.float32)
    assert detect(silent, RATE, KEY).verdict == "too little"
    silent[:, RATE : 2 * RATE] = hits(seconds=1.0)
    heard = detect(silent, RATE, KEY)
    assert heard.verdict == "too little" and 0.5 < heard.audible_seconds < 1.5
    assert detect(hits(seconds=0.01), RATE, KEY).verdict == "too little"


def test_p_values_of_unmarked_sound_are_uniform() -> None:
    """A wrong key is a decoy: over many of them every p-value is as frequent as it says, within what 240 can tell."""
    p_values = np.array(
        [
            detect(hits(seed, seconds=4.0), RATE, key.to_bytes(2, "big")).p_value
            for seed in range(4)
            for key in range(60)
        ]
    )
    for limit in (0.05, 0.2, 0.5, 0.8):
        share = float((p_values <= limit).mean())
        # Two searches share the chance evenly, which leaves the joint p-value a little too large in its upper half.
        assert limit - limit**2 / 4 - 0.08 < share < limit + 0.08
    assert p_values.min() > 1e-5


def test_calibration_follows_the_number_of_tries() -> None:
    """With the largest of n normal values as decoys, the p-value of a score is the chance that n values reach it."""
    rng = np.random.default_rng(0)
    for count in (100, 10_000):
        decoys = rng.standard_normal((400, count)).max(1)
        assert calibrated(float(np.median(decoys)), decoys) == pytest.approx(0.5, abs=0.01)
        later = rng.standard_normal((400, count)).max(1)
        shares = [calibrated(float(score), decoys) for score in later]
        assert np.mean(shares) == pytest.approx(0.5, abs=0.08)
        assert calibrated(9.0, decoys) < 1e-13


def test_calibration_holds_in_the_tail_of_tries_that_agree() -> None:
    """Tries of which ten each agree are as few as a tenth around the median, and more among the rarest."""
    rng, best = np.random.default_rng(0), []
    for _ in range(10):
        shared, own = rng.standard_normal((2000, 1, 100)), rng.standard_normal((2000, 10, 100))
        best.append((np.sqrt(0.9) * shared + np.sqrt(0.1) * own).reshape(2000, -1).max(1))
    decoys = np.concatenate(best)
    shares = np.array([calibrated(float(score), decoys) for score in decoys])
    for limit in (0.1, 0.03, 0.01):
        assert 0.7 * limit < float((shares <= limit).mean()) < 1.1 * limit


def test_impossible_input_is_refused() -> None:
    with pytest.raises(InputError, match="needs"):
        detect(np.zeros((1, 0), np.float32), RATE, KEY)
    with pytest.raises(InputError, match="speed_range"):
        detect(hits(seconds=1.0), RATE, KEY, speed_range=0.5)
