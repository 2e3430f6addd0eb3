"""AV-Sync and AV-Sim as Action2Sound's evaluation computes them, its half-clip cut included."""

from __future__ import annotations

import torch
from torch import Tensor

from foleykit.audio.kaldi_bank import KaldiBank
from foleykit.core.errors import InputError

HEARD_SECONDS = (1.0, 2.5)
"""What the audio encoder hears of a clip of three seconds: around the narrated moment."""


def heard_part(waveform: Tensor, sample_rate: int) -> Tensor:
    """Return the part (B, S') of clips `waveform` (B, S) that the audio encoder hears.

    Of a half clip of a second and a half this leaves half a second; published scores were computed so.
    """
    start, end = (round(seconds * sample_rate) for seconds in HEARD_SECONDS)
    return waveform[:, start:end]


def filter_bank(waveform: Tensor, bank: KaldiBank, *, num_frames: int = 149) -> Tensor:
    """Return what the audio encoder takes, (B, num_frames, M), of clips `waveform` (B, S)."""
    return bank(heard_part(waveform, bank.config.sample_rate), num_frames)


def halves(clip: Tensor, *, dim: int) -> tuple[Tensor, Tensor]:
    """Return the two halves of `clip` along `dim`; raises InputError when it cannot be halved."""
    if clip.shape[dim] < 2 or clip.shape[dim] % 2:
        raise InputError(f"a clip of {clip.shape[dim]} cannot be halved; give an even length")
    first, second = clip.chunk(2, dim=dim)
    return first, second


def is_synchronised(probabilities: Tensor) -> Tensor:
    """Return (B,) bool from `probabilities` (B, 2) of the two halves: one half in time is enough."""
    return (probabilities >= 0.5).any(dim=1)


def synchronised_share(probabilities: Tensor) -> float:
    """Return AV-Sync, the share of clips in [0, 1] that count as synchronised, of `probabilities` (B, 2)."""
    return float(is_synchronised(probabilities).to(torch.float64).mean())
