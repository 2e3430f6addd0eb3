"""Noise to latents: overlapping windows denoised together, some of which know something of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from foleykit.diffusion.held import Held
from foleykit.diffusion.samplers import sample
from foleykit.diffusion.windows import WindowPlan, cut, merge
from foleykit.models.textvideo.config import SamplingConfig
from foleykit.models.textvideo.guidance import Guidance, even_times
from foleykit.models.textvideo.network import Network, Prepared


@dataclass(frozen=True, kw_only=True)
class Region:
    """Windows that know something of their own, and the latents that they decide about."""

    positions: slice
    """On the axis of the whole signal."""
    stretch: slice
    """What the windows cover of it."""
    plan: WindowPlan
    """The windows on the axis of the stretch."""
    conditional: Prepared
    null: Prepared


def denoise(
    network: Network,
    sampling: SamplingConfig,
    noise: Tensor,
    plan: WindowPlan,
    conditional: Prepared,
    null: Prepared,
    *,
    regions: Sequence[Region] = (),
    num_steps: int,
    guidance_scale: float,
    held: Held | None = None,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Return the codec's latents (D, L) from `noise` (D, L): at every step the velocities of windows are averaged.

    `conditional` has an entry for each window of `plan`, `null` one; what is `held` counts in normalised latents.
    In `regions` the velocity is that of their own windows (MultiDiffusion: Bar-Tal et al. 2023, sec. 4.2).
    """
    guidance = partial(Guidance, network, scale=guidance_scale, interval=sampling.guidance_interval)
    guided = guidance(conditional, null)
    inside = [(region, guidance(region.conditional, region.null)) for region in regions]

    def velocity(x: Tensor, t: float) -> Tensor:
        whole = merge(guided(cut(x, plan), t), plan)
        for region, own in inside:
            part = merge(own(cut(x[..., region.stretch], region.plan), t), region.plan)
            first = region.stretch.start
            whole[..., region.positions] = part[..., region.positions.start - first : region.positions.stop - first]
        return whole

    def on_step(done: int) -> None:
        if progress is not None:
            progress(done / num_steps)

    normalised = sample(velocity, noise, even_times(num_steps), sampler=sampling.sampler, held=held, on_step=on_step)
    return network.unnormalise(normalised)
