"""Coded long videos to batches of the language model, each a pure function of (seed, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.codecs import TokenCodec
from foleykit.core.types import CodesBatch
from foleykit.encoders.visual.two_rate import TwoRateEncoder
from foleykit.models.foleygen.config import FoleyGenConfig
from foleykit.recipes.avldm_batches import PCM_SCALE, step_rng
from foleykit.world.cache import CachedVideo


@dataclass(frozen=True, kw_only=True)
class CodedVideo:
    """A long video after codec and video encoder."""

    features: NDArray[np.float16]
    """(T, D) at the encoder's rate."""
    codes: NDArray[np.int16]
    """(A, K, L) of the mixture under each ambience."""


@torch.inference_mode()
def code_video(
    video: CachedVideo, codec: TokenCodec, encoder: TwoRateEncoder, device: str
) -> dict[str, NDArray[np.generic]]:
    """Return `features` and `codes` of one long video; 4 kB of codes for ten seconds under one ambience."""
    frames = torch.from_numpy(np.array(video.frames)).to(device).permute(0, 3, 1, 2).float() / 255
    features = encoder(frames[None])[0]
    mixes = (video.action + video.off_screen.astype(np.float32) + video.ambient).clip(-PCM_SCALE, PCM_SCALE) / PCM_SCALE
    codes = codec.encode(torch.from_numpy(mixes.astype(np.float32)).to(device)[:, None])
    return {"features": features.cpu().numpy().astype(np.float16), "codes": codes.cpu().numpy().astype(np.int16)}


@dataclass(frozen=True, kw_only=True)
class CodesBatches:
    """Windows of codes with the visual vectors of the same time."""

    videos: Sequence[CodedVideo]
    config: FoleyGenConfig
    batch_size: int
    device: str
    seed: int = 0
    quiet_share: float = 0.4
    """Share of windows with the quiet ambience, in which the action is heard alone."""

    def __call__(self, step: int) -> CodesBatch:
        rng = step_rng(self.seed, step)
        codes, video = zip(*(self._window(rng) for _ in range(self.batch_size)), strict=True)
        return CodesBatch(
            codes=torch.from_numpy(np.stack(codes).astype(np.int64)).to(self.device),
            video=torch.from_numpy(np.stack(video).astype(np.float32)).to(self.device),
        )

    def _window(self, rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.float16]]:
        """Return codes (K, L) and visual vectors (N, D) of a window that starts with any frame of the encoder's."""
        config = self.config
        video = self.videos[int(rng.integers(len(self.videos)))]
        variant = 1 if rng.random() < self.quiet_share else int(rng.integers(len(video.codes)))
        rate, stride = config.video.feature_rate, config.feature_stride
        num_features = config.window_visual * stride
        last = min(
            len(video.features) - num_features,
            int((video.codes.shape[2] - config.window_frames) * rate / config.lm.frame_rate),
        )
        first = int(rng.integers(last + 1))
        start = round(first * config.lm.frame_rate / rate)
        return (
            video.codes[variant, :, start : start + config.window_frames],
            video.features[first : first + num_features : stride],
        )
