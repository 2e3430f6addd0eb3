"""What the mark does to a sound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fixtures.foley import RATE, hits
from foleykit.audio.resample import resample
from foleykit.core import signals
from foleykit.core.errors import InputError
from foleykit.watermark import embed
from foleykit.watermark.spectrum import MAX_STRENGTH, frames_of, levels_of, num_frames, power_of

KEY = b"a key of the test"


def test_the_same_input_gives_the_same_samples() -> None:
    first, second = (embed(hits(), RATE, 7, KEY) for _ in range(2))
    np.testing.assert_array_equal(first.waveform, second.waveform)
    assert not np.array_equal(first.waveform, embed(hits(), RATE, 8, KEY).waveform)
    assert not np.array_equal(first.waveform, embed(hits(), RATE, 7, b"another").waveform)


@pytest.mark.parametrize("seed", range(4))
def test_the_mark_lies_at_its_level(seed: int) -> None:
    sound = hits(seed)
    marked = embed(sound, RATE, 7, KEY)
    mark = marked.waveform - sound
    ratio = 10 * math.log10(float(np.square(sound).sum() / np.square(mark).sum()))
    assert marked.snr_db == pytest.approx(ratio, abs=0.05)
    assert 33 < ratio < 40


def test_the_mark_stays_under_the_sound_in_every_band() -> None:
    """The filled dips between the peaks of noise add 5 dB to the largest strength of a band."""
    sound = hits()
    mark = embed(sound, RATE, 7, KEY).waveform - sound
    count = num_frames(sound.shape[-1])
    below = levels_of(power_of(frames_of(sound, 0, count))).power
    level = levels_of(power_of(frames_of(mark, 0, count))).power
    heard = below > 1e-3 * below.max()
    ratio_db = 10 * np.log10(level[heard] / below[heard])
    assert ratio_db.max() < 20 * math.log10(MAX_STRENGTH) + 5.5
    assert np.median(ratio_db) < 20 * math.log10(MAX_STRENGTH)


def test_silence_stays_silence() -> None:
    sound = hits()
    sound[:, 2 * RATE : 4 * RATE] = 0
    marked = embed(sound, RATE, 7, KEY).waveform
    # The longest window and the resampler reach a little into the gap.
    np.testing.assert_allclose(marked[:, 2 * RATE + 1024 : 4 * RATE - 1024], 0, atol=1e-9)
    nothing = embed(np.zeros((2, RATE), np.float32), RATE, 7, KEY)
    assert not nothing.waveform.any() and nothing.snr_db == math.inf


def test_what_is_too_faint_for_any_file_is_left_alone() -> None:
    faint = (3e-6 * np.random.default_rng(0).standard_normal((1, 3 * RATE))).astype(np.float32)
    mark = embed(faint, RATE, 7, KEY).waveform - faint
    assert np.abs(mark).max() < 0.01 * np.abs(faint).max()


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_shapes_stay_as_they_are(rate: int, num_channels: int) -> None:
    for num_samples in (1, 100, 12_345):
        noise = 0.1 * np.random.default_rng(1).standard_normal((num_channels, num_samples))
        sound = noise.astype(np.float32)
        assert embed(sound, rate, 7, KEY).waveform.shape == sound.shape


def test_parts_keep_their_sum() -> None:
    sound = hits(3)
    part = (0.3 * sound + 0.01 * np.random.default_rng(2).standard_normal(sound.shape)).astype(np.float32)
    marked = embed(sound, RATE, 7, KEY, parts=(part, sound - part))
    np.testing.assert_allclose(sum(marked.parts), marked.waveform, atol=1e-6)
    assert not np.array_equal(marked.parts[0], part)


def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long sound is marked block by block; where the blocks end cannot be seen."""
    sound = np.concatenate([hits(seed) for seed in range(3)], axis=-1)
    whole = embed(sound, RATE, 7, KEY).waveform
    monkeypatch.setattr("foleykit.watermark.embedding._BLOCK_FRAMES", 777)
    in_blocks = embed(sound, RATE, 7, KEY).waveform
    difference = np.sqrt(np.mean(np.square(in_blocks - whole)))
    assert difference < 0.02 * np.sqrt(np.mean(np.square(whole - sound)))


@pytest.mark.parametrize(
    ("waveform", "rate"), [(np.zeros(10), 16_000), (np.zeros((1, 0)), 16_000), (np.zeros((1, 10)), 4000)]
)
def test_impossible_input_is_refused(waveform: NDArray[np.float32], rate: int) -> None:
    with pytest.raises(InputError, match="needs"):
        embed(waveform, rate, 7, KEY)
    with pytest.raises(InputError, match="shape of the whole"):
        embed(hits(), RATE, 7, KEY, parts=(np.zeros((1, 5), np.float32),))


def test_a_version_of_a_sound_can_be_marked_in_step_with_it() -> None:
    """Where two versions agree, the mark that continues the first one's changes both alike."""
    sound, other = hits(3, seconds=12.0), hits(4, seconds=12.0)
    joined = np.concatenate([sound[:, : 6 * RATE], other[:, 6 * RATE :]], axis=1)
    first = embed(sound, RATE, 0xBEEF)
    second = embed(joined, RATE, 0xBEEF, shift=first.shift)
    np.testing.assert_allclose(second.waveform[:, : 4 * RATE], first.waveform[:, : 4 * RATE], atol=1e-5)
    assert embed(sound, RATE, 0xBEEF, shift=first.shift).waveform.tobytes() == first.waveform.tobytes()


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_a_sound_on_disk_is_marked_alike(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = hits(5) if rate == RATE else resample(hits(5), RATE, rate)
    in_memory = embed(sound, rate, 77, parts=(0.25 * sound,))
    monkeypatch.setattr(signals, "IN_MEMORY_BYTES", 0)
    on_disk = embed(sound, rate, 77, parts=(0.25 * sound,))
    assert not isinstance(on_disk.waveform, np.ndarray)
    np.testing.assert_array_equal(on_disk.waveform[:, :], in_memory.waveform)
    np.testing.assert_array_equal(on_disk.parts[0][:, :], in_memory.parts[0])
    assert (on_disk.shift, on_disk.snr_db) == (in_memory.shift, in_memory.snr_db)
