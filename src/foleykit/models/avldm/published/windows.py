"""Windows of Action2Sound: which frames each of them sees, its mel, and where they lie on the latent axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.audio.unit_mel import UnitMel
from foleykit.diffusion.windows import WindowPlan, plan_windows
from foleykit.encoders.visual.timesformer import even_frame_indices
from foleykit.models.avldm.published.config import Action2SoundConfig


def window_mel(mel: UnitMel, waveform: Tensor, config: Action2SoundConfig) -> Tensor:
    """Return the mel (B, M, window_columns) in [0, 1] of windows (B, S), with the silence that training appends."""
    columns: Tensor = mel(waveform)
    return torch.nn.functional.pad(columns, (0, config.window_columns - columns.shape[-1]))


def plan_of(num_frames: int, config: Action2SoundConfig) -> WindowPlan:
    """Return the windows on the latent axis of a video of `num_frames` at the model's rate; one at least."""
    length = math.ceil(round(num_frames * config.frame_rate / config.video_fps, 6))
    return plan_windows(max(length, config.window_positions), config.window_positions, config.overlap_positions)


def windows_of(chunks: Iterable[NDArray[np.uint8]], config: Action2SoundConfig) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames (T, H, W, 3) that the encoder sees of each window of `plan_of` the stream.

    Only a few seconds of frames are held at a time. Beyond the end the last frame is held, which keeps the speed of a
    video shorter than a window.
    """
    picks = even_frame_indices(config.window_frames, config.video.num_frames)
    stride = config.window_positions - config.overlap_positions
    held: list[NDArray[np.uint8]] = []
    dropped = done = 0

    def first_frame(start: int) -> int:
        return round(start * config.video_fps / config.frame_rate)

    def seen(start: int) -> NDArray[np.uint8]:
        first = first_frame(start) - dropped
        return np.stack([held[min(first + pick, len(held) - 1)] for pick in picks])

    for chunk in chunks:
        held.extend(chunk)
        while dropped + len(held) >= first_frame(done * stride) + config.window_frames:
            yield seen(done * stride)
            # The very last window ends with the video and so may start anywhere after the one just seen.
            surplus = first_frame(done * stride) - dropped
            del held[:surplus]
            dropped += surplus
            done += 1
    if held:
        for start in plan_of(dropped + len(held), config).starts[done:]:
            yield seen(start)
