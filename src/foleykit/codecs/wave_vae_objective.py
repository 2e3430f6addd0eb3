"""What the waveform autoencoder descends: mels and spectra, the width of its latents, and discriminators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from foleykit.audio.spectral_loss import pooled_energy_error, spectral_errors
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators
from foleykit.codecs.hifigan_losses import deceiving_losses, judging_losses
from foleykit.codecs.wave_vae import WaveVae
from foleykit.core.types import AudioBatch, Losses


@dataclass(frozen=True, kw_only=True)
class WaveVaeObjectiveConfig:
    """Weights of the losses."""

    mel_weight: float = 1.0
    """Of the mel before the vocoder."""
    energy_weight: float = 0.5
    """Of local energies, in the mel and in the waveform: without it noisy bands come out too quiet."""
    spectral_weight: float = 1.0
    """Of the waveform's spectra."""
    kl_weight: float = 3e-4
    adversarial_weight: float = 0.05
    feature_weight: float = 0.1
    """Of the discriminators' features."""
    resolutions: tuple[tuple[int, int], ...] = ((512, 128), (1024, 256), (2048, 512), (4096, 1024))
    """FFT sizes and hops of the spectra that are compared; the longest parts the modes of metal."""
    is_latent_fixed: bool = False
    """Leave the encoder as it is: what turns latents to sound learns alone, and latents keep their meaning."""


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What the codec made of a batch."""

    waveform: Tensor
    """(B, S)"""
    mel: Tensor
    """(B, M, F) before the vocoder"""
    target: Tensor
    """(B, M, F) of the batch"""
    kl: Tensor
    """Divergence of the posterior from a standard normal, in nepers per channel and frame."""

    def detach(self) -> Self:
        """Return the same without a gradient."""
        return type(self)(
            waveform=self.waveform.detach(), mel=self.mel.detach(), target=self.target, kl=self.kl.detach()
        )


class WaveVaeObjective(nn.Module):
    """Trains `generator`, the codec, against `discriminator`."""

    def __init__(
        self, generator: WaveVae, discriminator: HifiGanDiscriminators, config: WaveVaeObjectiveConfig
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.config = config
        for part in (generator.mel_vae.analysis, generator.mel_vae.encoder):
            part.requires_grad_(not config.is_latent_fixed)

    def generate(self, batch: AudioBatch, generator: torch.Generator) -> Reconstruction:
        """Return the batch (B, S), S in whole latent frames, through the codec, its latents drawn."""
        codec = self.generator
        target = codec.mel_vae.log_mel(batch.waveform)
        mean, log_variance = codec.mel_vae.posterior(target)
        drawn = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator).to(mean.device)
        mel = codec.mel_vae.decode_raw(drawn)
        noise = torch.randn(codec.vocoder.noise_shape(mel), generator=generator).to(mel.device)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return Reconstruction(waveform=codec.vocoder(mel, noise), mel=mel, target=target, kl=kl)

    def reconstruction_losses(self, batch: AudioBatch, generated: Reconstruction) -> Losses:
        """Return what the codec descends on its own."""
        config, log_mel = self.config, self.generator.mel_vae.log_mel
        difference = generated.mel - generated.target
        distance = difference.abs().mean() + 0.5 * difference.square().mean()
        made, true = log_mel.magnitude(generated.mel), log_mel.magnitude(generated.target)
        # Attacks and single tones carry most of a frame's energy in few bins; patches of equal weight lose them.
        mel_energy = pooled_energy_error(made, true, bins=4, frames=8) + pooled_energy_error(
            made, true, bins=made.shape[1], frames=1
        )
        spectral, energy = spectral_errors(generated.waveform, batch.waveform, config.resolutions)
        total = (
            config.mel_weight * distance
            + config.energy_weight * (mel_energy + energy)
            + config.spectral_weight * spectral
            + config.kl_weight * generated.kl
        )
        parts = {"mel": distance, "spectral": spectral, "energy": energy, "mel_energy": mel_energy, "kl": generated.kl}
        return Losses(total=total, parts={name: part.detach() for name, part in parts.items()})

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
