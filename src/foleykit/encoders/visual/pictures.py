"""Frames as files hold them to the squares that encoders see: bicubic, antialiased, rounded to bytes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foleykit.core.errors import InputError
from foleykit.encoders.visual.imagebind import resize_bytes


def squeezed(frames: Tensor, size: int) -> Tensor:
    """Return `frames` (T, 3, H, W), uint8, as squares (T, 3, size, size) in [0, 1], their shape not kept."""
    _check(frames)
    return nn.functional.interpolate(frames, (size, size), mode="bicubic", antialias=True).float() / 255


def centred(frames: Tensor, size: int) -> Tensor:
    """Return the middle squares (T, 3, size, size) in [0, 1] of `frames` (T, 3, H, W), uint8, scaled to fit them."""
    _check(frames)
    small = resize_bytes(frames, size)
    top, left = (round((side - size) / 2) for side in small.shape[2:])
    return small[:, :, top : top + size, left : left + size].float() / 255


def _check(frames: Tensor) -> None:
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
        raise InputError(f"frames must be (T, 3, H, W) of bytes, not {tuple(frames.shape)} of {frames.dtype}")
