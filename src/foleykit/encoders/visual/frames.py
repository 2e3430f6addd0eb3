"""What encoders of single pictures share: the middle square, and the normalisation that their weights were made for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foleykit.core.errors import InputError, ModelError

MODEL_FILES = ("config.json", "model.safetensors")
Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class PictureConfig:
    """How often an encoder looks, and at what; of its kinds, each of which says what it is."""

    fps: float = 1.0
    """Frames per second that are read, each of the start of its interval."""

    @property
    def feature_rate(self) -> float:
        """Features per second."""
        return self.fps

    @property
    def is_cropped(self) -> bool:
        """Whether the encoder sees the middle square of a picture; else the whole is stretched to a square."""
        return True

    @property
    def context_frames(self) -> int:
        """Frames on either side that can influence a feature."""
        return 0


def middle_square(frames: Tensor, size: int) -> Tensor:
    """Return the middle (..., size, size) of `frames` (..., 3, H, W), whose short side is `size`; raises InputError."""
    height, width = frames.shape[-2:]
    if frames.ndim != 5 or frames.shape[2] != 3 or min(height, width) != size:
        raise InputError(
            f"the encoder sees frames (B, T, 3, H, W) with a short side of {size}, not {tuple(frames.shape)}"
        )
    top, left = (height - size) // 2, (width - size) // 2
    return frames[..., top : top + size, left : left + size]


def normalised(frames: Tensor, mean: Triple, deviation: Triple) -> Tensor:
    """Return `frames` (..., 3, H, W) in [0, 1] with `mean` and `deviation` of each channel removed."""
    shift, scale = (frames.new_tensor(values)[:, None, None] for values in (mean, deviation))
    return (frames - shift) / scale


def load_transformers(kind: Any, folder: Path, expected: dict[str, int], **options: bool) -> Any:
    """Return transformers' model of class `kind` from a local folder in its layout; nothing is downloaded.

    `expected` are attributes of its configuration that must agree, `options` go to its constructor. Raises ModelError
    when a file or a tensor is missing or the weights are of another size.
    """
    missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder} holds no {kind.__name__}: {' and '.join(missing)} missing; copy the folder from the hub whole"
        )
    try:
        model, loading = kind.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder} holds no whole {kind.__name__}: {str(error).strip().splitlines()[0]}") from error
    absent = sorted(loading["missing_keys"])
    if absent:
        raise ModelError(f"{folder} lacks {len(absent)} tensors of {kind.__name__}, {absent[0]} among them")
    for name, value in expected.items():
        found = getattr(model.config, name)
        if found != value:
            raise ModelError(f"{folder} holds an encoder with {name} {found}; this model was made for {value}")
    return model


def in_batches(frames: Tensor, size: int) -> list[Tensor]:
    """Return `frames` (N, ...) in parts of at most `size`, which bounds memory whatever the length of a clip."""
    return list(torch.split(frames, size))
