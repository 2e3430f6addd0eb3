"""Triangles on the HTK mel axis, and Slaney's as the rest of the field has them."""

from __future__ import annotations

import pytest
import torch

from foleykit.audio.mel import LogMelConfig
from foleykit.audio.mel_filters import MelBands, htk_mel, htk_triangles, slaney_filters
from foleykit.audio.unit_mel import UnitMelConfig
from foleykit.encoders.audio.cnn14 import Cnn14Config


def test_a_thousand_hertz_is_a_thousand_mel() -> None:
    assert float(htk_mel(torch.tensor(1000.0, dtype=torch.float64))) == pytest.approx(1000, abs=0.1)


def test_neighbours_add_up_to_one_between_the_first_and_the_last_peak() -> None:
    filters = htk_triangles(LogMelConfig(n_fft=4096, num_mels=20, min_hz=100.0, max_hz=7_000.0))
    assert filters.min() >= 0 and filters.max() <= 1
    first, last = int(filters[:, 0].argmax()), int(filters[:, -1].argmax())
    torch.testing.assert_close(filters[first + 1 : last].sum(dim=1), torch.ones(last - first - 1, dtype=torch.float64))


def test_nothing_is_heard_outside_the_band_nor_in_the_last_bin() -> None:
    filters = htk_triangles(LogMelConfig(n_fft=512, win_length=512, num_mels=20, min_hz=500.0))
    hertz = torch.arange(257) * 16_000 / 512
    assert not filters[hertz <= 500].any() and not filters[-1].any()


@pytest.mark.parametrize(
    "bands",
    [
        pytest.param(LogMelConfig(), id="shipped models at 16 kHz"),
        pytest.param(
            LogMelConfig(sample_rate=48_000, n_fft=2048, num_mels=128, max_hz=24_000.0), id="up to half of 48 kHz"
        ),
        pytest.param(UnitMelConfig(), id="Action2Sound"),
        pytest.param(Cnn14Config(), id="PANNs"),
        pytest.param(
            UnitMelConfig(sample_rate=44_100, n_fft=2048, min_hz=0.0, max_hz=22_050.0), id="librosa's default"
        ),
    ],
)
def test_slaneys_filters_are_those_of_transformers(bands: MelBands) -> None:
    audio_utils = pytest.importorskip("transformers.audio_utils", reason="pip install 'foleykit[published]'")
    theirs = audio_utils.mel_filter_bank(
        num_frequency_bins=bands.n_fft // 2 + 1,
        num_mel_filters=bands.num_mels,
        min_frequency=bands.min_hz,
        max_frequency=bands.max_hz,
        sampling_rate=bands.sample_rate,
        norm="slaney",
        mel_scale="slaney",
    )
    torch.testing.assert_close(slaney_filters(bands), torch.from_numpy(theirs).float(), rtol=1e-6, atol=1e-12)


def test_filters_for_coarser_spectra_keep_their_band() -> None:
    fine, coarse = slaney_filters(LogMelConfig()), slaney_filters(LogMelConfig(), n_fft=512)
    assert fine.shape == (513, 80) and coarse.shape == (257, 80)
    torch.testing.assert_close(coarse, fine[::2])
