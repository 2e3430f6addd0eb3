"""Triangles on the HTK mel axis, and Slaney's as the rest of the field has them."""

from __future__ import annotations

import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from foleykit.audio.mel_filters import htk_mel, htk_triangles, slaney_filters


def test_a_thousand_hertz_is_a_thousand_mel() -> None:
    assert float(htk_mel(torch.tensor(1000.0, dtype=torch.float64))) == pytest.approx(1000, abs=0.1)


def test_neighbours_add_up_to_one_between_the_first_and_the_last_peak() -> None:
    filters = htk_triangles(sample_rate=16_000, n_fft=4096, num_mels=20, min_hz=100.0, max_hz=7_000.0)
    assert filters.min() >= 0 and filters.max() <= 1
    first, last = int(filters[:, 0].argmax()), int(filters[:, -1].argmax())
    torch.testing.assert_close(filters[first + 1 : last].sum(dim=1), torch.ones(last - first - 1, dtype=torch.float64))


def test_nothing_is_heard_outside_the_band_nor_in_the_last_bin() -> None:
    filters = htk_triangles(sample_rate=16_000, n_fft=512, num_mels=20, min_hz=500.0, max_hz=8_000.0)
    hertz = torch.arange(257) * 16_000 / 512
    assert not filters[hertz <= 500].any() and not filters[-1].any()


@pytest.mark.parametrize(
    ("sample_rate", "n_fft", "num_mels", "min_hz", "max_hz"),
    [
        pytest.param(16_000, 1024, 80, 40.0, 8_000.0, id="shipped models at 16 kHz"),
        pytest.param(48_000, 2048, 128, 40.0, 24_000.0, id="48 kHz"),
        pytest.param(16_000, 1024, 128, 125.0, 7_600.0, id="Action2Sound"),
        pytest.param(32_000, 1024, 64, 50.0, 14_000.0, id="PANNs"),
        pytest.param(44_100, 2048, 128, 0.0, 22_050.0, id="librosa's default"),
    ],
)
def test_slaneys_filters_are_those_of_transformers(
    sample_rate: int, n_fft: int, num_mels: int, min_hz: float, max_hz: float
) -> None:
    ours = slaney_filters(sample_rate=sample_rate, n_fft=n_fft, num_mels=num_mels, min_hz=min_hz, max_hz=max_hz)
    theirs = mel_filter_bank(
        num_frequency_bins=n_fft // 2 + 1,
        num_mel_filters=num_mels,
        min_frequency=min_hz,
        max_frequency=max_hz,
        sampling_rate=sample_rate,
        norm="slaney",
        mel_scale="slaney",
    )
    torch.testing.assert_close(ours, torch.from_numpy(theirs).float(), rtol=1e-6, atol=1e-12)
