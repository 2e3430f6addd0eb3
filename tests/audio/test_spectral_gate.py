"""The denoiser: stationary noise goes, what stands out of it stays, the length is kept."""

from __future__ import annotations

import numpy as np
import pytest

from foleykit.audio.spectral_gate import SpectralGateConfig, spectral_gate
from foleykit.core.errors import ConfigError


def level_db(waveform: np.ndarray) -> float:
    return float(10 * np.log10(np.square(waveform).mean() + 1e-12))


def test_noise_is_turned_down_and_a_burst_stays() -> None:
    rng = np.random.default_rng(0)
    noise = (0.02 * rng.standard_normal(48_000)).astype(np.float32)
    burst = noise.copy()
    burst[24_000:26_000] += (0.4 * rng.standard_normal(2000)).astype(np.float32)
    assert level_db(spectral_gate(noise)) < level_db(noise) - 15
    gated = spectral_gate(burst)
    assert gated.shape == burst.shape and gated.dtype == np.float32
    assert level_db(gated[24_200:25_800]) == pytest.approx(level_db(burst[24_200:25_800]), abs=1.0)
    assert level_db(gated[:20_000]) < level_db(burst[:20_000]) - 15


def test_silence_stays_silent_and_bad_settings_are_refused() -> None:
    assert np.abs(spectral_gate(np.zeros(5000, np.float32))).max() < 1e-6
    with pytest.raises(ConfigError, match="odd smoothing"):
        SpectralGateConfig(smoothing=4)
