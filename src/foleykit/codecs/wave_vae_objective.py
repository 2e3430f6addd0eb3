"""What the waveform autoencoder descends: mels and spectra, the width of its latents, and discriminators."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from foleykit.codecs.codec_objective import CodecObjective, CodecObjectiveConfig, Reconstruction
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators
from foleykit.codecs.istft_vocoder import TRAINED_ITERATIONS
from foleykit.codecs.wave_vae import WaveVae
from foleykit.core.types import AudioBatch, Losses


@dataclass(frozen=True, kw_only=True)
class WaveVaeObjectiveConfig(CodecObjectiveConfig):
    """Weights of the losses."""

    kl_weight: float = 3e-4
    resolutions: tuple[tuple[int, int], ...] = ((512, 128), (1024, 256), (2048, 512), (4096, 1024))
    """FFT sizes and hops of the spectra that are compared; the longest parts the modes of metal."""
    is_latent_fixed: bool = False
    """Leave the encoder as it is: what turns latents to sound learns alone, and latents keep their meaning."""


@dataclass(frozen=True, kw_only=True)
class VaeReconstruction(Reconstruction):
    kl: Tensor
    """Divergence of the posterior from a standard normal, in nepers per channel and frame."""


class WaveVaeObjective(CodecObjective):
    """Trains `generator`, the codec, against `discriminator`."""

    def __init__(
        self, generator: WaveVae, discriminator: HifiGanDiscriminators, config: WaveVaeObjectiveConfig
    ) -> None:
        super().__init__(discriminator, config)
        self.generator = generator
        self.config = config
        for part in (generator.mel_vae.analysis, generator.mel_vae.encoder):
            part.requires_grad_(not config.is_latent_fixed)

    def generate(self, batch: AudioBatch, generator: torch.Generator) -> VaeReconstruction:
        """Return the batch (B, S), S in whole latent frames, through the codec, its latents drawn."""
        codec = self.generator
        target = codec.mel_vae.log_mel(batch.waveform)
        mean, log_variance = codec.mel_vae.posterior(target)
        drawn = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator).to(mean.device)
        mel = codec.mel_vae.decode_raw(drawn)
        noise = torch.randn(codec.vocoder.noise_shape(mel), generator=generator).to(mel.device)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        waveform = codec.vocoder(mel, noise, num_iterations=TRAINED_ITERATIONS)
        return VaeReconstruction(waveform=waveform, mel=mel, target=target, kl=kl)

    def reconstruction_losses(self, batch: AudioBatch, generated: VaeReconstruction) -> Losses:
        """Return what the codec descends on its own."""
        total, parts = self.sound_losses(self.generator.mel_vae.log_mel, batch, generated)
        return Losses(total=total + self.config.kl_weight * generated.kl, parts={**parts, "kl": generated.kl.detach()})
