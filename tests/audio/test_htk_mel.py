"""Triangles on the HTK mel axis."""

from __future__ import annotations

import pytest
import torch

from foleykit.audio.htk_mel import htk_mel, htk_triangles


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
