"""The pulse of frames: absent in noise, found where noise is made to pulse at that rate and no other."""

import numpy as np
import pytest
import torch

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.frame_pattern import frame_pattern_db

RATE, HOP = 16_000, 160


def pulsing(hertz: float, depth: float) -> torch.Tensor:
    noise = torch.randn(3 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    return noise * (1 + depth * torch.sin(2 * np.pi * hertz * torch.arange(len(noise)) / RATE))


def pattern_of(*waveforms: torch.Tensor) -> float:
    return frame_pattern_db(waveforms, sample_rate=RATE, hop_length=HOP)


def test_only_a_pulse_at_the_frame_rate_is_found() -> None:
    assert abs(pattern_of(*(pulsing(100.0, 0.0).roll(shift) for shift in (0, 999)))) < 3
    assert pattern_of(pulsing(100.0, 0.3)) > pattern_of(pulsing(100.0, 0.1)) > 6
    assert pattern_of(pulsing(92.0, 0.3)) < 0


def test_short_sounds_are_left_out_and_none_is_refused() -> None:
    assert pattern_of(pulsing(100.0, 0.3), torch.zeros(100)) == pattern_of(pulsing(100.0, 0.3))
    with pytest.raises(InputError, match="a second or more"):
        pattern_of(torch.zeros(100))
