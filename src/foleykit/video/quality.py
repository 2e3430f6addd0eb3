"""What in the pictures of a video makes its sound hard to guess, measured in passing while it is decoded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_COARSE_WIDTH = 64
_FINE_WIDTH = 480
_LAG = 4
_LEAST_GRADIENT = 1e-4
"""Mean squared difference over the lag, of pictures from 0 to 1, below which there is no edge to measure."""
_PATCH = 4
"""Pixels either way that a value of the thumbnail is the mean of, whatever it stands for."""


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """When something is worth a warning."""

    min_brightness: float = 0.12
    """Mean luma, 0 to 1."""
    max_blur: float = 2.5
    """Width of edges, as the standard deviation of a Gaussian blur, in pixels of a picture 480 wide."""
    max_duplicates: float = 0.25
    """Share of pictures that repeat the one before while the video moves."""
    max_jump: float = 0.7
    """Change from one picture to the next over that within half a second; near 1 motion cannot be followed."""
    min_frame_rate: float = 12.0
    """Pictures per second that differ."""
    min_change: float = 0.012
    """Mean change within half a second, 0 to 1, below which nothing moves that could be followed."""
    sharpness_interval: float = 0.5
    """Seconds between pictures that are looked at for blur."""


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """What was measured; None where the video gives nothing to measure it on."""

    brightness: float
    """Mean luma, 0 to 1."""
    blur: float | None
    """Width of edges in pixels of a picture 480 wide; None of pictures without edges."""
    duplicate_share: float | None
    """Share of pictures that repeat the one before; None of a video that does not move."""
    jump: float | None
    """Change from one picture to the next over that within half a second; None of a video that does not move."""
    frame_rate: float
    """Pictures per second that differ from the one before."""
    problems: tuple[str, ...] = ()
    """What may make the sound worse, in words."""


class QualityWatch:
    """Sees every decoded picture of a span; costs some tens of microseconds for each."""

    def __init__(self, fps: float, config: QualityConfig = QualityConfig()) -> None:
        """`fps` is the video's own rate."""
        self._config = config
        self._fps = fps
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=max(2, round(fps / 2)) + 1)
        self._lumas: list[float] = []
        self._blurs: list[float] = []
        self._steps: list[float] = []
        self._strides: list[float] = []
        self._next_sharp = float("-inf")

    def __call__(self, frame: VideoFrame, time: float) -> None:
        """Take the next picture, at `time` seconds."""
        luma = luma_of(frame)
        if luma is None:
            return
        coarse = thumbnail(luma)
        self._lumas.append(float(coarse.mean()))
        if self._recent:
            self._steps.append(float(np.abs(coarse - self._recent[-1]).mean()))
        self._recent.append(coarse)
        if len(self._recent) == self._recent.maxlen:
            self._strides.append(float(np.abs(coarse - self._recent[0]).mean()))
        if time >= self._next_sharp:
            self._next_sharp = time + self._config.sharpness_interval
            blur = edge_width(luma)
            if blur is not None:
                self._blurs.append(blur)

    def report(self) -> QualityReport | None:
        """Return what was seen; None where not one picture could be measured."""
        if not self._lumas:
            return None
        config = self._config
        steps = np.array(self._steps)
        change = float(np.median(self._strides)) if self._strides else 0.0
        duplicates = jump = None
        frame_rate = self._fps
        if change >= config.min_change:
            is_same = steps < min(0.001, 0.02 * change)
            duplicates = float(is_same.mean())
            frame_rate = self._fps * (1 - duplicates)
            jump = float(np.median(steps[~is_same])) / change if (~is_same).any() else None
        report = QualityReport(
            brightness=round(float(np.median(self._lumas)), 3),
            blur=round(float(np.median(self._blurs)), 2) if self._blurs else None,
            duplicate_share=None if duplicates is None else round(duplicates, 3),
            jump=None if jump is None else round(jump, 3),
            frame_rate=round(frame_rate, 2),
        )
        return replace(report, problems=problems_of(report, config))


