"""Long mels to sound in chunks that saw enough of their neighbours for the result to be that of one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.codecs.unit_mel_vocoder import CONTEXT_FRAMES, FRAMES_PER_TURN

CHUNK_FRAMES = 512
"""Mel frames made into sound at a time."""
FADE_FRAMES = 16
"""On either side of a seam, over which chunks are cross-faded; only Griffin-Lim's differ there."""


def vocode(
    vocoder: nn.Module, inputs: Sequence[Tensor], hop_length: int, *, chunk_frames: int = CHUNK_FRAMES
) -> NDArray[np.float32]:
    """Return samples (F hop_length,) by a vocoder of mel (B, M, F), and noise if it takes any, to (B, 1, F hop_length).

    `inputs` are the log-mel (M, F) and, for such a vocoder, the noise (N, F).
    """
    num_frames = inputs[0].shape[1]
    reach = CONTEXT_FRAMES + FADE_FRAMES
    assert chunk_frames % FRAMES_PER_TURN == 0 and reach % FRAMES_PER_TURN == 0 and chunk_frames >= 2 * FADE_FRAMES
    out = np.zeros(num_frames * hop_length, np.float32)
    for start in range(0, num_frames, chunk_frames):
        stop = start + chunk_frames
        left, right = max(0, start - reach), min(stop + reach, num_frames)
        first, last = max(0, start - FADE_FRAMES), min(stop + FADE_FRAMES, num_frames)
        made = vocoder(*(part[None, :, left:right] for part in inputs))[0, 0].float().cpu().numpy()
        span = slice(first * hop_length, last * hop_length)
        weight = np.ones(span.stop - span.start, np.float32)
        if start > 0:
            weight *= rise(span, start, hop_length)
        if stop < num_frames:
            weight -= rise(span, stop, hop_length)
        out[span] += weight * made[span.start - left * hop_length : span.stop - left * hop_length]
    return out


def rise(span: slice, seam: int, hop_length: int) -> NDArray[np.float32]:
    """Return the weight of what follows the frame `seam` at the samples of `span`: from 0 to 1 across the seam."""
    frames = np.arange(span.start, span.stop) / hop_length
    return np.clip((frames - seam + FADE_FRAMES) / (2 * FADE_FRAMES), 0, 1).astype(np.float32)
