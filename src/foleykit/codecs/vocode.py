"""Long mels to sound in chunks that saw enough of their neighbours for the result to be that of one pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

CHUNK_FRAMES = 512
"""Mel frames made into sound at a time."""
CONTEXT_FRAMES = 64
"""On either side; more than a BigVGAN looks at."""


def vocode(vocoder: nn.Module, log_mel: Tensor, hop_length: int) -> NDArray[np.float32]:
    """Return samples (F hop_length,) of `log_mel` (M, F) by a vocoder of (B, M, F) to (B, 1, F hop_length)."""
    num_frames = log_mel.shape[1]
    out = np.empty(num_frames * hop_length, np.float32)
    for start in range(0, num_frames, CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, num_frames)
        left, right = max(0, start - CONTEXT_FRAMES), min(stop + CONTEXT_FRAMES, num_frames)
        made = vocoder(log_mel[None, :, left:right])[0, 0].float().cpu().numpy()
        offset = (start - left) * hop_length
        out[start * hop_length : stop * hop_length] = made[offset : offset + (stop - start) * hop_length]
    return out