def problems_of(report: QualityReport, config: QualityConfig) -> tuple[str, ...]:
    """Return what in `report` passes the limits of `config`, in words."""
    problems = []
    if report.brightness < config.min_brightness:
        problems.append(f"the pictures are dark (mean {100 * report.brightness:.0f} %)")
    if report.blur is not None and report.blur > config.max_blur:
        problems.append(f"the pictures are blurred (edges {100 * report.blur / _FINE_WIDTH:.1f} % of the width)")
    if report.duplicate_share is not None and report.duplicate_share > config.max_duplicates:
        problems.append(f"{100 * report.duplicate_share:.0f} % of the pictures repeat the one before")
    if report.jump is not None and (report.jump > config.max_jump or report.frame_rate < config.min_frame_rate):
        problems.append(f"{report.frame_rate:.3g} pictures per second are too few for the motion")
    return tuple(problems)


Luma = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W) of 8 or of 10 bits"""


def luma_of(frame: VideoFrame) -> Luma | None:
    """Return the luma plane of a decoded picture, not copied; None of formats that have none of 8 or 10 bits."""
    name, depth = frame.format.name, frame.format.components[0].bits
    if not name.startswith(("yuv", "nv12", "nv21", "gray")) or name.endswith("be"):
        return None
    plane = frame.planes[0]
    rows = memoryview(plane)
    match depth:
        case 8:
            return np.frombuffer(rows, np.uint8).reshape(plane.height, -1)[:, : plane.width]
        case 10:
            return np.frombuffer(rows, np.uint16).reshape(plane.height, -1)[:, : plane.width]
        case _:
            return None


def _full_scale(luma: Luma) -> np.float32:
    return np.float32(255 if luma.dtype == np.uint8 else 4 * 255)


def thumbnail(luma: Luma) -> NDArray[np.float32]:
    """Return about 64 columns of small patches' means, 0 to 1: enough to see what moves, too coarse to see grain."""
    step = max(1, luma.shape[1] // _COARSE_WIDTH)
    height, width = max(1, luma.shape[0] // step), luma.shape[1] // step
    blocks = luma[: height * step, : width * step].reshape(height, -1, width, step)[:, :_PATCH, :, :_PATCH]
    return blocks.mean(axis=(1, 3), dtype=np.float32) / _full_scale(luma)


def edge_width(luma: Luma) -> float | None:
    """Return the width of edges in the middle of a picture (H, W), in pixels of a picture 480 wide.

    None without edges, and of pictures so small that their own pixels are as wide as blur.
    Of an edge blurred by a Gaussian of deviation s, the squared slope sums to 2 s^2 times the squared curvature. Both
    are taken as differences over `_LAG` pixels, since those over one drown in rounding; what the lag itself blurs is
    taken off again.
    """
    step = max(1, luma.shape[1] // _FINE_WIDTH)
    rows, columns = ((size // 4, size - size // 4) for size in luma.shape)
    middle = luma[slice(*rows), slice(*columns)]
    height, width = middle.shape[0] // step, middle.shape[1] // step
    if height < 16 or luma.shape[1] < _FINE_WIDTH // 2:
        return None
    blocks = middle[: height * step, : width * step].reshape(height, step, width, step)
    small = blocks.mean(axis=(1, 3), dtype=np.float32) / _full_scale(luma)
    gradient = curvature = 0.0
    for axis in (0, 1):
        lines = np.moveaxis(small, axis, 0)
        slope = lines[_LAG:] - lines[:-_LAG]
        gradient += float(np.square(slope).mean())
        curvature += float(np.square(slope[_LAG:] - slope[:-_LAG]).mean())
    if gradient < _LEAST_GRADIENT or curvature <= 0:
        return None
    variance = _LAG**2 * max(gradient / (2 * curvature) - 0.22, 0.0)
    return variance**0.5 * _FINE_WIDTH * step / luma.shape[1]
