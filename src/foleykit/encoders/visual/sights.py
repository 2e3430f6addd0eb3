"""What a model of pictures and text sees of a video: single pictures, and stretches of frames for timing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.core.checkpoint import build_with_weights, frozen, with_weights
from foleykit.core.errors import InputError
from foleykit.encoders.clip import ClipConfig, ClipImageTower, restore_positions
from foleykit.encoders.visual.pictures import centred, squeezed
from foleykit.encoders.visual.steering import OnsetSteering, load_steering, seen_features
from foleykit.encoders.visual.synchformer import Synchformer, SynchformerConfig
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder

PICTURES_AT_ONCE = 8
SEGMENTS_AT_ONCE = 2
"""In one network call; bounds memory whatever the length of the video."""

Chunks = Iterable[NDArray[np.uint8]]
"""Frames (t, H, W, 3) in a row, a few at a time."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What was seen of a video, on the CPU."""

    pictures: Tensor
    """(P, W)"""
    segments: Tensor
    """(S, G, W) G synchronisation tokens of each stretch."""
    evidence: Tensor | None = None
    """(S,) logits that something begins to sound, before `encoders.visual.steering` makes them clear."""
    strangeness: float = 0.0
    """How unlike the training videos it looks, 0 to 1."""


class TwoRateSight:
    """One encoder for both: its features frame by frame are the timing, their means over some frames the pictures."""

    def __init__(
        self,
        encoder: TwoRateEncoder,
        picture_fps: float,
        device: torch.device,
        steering: OnsetSteering | None = None,
    ) -> None:
        self.encoder = frozen(encoder, device)
        self.steering = steering
        self.device = device
        self.stride = round(encoder.config.fps / picture_fps)

    def encode(self, frames: Chunks, pictures: Chunks, num_segments: int, *, sensitivity: float = 0.0) -> Sighting:
        """Return features as segments (S, 1, W), one for each frame, and as pictures their means (P, W).

        The last frame is held up to `num_segments`. `pictures` are not looked at; `sensitivity` is that of the
        steering. Raises InputError without a frame.
        """
        seen = seen_features(self.encoder, self.steering, frames, self.device, sensitivity=sensitivity)
        kept = torch.arange(max(num_segments, len(seen.told))).clamp(max=len(seen.told) - 1)
        features = seen.told[kept]
        return Sighting(
            pictures=picture_means(features, self.stride),
            segments=features[:, None],
            evidence=None if seen.evidence is None else seen.evidence[kept],
            strangeness=seen.strangeness,
        )


def picture_means(features: Tensor, stride: int) -> Tensor:
    """Return means (P, W) of `features` (T, W) over `stride` frames each, the last frame held to fill the last mean."""
    held = torch.cat((features, features[-1:].expand(-len(features) % stride, -1)))
    return held.unflatten(0, (-1, stride)).mean(dim=1)


class ClipSynchformerSight:
    """CLIP for the pictures, Synchformer for the timing."""

    steering = None
    """Its features are told as they are."""

    def __init__(self, image: ClipImageTower, sync: Synchformer, device: torch.device) -> None:
        self.image = frozen(image, device)
        self.sync = frozen(sync, device)
        self.device = device

    def encode(self, frames: Chunks, pictures: Chunks, num_segments: int, *, sensitivity: float = 0.0) -> Sighting:
        """Return embeddings (P, W) of `pictures` and tokens (S, 8, W) of `num_segments` stretches of `frames`.

        Either comes in any size. The last frame is held where there are too few. `sensitivity` does nothing: these
        encoders have no steering. Raises InputError without a picture or without a frame.
        """
        return Sighting(pictures=self.embeddings(pictures), segments=self.tokens(frames, num_segments))

    @torch.inference_mode()
    def embeddings(self, pictures: Chunks) -> Tensor:
        """Return embeddings (P, W) of `pictures` of any size; raises InputError without one."""
        embeddings = [self._embed(part) for part in pieces(pictures, PICTURES_AT_ONCE)]
        if not embeddings:
            raise InputError("the model needs at least one picture and got none")
        return torch.cat(embeddings)

    @torch.inference_mode()
    def tokens(self, frames: Chunks, num_segments: int) -> Tensor:
        """Return tokens (S, 8, W) of `num_segments` stretches of `frames` of any size; raises InputError without one.

        The last frame is held where there are too few.
        """
        return torch.cat(list(self._segments(frames, num_segments)))

    def _embed(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return (t, W) of pictures (t, H, W, 3)."""
        pictures = squeezed(torch.from_numpy(pixels).permute(0, 3, 1, 2), self.image.config.input_size)
        return self.image(pictures.to(self.device)).cpu()

    def _segments(self, frames: Chunks, count: int) -> Iterator[Tensor]:
        """Yield synchronisation tokens (n, 8, W) of the first `count` stretches; the last frame is held at the end."""
        config = self.sync.config
        length, stride = config.segment_frames, config.segment_stride
        waiting: list[Tensor] = []
        missing = count
        for pixels in pieces(frames, stride):
            waiting.extend(centred(torch.from_numpy(pixels).permute(0, 3, 1, 2), config.size))
            while missing and len(waiting) >= (enough := length + stride * (min(missing, SEGMENTS_AT_ONCE) - 1)):
                made = self._see(waiting[:enough])
                yield made
                missing -= len(made)
                del waiting[: stride * len(made)]
        if missing and not waiting:
            raise InputError("the model needs at least one video frame and got none")
        while missing:
            waiting.extend(waiting[-1:] * max(0, length - len(waiting)))
            made = self._see(waiting[:length])
            yield made
            missing -= 1
            # One frame stays to be held.
            del waiting[: min(stride, len(waiting) - 1)]

    def _see(self, frames: Sequence[Tensor]) -> Tensor:
        """Return (n, 8, W) of as many stretches as lie in `frames`, each (3, H, W)."""
        config = self.sync.config
        stretches = [
            torch.stack(list(frames[start : start + config.segment_frames]))
            for start in range(0, len(frames) - config.segment_frames + 1, config.segment_stride)
        ]
        return self.sync(torch.stack(stretches).to(self.device)).cpu()


Sight = ClipSynchformerSight | TwoRateSight


def load_sight(
    sync: SynchformerConfig | TwoRateConfig,
    clip: ClipConfig | None,
    folder: Path,
    *,
    picture_fps: float,
    device: torch.device | str,
    dtype: torch.dtype,
) -> Sight:
    """Return the encoders of a model folder: `video.safetensors`, or `image` and `sync` with their weights in `dtype`.

    Raises ModelError when a file is missing or does not fit.
    """
    if isinstance(sync, TwoRateConfig):
        encoder = with_weights(TwoRateEncoder(sync), folder / "video.safetensors")
        return TwoRateSight(encoder, picture_fps, torch.device(device), load_steering(folder, sync.width))
    assert clip is not None
    image = build_with_weights(lambda: ClipImageTower(clip), folder / "image.safetensors", dtype)
    restore_positions(image)
    segments = build_with_weights(lambda: Synchformer(sync), folder / "sync.safetensors", dtype)
    return ClipSynchformerSight(image, segments, torch.device(device))


def pieces(chunks: Chunks, size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of `chunks` (t, H, W, 3) in pieces of at most `size`."""
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]
