from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.audio.resample import StreamResampler, fit_length, resample, resample_blocks, resampled_length
from foleykit.core.errors import InputError

RATES = [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]


@given(st.integers(0, 5000), st.sampled_from(RATES), st.sampled_from(RATES), st.integers(1, 3))
def test_the_length_is_exactly_the_rounded_duration(num_samples, from_rate, to_rate, num_channels):
    waveform = np.zeros((num_channels, num_samples), np.float32)
    converted = resample(waveform, from_rate, to_rate)
    assert converted.shape == (num_channels, resampled_length(num_samples, from_rate, to_rate))
    assert abs(converted.shape[1] - num_samples * to_rate / from_rate) <= 0.5


@pytest.mark.parametrize(("from_rate", "to_rate"), [(48_000, 16_000), (16_000, 48_000), (44_100, 16_000)])
def test_a_tone_keeps_its_phase_and_level(from_rate, to_rate):
    tones = [np.sin(2 * np.pi * 1234 * np.arange(rate) / rate) for rate in (from_rate, to_rate)]
    converted = resample(tones[0][None].astype(np.float32), from_rate, to_rate)[0]
    inner = slice(to_rate // 20, -to_rate // 20)
    np.testing.assert_allclose(converted[inner], tones[1][inner], atol=1e-4)


def test_what_lies_above_the_new_limit_leaves_no_alias():
    tone = np.sin(2 * np.pi * 11_000 * np.arange(96_000) / 48_000).astype(np.float32)
    alias = resample(tone[None], 48_000, 16_000)[0, 1000:-1000]
    assert 20 * np.log10(np.abs(alias).max()) < -90


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=8), st.sampled_from(RATES), st.sampled_from(RATES))
def test_pieces_joined_equal_the_whole(sizes, from_rate, to_rate):
    waveform = np.random.default_rng(len(sizes)).standard_normal((2, sum(sizes))).astype(np.float32)
    stream = StreamResampler(from_rate, to_rate, 2)
    pieces, at = [], 0
    for position, size in enumerate(sizes):
        pieces.append(stream.push(waveform[:, at : at + size], last=position == len(sizes) - 1))
        at += size
    np.testing.assert_allclose(np.concatenate(pieces, -1), resample(waveform, from_rate, to_rate), atol=1e-5)
    blocks = np.split(waveform, np.cumsum(sizes)[:-1], axis=1)
    np.testing.assert_array_equal(
        np.concatenate(list(resample_blocks(blocks, from_rate, to_rate)), -1), np.concatenate(pieces, -1)
    )


def test_equal_rates_return_the_same_samples_and_bad_rates_are_refused():
    waveform = np.ones((1, 10), np.float32)
    assert resample(waveform, 16_000, 16_000) is waveform
    with pytest.raises(InputError):
        resample(waveform, 0, 16_000)


def test_fit_length_cuts_and_pads_at_the_end():
    waveform = np.arange(1, 4, dtype=np.float32)[None]
    np.testing.assert_array_equal(fit_length(waveform, 2), [[1, 2]])
    np.testing.assert_array_equal(fit_length(waveform, 5), [[1, 2, 3, 0, 0]])
