"""Mels in [0, 1] and Kaldi's filter bank: levels, frames, frequencies."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from foleykit.audio.kaldi_bank import KaldiBank, KaldiBankConfig
from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.core.errors import ConfigError, InputError

MEL = UnitMel(UnitMelConfig())
BANK = KaldiBank(KaldiBankConfig())


def tone(hertz: float, *, level: float = 0.1, num_samples: int = 16_000) -> Tensor:
    return level * torch.sin(2 * math.pi * hertz * torch.arange(num_samples) / 16_000)[None]


def test_values_stay_in_range_and_silence_is_zero() -> None:
    loud = MEL(100 * torch.randn(1, 8000))
    assert loud.min() >= 0 and loud.max() == 1
    assert not MEL(torch.zeros(1, 8000)).any()


def test_ten_times_the_amplitude_is_one_decade() -> None:
    low, high = (MEL.magnitude(tone(1000, level=level)) for level in (0.01, 0.1))
    torch.testing.assert_close(high, 10 * low)
    difference = MEL(tone(1000, level=0.1)) - MEL(tone(1000, level=0.01))
    assert difference.amax() == pytest.approx(1 / MEL.config.num_decades, abs=1e-4)


def test_the_natural_logarithm_is_that_of_the_magnitude() -> None:
    waveform = 0.1 * torch.randn(1, 8000)
    torch.testing.assert_close(MEL.natural_log(MEL(waveform)), MEL.magnitude(waveform).log(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("num_samples", [513, 8000, 48_000])
def test_the_first_frame_is_centred_on_the_first_sample(num_samples: int) -> None:
    assert MEL(torch.randn(1, num_samples)).shape[-1] == MEL.config.num_columns(num_samples)
    click = torch.zeros(1, 16_000)
    click[0, 40 * 256] = 1
    assert int(MEL.magnitude(click)[0].sum(dim=0).argmax()) == 40


def test_impossible_mels_are_refused() -> None:
    with pytest.raises(InputError, match="more than 512 samples"):
        MEL(torch.zeros(1, 512))
    with pytest.raises(ConfigError):
        UnitMelConfig(max_hz=9000.0)


def test_a_filter_bank_has_whole_frames_then_zeros() -> None:
    bank = BANK(tone(500, num_samples=24_000), 149)
    assert bank.shape == (1, 149, 128) and BANK.config.num_frames(24_000) == 148
    assert not bank[:, 148:].any() and bank[:, :148].abs().min() > 0
    with pytest.raises(InputError, match="needs 400 samples"):
        BANK(torch.zeros(1, 399), 10)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 5000.0])
def test_a_tone_is_loudest_in_its_own_band(hertz: float) -> None:
    band = int(BANK(tone(hertz), 98)[0].mean(dim=0).argmax())
    mel = 1127 * math.log(1 + hertz / 700)
    low, high = (1127 * math.log(1 + edge / 700) for edge in (20, 8000))
    assert abs(band + 1 - (mel - low) / (high - low) * 129) < 1.5


def test_gain_shifts_the_filter_bank_and_an_offset_does_nothing() -> None:
    waveform = 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    # The lowest triangles are narrower than a bin; those that hold next to nothing of one lie on the floor.
    covered = BANK.filters.sum(dim=0) > 0.1
    quiet, loud = (BANK(gain * waveform, 48)[..., covered] for gain in (1, 2))
    torch.testing.assert_close(loud - quiet, torch.full_like(quiet, math.log(4) / 9.14), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(BANK(waveform + 0.3, 48), BANK(waveform, 48), atol=1e-3, rtol=1e-3)
