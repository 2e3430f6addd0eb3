"""Batches to losses: what a text names; flow matching with every condition dropped by chance of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.core.errors import ConfigError
from foleykit.core.types import Losses
from foleykit.diffusion.flow import interpolate, logit_normal_times, velocity_target
from foleykit.encoders.text.words import WordEncoder
from foleykit.models.textvideo.network import Conditioning, Known, Network


@dataclass(frozen=True, kw_only=True)
class NamedSounds:
    """What texts name, as 1 and 0, or what a reader makes of it, as logits."""

    pairs: Tensor
    """(B, A, M) this action on this material"""
    actions: Tensor
    """(B, A)"""
    materials: Tensor
    """(B, M)"""
    background: Tensor
    """(B, K)"""


@dataclass(frozen=True, kw_only=True)
class TextBatch:
    ids: Tensor
    """(B, N) int64 of a word encoder"""
    named: NamedSounds


class SupervisedReader(nn.Module):
    """A word encoder and the linear heads that teach it, reading each text as a whole."""

    def __init__(self, encoder: WordEncoder, *, num_actions: int, num_materials: int, num_backgrounds: int) -> None:
        super().__init__()
        width = encoder.config.width
        self.encoder = encoder
        self.pairs = nn.Linear(width, num_actions * num_materials)
        self.actions = nn.Linear(width, num_actions)
        self.materials = nn.Linear(width, num_materials)
        self.background = nn.Linear(width, num_backgrounds)

    def forward(self, ids: Tensor) -> NamedSounds:
        """Return what `ids` (B, N) seem to name, as logits."""
        pooled = self.encoder(ids).pooled
        return NamedSounds(
            pairs=self.pairs(pooled).unflatten(1, (self.actions.out_features, -1)),
            actions=self.actions(pooled),
            materials=self.materials(pooled),
            background=self.background(pooled),
        )


class TextObjective(nn.Module):
    """Cross-entropy of everything that a text may name, summed over all there is and averaged over texts."""

    def __init__(self, reader: SupervisedReader) -> None:
        super().__init__()
        self.model = reader

    def forward(self, batch: TextBatch, generator: torch.Generator) -> Losses:
        read = self.model(batch.ids)
        parts = {
            name: nn.functional.binary_cross_entropy_with_logits(
                getattr(read, name), getattr(batch.named, name), reduction="sum"
            )
            / len(batch.ids)
            for name in ("pairs", "actions", "materials", "background")
        }
        return Losses(total=torch.stack(list(parts.values())).sum(), parts=parts)


@dataclass(frozen=True, kw_only=True)
class TextVideoBatch:
    """Clips as the network is trained on them."""

    latents: Tensor
    """(B, D, L) normalised, drawn from the codec's posterior"""
    weights: Tensor
    """(B, L) how much each latent frame counts"""
    conditioning: Conditioning
    has_text: Tensor
    """(B,) bool: False where a clip has no prompt"""
    has_transcript: Tensor
    """(B,) bool"""
    has_ambient: Tensor
    """(B,) bool"""


@dataclass(frozen=True, kw_only=True)
class DropoutConfig:
    """Shares of clips that are shown without a condition, each drawn independently (Cheng et al. 2025, sec. 4.1)."""

    video: float = 0.1
    """Pictures and synchronisation together."""
    text: float = 0.1
    transcript: float = 0.1
    ambient: float = 0.1

    def __post_init__(self) -> None:
        if not all(0 <= share < 1 for share in (self.video, self.text, self.transcript, self.ambient)):
            raise ConfigError("shares of clips without a condition must be at least 0 and below 1")


class TextVideoObjective(nn.Module):
    """Weighted squared error of the velocity at times that are densest half way (Esser et al. 2024, eq. 19)."""

    def __init__(self, network: Network, dropout: DropoutConfig | None = None) -> None:
        super().__init__()
        self.model = network
        self.dropout = dropout or DropoutConfig()

    def forward(self, batch: TextVideoBatch, generator: torch.Generator) -> Losses:
        latents = batch.latents
        t = logit_normal_times(len(latents), generator).to(latents.device)
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        shown = self.model.with_nulls(batch.conditioning, self.known(batch, generator))
        prepared = self.model.prepare(shown, latents.shape[2])
        velocity = self.model(interpolate(latents, noise, t), 1 - t, prepared)
        # The network's velocity leads from noise to data, against time.
        errors = (velocity.float() + velocity_target(latents, noise)).square().mean(dim=1)
        total = (batch.weights * errors).sum() / batch.weights.sum()
        return Losses(total=total, parts={})

    def known(self, batch: TextVideoBatch, generator: torch.Generator) -> Known:
        """Return which conditions each clip is shown with: those it has, unless they are dropped."""
        count, device = len(batch.latents), batch.latents.device

        def kept(share_dropped: float) -> Tensor:
            return (torch.rand(count, generator=generator) >= share_dropped).to(device)

        return Known(
            video=kept(self.dropout.video),
            text=kept(self.dropout.text) & batch.has_text,
            transcript=kept(self.dropout.transcript) & batch.has_transcript,
            ambient=kept(self.dropout.ambient) & batch.has_ambient,
        )
