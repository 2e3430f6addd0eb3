"""Spectral errors ignore phase, count decibels, and are zero between equals."""

import pytest
import torch

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.spectral_error import log_spectral_distance, multi_resolution_stft_error


def noise(seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(16_000, generator=torch.Generator().manual_seed(seed))


def test_equal_and_inverted_sound_have_no_error() -> None:
    for other in (noise(0), -noise(0)):
        assert log_spectral_distance(noise(0), other) == 0 and multi_resolution_stft_error(noise(0), other) == 0


def test_a_gain_is_its_decibels() -> None:
    """Ten times as loud: 20 dB in every bin; convergence |1 - 10| plus ln 10."""
    assert log_spectral_distance(noise(0), 10 * noise(0)) == pytest.approx(20, rel=1e-3)
    error = multi_resolution_stft_error(noise(0), 10 * noise(0))
    assert error == pytest.approx(9 + torch.tensor(10.0).log().item(), rel=1e-3)


def test_what_is_below_hearing_does_not_count() -> None:
    assert log_spectral_distance(torch.zeros(8000), 1e-6 * noise(1)[:8000]) == 0


def test_more_foreign_sound_is_a_larger_error() -> None:
    near, far = noise(0) + 0.1 * noise(1), noise(0) + 0.5 * noise(1)
    for metric in (log_spectral_distance, multi_resolution_stft_error):
        assert 0 < metric(noise(0), near) < metric(noise(0), far)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="equally long"):
        log_spectral_distance(noise(0), noise(0)[:-1])
    with pytest.raises(InputError, match="more than 1024"):
        multi_resolution_stft_error(noise(0)[:900], noise(0)[:900])
