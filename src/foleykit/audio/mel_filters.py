"""Mel filter banks: triangles on the HTK axis and on Slaney's, which is librosa's default.

`transformers.audio_utils` has the latter too, the same within a rounding error, but takes a second to import.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LINEAR_HZ = 1000.0
"""Slaney's axis is linear up to here and logarithmic above."""
LINEAR_MEL = 15.0
"""Where that is on the axis."""
MEL_PER_E_FOLD = 27 / math.log(6.4)
"""Slope of the logarithmic part."""


def triangles(positions: Tensor, corners: Tensor) -> Tensor:
    """Return triangles (K, M) over `positions` (K): each peaks at 1 on an inner one of `corners` (M + 2), and ends at
    that one's neighbours."""
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (positions[:, None] - left) / (centre - left)
    falling = (right - positions[:, None]) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0)


def htk_mel(hertz: Tensor) -> Tensor:
    """Return mel of frequencies in Hz on the HTK axis."""
    return 1127.0 * (1.0 + hertz / 700.0).log()


def htk_triangles(*, sample_rate: int, n_fft: int, num_mels: int, min_hz: float, max_hz: float) -> Tensor:
    """Return filters (K, M), float64, over K bins from 0 Hz to half the sample rate: peaks of 1, straight in HTK mel.

    The last bin is left out, as in Kaldi; VGGish, whose bands end below it, has no use for it either.
    """
    ends = htk_mel(torch.tensor([min_hz, max_hz], dtype=torch.float64))
    corners = torch.linspace(float(ends[0]), float(ends[1]), num_mels + 2, dtype=torch.float64)
    bins = htk_mel(torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft)
    filters = triangles(bins, corners)
    filters[-1] = 0
    return filters


def slaney_mel(hertz: float) -> float:
    """Return mel of a frequency in Hz on the axis of Slaney's Auditory Toolbox (1998)."""
    if hertz < LINEAR_HZ:
        return hertz * LINEAR_MEL / LINEAR_HZ
    return LINEAR_MEL + math.log(hertz / LINEAR_HZ) * MEL_PER_E_FOLD


def slaney_hertz(mel: Tensor) -> Tensor:
    """Return the frequencies in Hz of positions on the same axis."""
    return torch.where(
        mel < LINEAR_MEL, mel * LINEAR_HZ / LINEAR_MEL, LINEAR_HZ * ((mel - LINEAR_MEL) / MEL_PER_E_FOLD).exp()
    )


def slaney_filters(*, sample_rate: int, n_fft: int, num_mels: int, min_hz: float, max_hz: float) -> Tensor:
    """Return filters (K, M), float32, over K bins from 0 Hz to half the sample rate: straight in Hz, of equal area."""
    mels = torch.linspace(slaney_mel(min_hz), slaney_mel(max_hz), num_mels + 2, dtype=torch.float64)
    corners = slaney_hertz(mels)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    return (triangles(bins, corners) * (2.0 / (corners[2:] - corners[:-2]))).float()
