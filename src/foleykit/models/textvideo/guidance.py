"""The velocity that samplers follow: the network asked twice, with all that is known and with what is led away from."""

from __future__ import annotations

import torch
from torch import Tensor

from foleykit.diffusion.guidance import guide
from foleykit.models.textvideo.network import Network, Prepared

WINDOWS_AT_ONCE = 4
"""In one network call; bounds memory whatever the length of the video."""


class Guidance:
    """The guided velocity of windows, from data towards noise: both branches in one call, conditions projected once."""

    def __init__(
        self, network: Network, conditional: Prepared, null: Prepared, *, scale: float, interval: tuple[float, float]
    ) -> None:
        """`conditional` has an entry for each window, `null` one; up to `scale` 1 only the first is asked."""
        self.network = network
        self.scale = scale
        self.interval = interval
        self.parts = conditional.split(WINDOWS_AT_ONCE)
        self.pairs = [Prepared.cat([part, *[null] * len(part.summary)]) for part in self.parts] if scale > 1 else []

    def __call__(self, x: Tensor, t: float) -> Tensor:
        """Return the velocity (N, D, L) at the windows `x` and time `t`, in the dtype of `x`."""
        first, last = self.interval
        parts = x.split(WINDOWS_AT_ONCE)
        if self.scale <= 1 or not first <= t <= last:
            return torch.cat([self._ask(part, t, known) for part, known in zip(parts, self.parts, strict=True)])
        guided = []
        for part, known in zip(parts, self.pairs, strict=True):
            shown, null = self._ask(torch.cat((part, part)), t, known).chunk(2)
            guided.append(guide(shown, null, self.scale))
        return torch.cat(guided)

    def _ask(self, x: Tensor, t: float, known: Prepared) -> Tensor:
        # The network counts from noise to data, the samplers from data to noise.
        return -self.network(x, torch.full((len(x),), 1 - t, device=x.device), known)


def even_times(num_steps: int) -> list[float]:
    """Return `num_steps + 1` even times from 1 to 0, rounded to float32 from noise to data as the release does.

    To angles of 10 000 times the time, the last bit matters.
    """
    return [1 - progress for progress in torch.linspace(0, 1, num_steps + 1).tolist()]
