"""When things hit each other, read from optical flow alone: the baseline that no training at all gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import ConfigError, UsageError
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe


@dataclass(frozen=True, kw_only=True)
class VisualImpactConfig:
    width: int = 160
    """Pixels across the pictures that flow is computed on."""
    max_fps: float = 60.0
    """Faster videos are read at this rate."""
    num_directions: int = 8
    """Directions in which motion is followed apart: what turns round stops in one and starts in another."""
    threshold: float = 0.25
    """Least height of a peak over the envelope's mean, in its standard deviations."""
    min_gap_seconds: float = 0.15
    """Least distance of two impacts."""

    def __post_init__(self) -> None:
        if self.width < 32 or self.num_directions < 2 or self.max_fps <= 0 or self.min_gap_seconds <= 0:
            raise ConfigError("flow needs pictures 32 pixels wide, two directions, a rate and a gap above zero")


def impact_envelope(frames: Iterable[NDArray[np.uint8]], config: VisualImpactConfig) -> NDArray[np.float64]:
    """Return how much motion comes to a halt (T,) from each of the frames, chunks (t, H, W, 3), to the next.

    Dense flow (DIS: Kroeger et al. 2016) without its median, which is the camera's, is summed by direction; what a
    direction loses from one frame to the next is impact (Davis and Agrawala 2018, sec. 3). Unit: pixels per frame,
    averaged over the picture.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise UsageError("optical flow needs OpenCV: pip install 'foleykit[flow]'") from error

    flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    envelope: list[float] = []
    earlier: NDArray[np.uint8] | None = None
    moving = np.zeros(config.num_directions)
    for chunk in frames:
        for picture in chunk:
            grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
            if earlier is None:
                envelope.append(0.0)
            else:
                flow = flow_of.calc(earlier, grey, None)  # type: ignore[call-overload]
                flow -= np.median(flow, axis=(0, 1))
                before, moving = moving, _by_direction(flow, config.num_directions)
                envelope.append(float(np.maximum(before - moving, 0).sum()))
            earlier = grey
    return np.array(envelope)


def _by_direction(flow: NDArray[np.float32], num_directions: int) -> NDArray[np.float64]:
    """Return (num_directions,) the length of flow vectors (H, W, 2), summed by direction, per pixel."""
    turns = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi)
    index = np.floor((turns + 0.5) * num_directions).astype(int) % num_directions
    lengths = np.hypot(flow[..., 0], flow[..., 1])
    return np.bincount(index.ravel(), lengths.ravel(), num_directions) / lengths.size


def visual_impacts(
    path: Path, *, seconds: float, config: VisualImpactConfig = VisualImpactConfig()
) -> NDArray[np.float64]:
    """Return the times (N,), in seconds, at which the first `seconds` of a video show an impact.

    Raises MediaError when it cannot be read and UsageError without OpenCV.
    """
    info = probe(path)
    fps = min(info.average_fps, config.max_fps)
    height = max(32, round(config.width * info.height / info.width / 2) * 2)
    reader = VideoReader(info, fps=fps, size=(height, config.width), end=min(seconds, float(info.duration)))
    return envelope_peaks(impact_envelope(reader, config), fps, config)


def envelope_peaks(envelope: NDArray[np.float64], fps: float, config: VisualImpactConfig) -> NDArray[np.float64]:
    """Return the times (N,) in seconds of an envelope's peaks: the highest within reach, clearly over the mean."""
    if len(envelope) < 3 or envelope.std() == 0:
        return np.zeros(0)
    reach = max(1, round(config.min_gap_seconds * fps))
    padded = np.pad(envelope, reach, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    is_peak = (envelope >= around) & (envelope > envelope.mean() + config.threshold * envelope.std())
    return np.flatnonzero(is_peak) / fps
