"""Find the cuts of a video while its small frames stream by."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

_GRID = 12
_COLOR_STEPS = 8


@dataclass(frozen=True, kw_only=True)
class ShotConfig:
    """When a difference between two frames counts as a cut; the defaults would rather miss one than invent one."""

    min_change: float = 0.06
    """Least mean difference of the coarse pictures across a cut, on a scale of 0 to 1."""
    min_recolor: float = 0.15
    """Least share of pixels whose colour has no counterpart on the other side, 0 to 1."""
    min_ratio: float = 4.0
    """The change across a cut is at least this many times any other within `margin_frames`."""
    margin_frames: int = 6
    """Frames before and after a cut that are looked at; the detector reports that much later."""


@dataclass(frozen=True)
class _Look:
    """What is remembered of one frame."""

    coarse: NDArray[np.float32]
    """(G, G, 3) block means in [0, 1]."""
    colors: NDArray[np.float32]
    """(K^3,) share of pixels per colour, summing to 1."""


class ShotDetector:
    """Reports the times of hard cuts from chunks of small frames (t, H, W, 3), uint8, at a constant rate.

    A cut is a lasting change of layout and of colours at once that stands out from the motion around it. Flashes, a few
    damaged frames, fades and camera swings are not cuts.
    """

    def __init__(self, fps: float | Fraction, config: ShotConfig | None = None) -> None:
        self._fps = Fraction(fps)
        self._config = config or ShotConfig()
        self._looks: deque[_Look] = deque(maxlen=2 * self._config.margin_frames)
        self._changes: deque[float] = deque(maxlen=2 * self._config.margin_frames - 1)
        self._num_frames = 0

    def update(self, chunk: NDArray[np.uint8]) -> list[float]:
        """Take the next frames and return the times in seconds of cuts that are certain by now.

        The time is that of the first frame of the new shot. Cuts within `margin_frames` of the start or the end of the
        video are not reported.
        """
        cuts = []
        for frame in chunk:
            look = _look(frame)
            if self._looks:
                self._changes.append(float(np.abs(look.coarse - self._looks[-1].coarse).mean()))
            self._looks.append(look)
            self._num_frames += 1
            if len(self._looks) == self._looks.maxlen and self._is_cut():
                cuts.append(float((self._num_frames - self._config.margin_frames) / self._fps))
        return cuts

    def _is_cut(self) -> bool:
        """Return whether the middle of what is remembered is a cut."""
        config, middle = self._config, self._config.margin_frames
        changes = list(self._changes)
        change = changes.pop(middle - 1)
        if change < config.min_change or change < config.min_ratio * max(changes):
            return False
        # Compared across the whole margin, a flash or a single damaged picture leaves no trace.
        before, after = self._looks[0], self._looks[-1]
        lasting = float(np.abs(after.coarse - before.coarse).mean())
        recolor = float(np.abs(after.colors - before.colors).sum()) / 2
        return lasting >= config.min_change and recolor >= config.min_recolor


def _look(frame: NDArray[np.uint8]) -> _Look:
    """Summarise a frame (H, W, 3) by its layout and its colours."""
    height, width = frame.shape[:2]
    rows = np.linspace(0, height, _GRID + 1).astype(int)[:-1]
    columns = np.linspace(0, width, _GRID + 1).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(frame.astype(np.float32), rows, axis=0), columns, axis=1)
    areas = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))[None, :]
    steps = (frame // (256 // _COLOR_STEPS)).astype(np.int64)
    codes = (steps[..., 0] * _COLOR_STEPS + steps[..., 1]) * _COLOR_STEPS + steps[..., 2]
    counts = np.bincount(codes.ravel(), minlength=_COLOR_STEPS**3)
    return _Look(
        coarse=(sums / (255 * areas[..., None])).astype(np.float32),
        colors=(counts / codes.size).astype(np.float32),
    )
