"""What a vocoder of published mels descends: spectra at several resolutions and, later, HiFi-GAN's adversaries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.audio.spectral_loss import RESOLUTIONS, spectral_errors
from foleykit.audio.unit_mel import UnitMel
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators
from foleykit.codecs.hifigan_losses import deceiving_losses, judging_losses, levelled
from foleykit.codecs.istft_vocoder import TRAINED_ITERATIONS
from foleykit.codecs.unit_mel_vocoder import UnitMelVocoder
from foleykit.core.errors import ConfigError, InputError
from foleykit.core.types import AudioBatch, Losses


@dataclass(frozen=True, kw_only=True)
class UnitMelVocoderObjectiveConfig:
    """Weights of the losses; those of adversaries are to the spectra's about what they are in HiFi-GAN."""

    spectral_weight: float = 1.0
    energy_weight: float = 0.5
    """Of local energies: without it noisy bands come out too quiet."""
    adversarial_weight: float = 0.05
    feature_weight: float = 0.1
    """Of the discriminators' features."""
    num_judged: int = 6
    """Clips of a batch that the discriminators hear, which cost more than all the rest of a step."""
    resolutions: tuple[tuple[int, int], ...] = RESOLUTIONS
    """FFT sizes and hops of the spectra that are compared."""

    def __post_init__(self) -> None:
        if not self.resolutions or min(n_fft for n_fft, _ in self.resolutions) < 64:
            raise ConfigError(f"resolutions {self.resolutions} needs FFT sizes of 64 samples or more")
        if self.num_judged < 1:
            raise ConfigError(f"num_judged {self.num_judged} must be positive")


class UnitMelVocoderObjective(nn.Module):
    """Trains `generator` on mels of recordings against `discriminator`."""

    def __init__(
        self, generator: UnitMelVocoder, discriminator: HifiGanDiscriminators, config: UnitMelVocoderObjectiveConfig
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.config = config
        self.mel = UnitMel(generator.config.mel)

    @property
    def margin(self) -> int:
        """Samples on either side of a crop that its mel looks at: what a mel mirrors there is not learnt."""
        mel = self.mel.config
        return -(-mel.n_fft // 2 // mel.hop_length) * mel.hop_length

    def reference(self, batch: AudioBatch) -> Tensor:
        """Return what is to be generated (B, S): the batch without its margins."""
        num_samples = batch.waveform.shape[-1] - 2 * self.margin
        if num_samples <= 0 or num_samples % self.mel.config.hop_length:
            raise InputError(
                f"a crop is whole hops long and has margins of {self.margin} samples, not {num_samples} of it"
            )
        return batch.waveform[:, self.margin : self.margin + num_samples]

    def log_mel(self, batch: AudioBatch) -> Tensor:
        """Return the natural-log mel (B, M, S / hop + 1) whose first column is centred on the first sample."""
        skipped = self.margin // self.mel.config.hop_length
        mel = self.mel.natural_log(self.mel(batch.waveform))
        return mel[..., skipped : mel.shape[-1] - skipped]

    def generate(self, batch: AudioBatch, generator: torch.Generator) -> Tensor:
        """Return the generated waveform (B, S)."""
        log_mel = self.log_mel(batch)
        noise = torch.randn(self.generator.noise_shape(log_mel), generator=generator).to(log_mel.device)
        # The last column is centred on the sample after the crop; what comes of it is trimmed in generation as well.
        waveform: Tensor = self.generator(log_mel, noise, num_iterations=TRAINED_ITERATIONS)
        return waveform[:, 0, : self.reference(batch).shape[-1]]

    def judging_losses(self, batch: AudioBatch, generated: Tensor) -> Losses:
        """Return what the discriminators descend."""
        return judging_losses(self.discriminator, *self._judged(batch, generated))

    def reconstruction_losses(self, batch: AudioBatch, generated: Tensor) -> Losses:
        """Return what the generator descends on its own."""
        config = self.config
        spectral, energy = spectral_errors(generated, self.reference(batch), config.resolutions)
        total = config.spectral_weight * spectral + config.energy_weight * energy
        return Losses(total=total, parts={"spectral": spectral.detach(), "energy": energy.detach()})

    def deceiving_losses(self, batch: AudioBatch, generated: Tensor) -> Losses:
        """Return what the generator descends besides, against the discriminators."""
        return deceiving_losses(
            self.discriminator,
            *self._judged(batch, generated),
            adversarial_weight=self.config.adversarial_weight,
            feature_weight=self.config.feature_weight,
        )

    def _judged(self, batch: AudioBatch, generated: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the discriminators hear of recorded and generated sound (B', S)."""
        judged = slice(self.config.num_judged)
        return levelled(self.reference(batch)[judged], generated[judged])
