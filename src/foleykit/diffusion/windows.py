"""Long signals from a model of one window: overlapping windows whose velocities are averaged at every step.

The joint walk is MultiDiffusion (Bar-Tal et al. 2023, eq. 5): all windows agree in their overlaps before the next step,
so no seam is left to cross-fade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foleykit.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """Where windows of one length lie on a longer axis; every position is covered."""

    length: int
    """Positions of the whole signal."""
    window: int
    """Positions of each window; a signal shorter than this has one window of its own length."""
    starts: tuple[int, ...]

    @property
    def width(self) -> int:
        return min(self.window, self.length)


def plan_windows(length: int, window: int, overlap: int, *, preferred: Sequence[int] = ()) -> WindowPlan:
    """Cover `length` positions by windows that overlap by at least `overlap`, starting at `preferred` where possible.

    A preferred start (a shot change) inside the next window's admissible range is taken instead of the regular one.
    Raises ConfigError when `overlap` is not smaller than `window`.
    """
    if not 0 <= overlap < window:
        raise ConfigError(f"overlap {overlap} must be at least 0 and smaller than the window, {window}")
    starts = [0]
    while starts[-1] + window < length:
        latest = starts[-1] + window - overlap
        wished = [start for start in preferred if starts[-1] < start <= latest and start > latest - window // 2]
        starts.append(min(max(wished, default=latest), length - window))
    return WindowPlan(length=length, window=window, starts=tuple(starts))


def touching(plan: WindowPlan, positions: slice) -> slice:
    """Return which windows hold any of `positions`."""
    indices = [
        index
        for index, start in enumerate(plan.starts)
        if start < positions.stop and start + plan.width > positions.start
    ]
    return slice(indices[0], indices[-1] + 1)


def part_of(plan: WindowPlan, windows: slice) -> tuple[WindowPlan, slice]:
    """Return successive `windows` as a plan of their own, and the stretch of the signal that it covers."""
    starts = plan.starts[windows]
    stretch = slice(starts[0], starts[-1] + plan.width)
    own = tuple(start - stretch.start for start in starts)
    return WindowPlan(length=stretch.stop - stretch.start, window=plan.width, starts=own), stretch


def cut(signal: Tensor, plan: WindowPlan) -> Tensor:
    """Return (windows, ..., width) from `signal` (..., length)."""
    return torch.stack([signal[..., start : start + plan.width] for start in plan.starts])


def merge(windows: Tensor, plan: WindowPlan) -> Tensor:
    """Return (..., length): the mean of `windows` (windows, ..., width), weighted less towards their edges."""
    ramp = torch.arange(1, plan.width + 1, device=windows.device, dtype=windows.dtype)
    weight = torch.minimum(ramp, ramp.flip(0))
    total = windows.new_zeros(*windows.shape[1:-1], plan.length)
    weights = windows.new_zeros(plan.length)
    for start, window in zip(plan.starts, windows, strict=True):
        total[..., start : start + plan.width] += window * weight
        weights[start : start + plan.width] += weight
    return total / weights
