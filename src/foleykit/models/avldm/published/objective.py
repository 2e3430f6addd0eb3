"""What Action2Sound descends at published size: the noise of latents, given video and another moment's sound."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.core.types import Losses
from foleykit.models.avldm.published.config import Action2SoundConfig
from foleykit.models.avldm.published.network import Conditioner, Denoiser


@dataclass(frozen=True, kw_only=True)
class Action2SoundBatch:
    """Clips after the frozen parts, with the ambience that they are shown."""

    latents: Tensor
    """(B, 4, rows, L) scaled"""
    video: Tensor
    """(B, T, W) features"""
    ambient: Tensor
    """(B, 4, rows, L) scaled latents of another moment; anything where there is none"""
    has_ambient: Tensor
    """(B,) bool: False shows a clip as one whose ambience is unknown"""


class TrainedParts(nn.Module):
    """The networks that are trained, by the names of their files; codec and video encoder stay as they are."""

    def __init__(self, config: Action2SoundConfig) -> None:
        super().__init__()
        self.denoiser = Denoiser(config.unet)
        self.conditioner = Conditioner(config)

    def forward(self, x: Tensor, steps: Tensor, batch: Action2SoundBatch, shows_video: Tensor) -> Tensor:
        """Return the noise (B, 4, rows, L) in `x` at `steps` (B,); `shows_video` (B,) bool drops features to zero."""
        conditioner, count = self.conditioner, len(x)
        video = conditioner.video_tokens(batch.video * shows_video[:, None, None])
        known = conditioner.ambient_tokens(batch.ambient, count)
        unknown = conditioner.ambient_tokens(None, count)
        ambient = torch.where(batch.has_ambient[:, None, None], known, unknown)
        noise: Tensor = self.denoiser(x, steps, torch.cat((video, ambient), dim=1))
        return noise


class NoiseObjective(nn.Module):
    """Squared error of the predicted noise at steps drawn evenly (Ho et al. 2020, eq. 14), with video dropout.

    The ambience is dropped only where a batch says so (Action2Sound, sec. 4.3).
    """

    def __init__(self, model: TrainedParts, config: Action2SoundConfig, *, video_dropout: float = 0.2) -> None:
        super().__init__()
        self.model = model
        self.schedule = config.schedule
        self.video_dropout = video_dropout

    def forward(self, batch: Action2SoundBatch, generator: torch.Generator) -> Losses:
        count, device = len(batch.latents), batch.latents.device
        steps = torch.randint(self.schedule.num_steps, (count,), generator=generator).to(device)
        noise = torch.randn(batch.latents.shape, generator=generator).to(device)
        shows_video = (torch.rand(count, generator=generator) >= self.video_dropout).to(device)
        noisy = self.schedule.add_noise(batch.latents, noise, steps)
        predicted = self.model(noisy, steps, batch, shows_video)
        return Losses(total=(predicted.float() - noise).square().mean(), parts={})
