"""Sample a part of a signal anew: the rest is led back to what is known at every step.

What is known is mixed with one fixed noise in the proportion of each step, so that the network always sees a state of
the noise level that it expects, and the walk ends in what is known (Song et al. 2021, app. I.2; Lugmayr et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """The known part of a signal (..., L)."""

    data: Tensor
    """(..., L); its free positions are not looked at."""
    noise: Tensor
    """(..., L) that the walk starts from."""
    free: slice
    """Positions that are sampled."""

    def put(self, x: Tensor, signal: float, noise: float) -> Tensor:
        """Return `x` (..., L) with the known part at the amplitudes `signal` and `noise`."""
        held = signal * self.data + noise * self.noise
        held[..., self.free] = x[..., self.free]
        return held

    def part(self, stretch: slice) -> Held:
        """Return what is known of a stretch that holds all free positions."""
        free = slice(self.free.start - stretch.start, self.free.stop - stretch.start)
        return Held(data=self.data[..., stretch], noise=self.noise[..., stretch], free=free)

    def filled(self, sampled: Tensor, stretch: slice) -> Tensor:
        """Return all of the signal, its free positions from `sampled`, which covers `stretch`."""
        whole = self.data.clone()
        whole[..., self.free] = sampled[..., self.free.start - stretch.start : self.free.stop - stretch.start]
        return whole
