"""Triangular filters on the HTK mel axis, which Kaldi and VGGish share; Slaney's are in `mel`."""

from __future__ import annotations

import torch
from torch import Tensor


def htk_mel(hertz: Tensor) -> Tensor:
    """Return mel of frequencies in Hz."""
    return 1127.0 * (1.0 + hertz / 700.0).log()


def htk_triangles(*, sample_rate: int, n_fft: int, num_mels: int, min_hz: float, max_hz: float) -> Tensor:
    """Return filters (K, M), float64, over K bins from 0 Hz to half the sample rate: peaks of 1, straight in mel.

    The last bin is left out, as in Kaldi; VGGish, whose bands end below it, has no use for it either.
    """
    ends = htk_mel(torch.tensor([min_hz, max_hz], dtype=torch.float64))
    corners = torch.linspace(float(ends[0]), float(ends[1]), num_mels + 2, dtype=torch.float64)
    bins = htk_mel(torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    filters = torch.minimum(rising, falling).clamp(min=0)
    filters[-1] = 0
    return filters
