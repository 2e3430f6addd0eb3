"""The mel front end: calibrated, and honest about bands it cannot form."""

from __future__ import annotations

import math

import pytest
import torch

from foleykit.core.errors import ConfigError, InputError
from foleykit.evaluation.spectrogram import mel_filter_bank, power_spectrogram


def test_a_full_scale_sine_has_power_one() -> None:
    sine = torch.sin(2 * math.pi * 1000 * torch.arange(16_000) / 16_000)
    power = power_spectrogram(sine, window_length=400, num_fft=512, hop_length=160)
    assert power.shape == (257, 101)
    assert power[32, 20:80].tolist() == pytest.approx([1.0] * 60, abs=1e-3)


def test_neighbouring_bands_share_every_bin_between_their_peaks() -> None:
    bank = mel_filter_bank(257, 32, 16_000, 80.0, 7800.0)
    peaks = bank.argmax(dim=1)
    assert bank.min() >= 0 and bank.max() <= 1
    torch.testing.assert_close(bank[:, peaks[0] + 1 : peaks[-1]].sum(0), torch.ones(int(peaks[-1] - peaks[0]) - 1))


def test_impossible_bands_are_refused() -> None:
    with pytest.raises(ConfigError, match="too many"):
        mel_filter_bank(33, 128, 16_000, 0.0, 8000.0)
    with pytest.raises(ConfigError, match="max_hz"):
        mel_filter_bank(257, 32, 16_000, 0.0, 9000.0)
    with pytest.raises(InputError, match="one sample"):
        power_spectrogram(torch.zeros(0), window_length=400, num_fft=512, hop_length=160)
