"""What the small token codec descends: mels and spectra, the commitment to its codes, and discriminators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from foleykit.audio.spectral_loss import pooled_energy_error, spectral_errors
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators
from foleykit.codecs.hifigan_losses import deceiving_losses, judging_losses
from foleykit.codecs.mel_rvq import MelRvqCodec
from foleykit.core.errors import ConfigError
from foleykit.core.types import AudioBatch, Losses


@dataclass(frozen=True, kw_only=True)
class MelRvqObjectiveConfig:
    """Weights of the losses, and how codebooks learn."""

    mel_weight: float = 1.0
    energy_weight: float = 0.5
    """Of local energies, in the mel and in the waveform: without it noisy bands come out too quiet."""
    spectral_weight: float = 1.0
    """Of the waveform's spectra."""
    commitment_weight: float = 0.25
    adversarial_weight: float = 0.05
    feature_weight: float = 0.1
    """Of the discriminators' features."""
    codebook_decay: float = 0.99
    """Of the averages that entries follow."""
    revive_below: float = 0.1
    """Share of an equal part of the frames under which an entry counts as dead."""
    is_code_fixed: bool = False
    """Leave encoder and codebooks as they are: what turns codes to sound learns alone, and codes keep their meaning."""

    def __post_init__(self) -> None:
        if not 0 <= self.codebook_decay < 1 or self.revive_below < 0:
            raise ConfigError(
                f"codebook_decay is in [0, 1) and revive_below 0 or more, not {self.codebook_decay:g} and "
                f"{self.revive_below:g}"
            )


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What the codec made of a batch."""

    waveform: Tensor
    """(B, S)"""
    mel: Tensor
    """(B, M, F) before the vocoder"""
    target: Tensor
    """(B, M, F) of the batch"""
    commitment: Tensor
    dead_share: Tensor
    """Share of all entries that were revived in this step."""

    def detach(self) -> Self:
        """Return the same without a gradient."""
        return type(self)(
            waveform=self.waveform.detach(),
            mel=self.mel.detach(),
            target=self.target,
            commitment=self.commitment.detach(),
            dead_share=self.dead_share,
        )


class MelRvqObjective(nn.Module):
    """Trains `generator`, the codec, against `discriminator`."""

    def __init__(
        self, generator: MelRvqCodec, discriminator: HifiGanDiscriminators, config: MelRvqObjectiveConfig
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.config = config
        for part in (generator.analysis, generator.encoder):
            part.requires_grad_(not config.is_code_fixed)

    def generate(self, batch: AudioBatch, generator: torch.Generator) -> Reconstruction:
        """Return the batch (B, S), S in whole hops, through the codec, whose codebooks learn from it unless fixed."""
        codec, config = self.generator, self.config
        target = codec.log_mel(batch.waveform)
        latents = codec.latents(target)
        dead = torch.zeros(1, device=latents.device)
        if not config.is_code_fixed:
            dead = codec.quantizer.learn_(
                latents.detach(), generator, decay=config.codebook_decay, revive_below=config.revive_below
            )
        quantised, _, commitment = codec.quantizer(latents)
        mel = codec.mel(quantised)
        noise = torch.randn(codec.vocoder.noise_shape(mel), generator=generator).to(mel.device)
        waveform = codec.vocoder(mel, noise)
        return Reconstruction(waveform=waveform, mel=mel, target=target, commitment=commitment, dead_share=dead.mean())

    def reconstruction_losses(self, batch: AudioBatch, generated: Reconstruction) -> Losses:
        """Return what the codec descends on its own."""
        config, log_mel = self.config, self.generator.log_mel
        difference = generated.mel - generated.target
        distance = difference.abs().mean() + 0.5 * difference.square().mean()
        made, true = log_mel.magnitude(generated.mel), log_mel.magnitude(generated.target)
        # Attacks carry their energy in few frames and bins; patches of equal weight lose them.
        mel_energy = pooled_energy_error(made, true, bins=4, frames=8) + pooled_energy_error(
            made, true, bins=made.shape[1], frames=1
        )
        spectral, energy = spectral_errors(generated.waveform, batch.waveform)
        total = (
            config.mel_weight * distance
            + config.energy_weight * (mel_energy + energy)
            + config.spectral_weight * spectral
            + config.commitment_weight * generated.commitment
        )
        parts = {"mel": distance, "spectral": spectral, "energy": energy, "commitment": generated.commitment}
        return Losses(
            total=total,
            parts={name: part.detach() for name, part in parts.items()} | {"dead_share": generated.dead_share},
        )

    def judging_losses(self, batch: AudioBatch, generated: Reconstruction) -> Losses:
        """Return what the discriminators descend."""
        return judging_losses(self.discriminator, batch.waveform, generated.waveform)

    def deceiving_losses(self, batch: AudioBatch, generated: Reconstruction) -> Losses:
        """Return what the codec descends besides, against the discriminators."""
        return deceiving_losses(
            self.discriminator,
            batch.waveform,
            generated.waveform,
            adversarial_weight=self.config.adversarial_weight,
            feature_weight=self.config.feature_weight,
        )
