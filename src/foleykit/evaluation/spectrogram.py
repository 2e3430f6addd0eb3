"""The mel front end that the onset detector and the sound classifier share; independent of any model's mel."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from foleykit.audio.mel_filters import triangles
from foleykit.core.errors import ConfigError, InputError


@cache
def mel_filter_bank(num_bins: int, num_mels: int, sample_rate: int, min_hz: float, max_hz: float) -> Tensor:
    """Return triangles (M, num_bins) that peak at 1, equally spaced on the HTK mel scale.

    Raises ConfigError when a band is so narrow that no spectrum bin falls into it.
    """
    if not 0 <= min_hz < max_hz <= sample_rate / 2:
        raise ConfigError(f"mel bands need 0 <= min_hz < max_hz <= {sample_rate / 2:g}, got {min_hz:g} to {max_hz:g}")
    low, high = (2595 * torch.tensor([1 + min_hz / 700, 1 + max_hz / 700], dtype=torch.float64).log10()).tolist()
    mels = torch.linspace(low, high, num_mels + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = torch.linspace(0, sample_rate / 2, num_bins, dtype=torch.float64)
    bank = triangles(bins, edges).T.contiguous()
    if (bank.sum(1) == 0).any():
        raise ConfigError(f"{num_mels} mel bands are too many for {num_bins} spectrum bins at {sample_rate} Hz")
    return bank.float()


def power_spectrogram(waveform: Tensor, *, window_length: int, num_fft: int, hop_length: int) -> Tensor:
    """Return the power (..., num_fft // 2 + 1, F) of `waveform` (..., S) in centred Hann windows, `F = S // hop + 1`.

    A full-scale sine has power 1 in its bin. Samples outside the waveform are zeros.
    """
    if waveform.shape[-1] < 1:
        raise InputError("a waveform needs at least one sample")
    window = torch.hann_window(window_length, dtype=waveform.dtype, device=waveform.device)
    flat = waveform.reshape(-1, waveform.shape[-1])
    spectrum = torch.stft(
        flat, num_fft, hop_length, window_length, window, center=True, pad_mode="constant", return_complex=True
    )
    power = spectrum.abs().square() / (window.sum() / 2).square()
    return power.reshape(*waveform.shape[:-1], *power.shape[-2:])
