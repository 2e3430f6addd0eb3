"""How much sound pulses at the rate of the frames it was made of: a buzz in what should be steady."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from foleykit.core.errors import InputError

_BESIDE_HZ = 16.0
"""How far the rates that the frame rate is compared with lie to either side."""


def frame_pattern_db(waveforms: Sequence[Tensor], *, sample_rate: int, hop_length: int) -> float:
    """Return the modulation of power at the frame rate over that at rates beside it, in dB; near 0 in recorded sound.

    It is the median over waveforms (S,) in [-1, 1] that last a second or more. Raises InputError where none does.
    """
    rate = sample_rate / hop_length
    ratios = []
    for waveform in waveforms:
        if len(waveform) < sample_rate:
            continue
        power = waveform.double().square()
        modulation = torch.fft.rfft((power - power.mean()) * torch.hann_window(len(power), dtype=power.dtype)).abs()
        at, reach = rate * len(power) / sample_rate, _BESIDE_HZ * len(power) / sample_rate
        beside = modulation[round(at - reach) : round(at + reach) + 1].square().mean()
        ratios.append(10 * float((modulation[round(at) - 1 : round(at) + 2].square().mean() / beside).log10()))
    if not ratios:
        raise InputError("a pattern is looked for in at least one waveform of a second or more")
    return float(np.median(ratios))
