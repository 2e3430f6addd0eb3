"""Mel filter banks: triangles on the HTK axis and on Slaney's, which is librosa's default.

`transformers.audio_utils` has the latter too, the same within a rounding error, but takes a second to import.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

ON_CPU = torch.device("cpu")
"""Filters are read while a network is laid out, be it on a device without memory."""
LINEAR_HZ = 1000.0
"""Slaney's axis is linear up to here and logarithmic above."""
LINEAR_MEL = 15.0
"""Where that is on the axis."""
MEL_PER_E_FOLD = 27 / math.log(6.4)
"""Slope of the logarithmic part."""


class MelBands(Protocol):
    """What a front end's config says of its filters."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def n_fft(self) -> int: ...

    @property
    def num_mels(self) -> int: ...

    @property
    def min_hz(self) -> float: ...

    @property
    def max_hz(self) -> float: ...


def triangles(positions: Tensor, corners: Tensor) -> Tensor:
    """Return triangles (K, M) over `positions` (K): 1 at the inner `corners` (M + 2), 0 at their neighbours."""
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (positions[:, None] - left) / (centre - left)
    falling = (right - positions[:, None]) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0)


def htk_mel(hertz: Tensor) -> Tensor:
    """Return mel of frequencies in Hz on the HTK axis."""
    return 1127.0 * (1.0 + hertz / 700.0).log()


def htk_triangles(bands: MelBands) -> Tensor:
    """Return filters (K, M), float64, over K bins from 0 Hz to half the sample rate: peaks of 1, straight in HTK mel.

    The last bin is left out, as in Kaldi; VGGish, whose bands end below it, has no use for it either.
    """
    with ON_CPU:
        ends = htk_mel(torch.tensor([bands.min_hz, bands.max_hz], dtype=torch.float64))
        corners = torch.linspace(float(ends[0]), float(ends[1]), bands.num_mels + 2, dtype=torch.float64)
        hertz = torch.arange(bands.n_fft // 2 + 1, dtype=torch.float64) * bands.sample_rate / bands.n_fft
    filters = triangles(htk_mel(hertz), corners)
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


def slaney_filters(bands: MelBands, *, n_fft: int | None = None) -> Tensor:
    """Return filters (K, M), float32, over K bins from 0 Hz to half the sample rate: straight in Hz, of equal area.

    `n_fft` takes the place of that of `bands`, for spectra that are finer or coarser.
    """
    low, high = slaney_mel(bands.min_hz), slaney_mel(bands.max_hz)
    num_bins = (n_fft or bands.n_fft) // 2 + 1
    with ON_CPU:
        corners = slaney_hertz(torch.linspace(low, high, bands.num_mels + 2, dtype=torch.float64))
        hertz = torch.linspace(0, bands.sample_rate / 2, num_bins, dtype=torch.float64)
    return (triangles(hertz, corners) * (2.0 / (corners[2:] - corners[:-2]))).float()
