"""What a codec with a vocoder behind its mel descends, however it codes the mel: mels, spectra and discriminators."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

from torch import Tensor, nn

from foleykit.audio.mel import LogMel
from foleykit.audio.spectral_loss import RESOLUTIONS, pooled_energy_error, spectral_errors
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators
from foleykit.codecs.hifigan_losses import deceiving_losses, judging_losses, levelled
from foleykit.core.types import AudioBatch, Losses


@dataclass(frozen=True, kw_only=True)
class CodecObjectiveConfig:
    """Weights of the losses."""

    mel_weight: float = 1.0
    """Of the mel before the vocoder."""
    energy_weight: float = 0.5
    """Of local energies, in the mel and in the waveform: without it noisy bands come out too quiet."""
    spectral_weight: float = 1.0
    """Of the waveform's spectra."""
    adversarial_weight: float = 0.05
    feature_weight: float = 0.1
    """Of the discriminators' features."""
    resolutions: tuple[tuple[int, int], ...] = RESOLUTIONS
    """FFT sizes and hops of the spectra that are compared."""


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What a codec made of a batch."""

    waveform: Tensor
    """(B, S)"""
    mel: Tensor
    """(B, M, F) before the vocoder"""
    target: Tensor
    """(B, M, F) of the batch"""

    def detach(self) -> Self:
        """Return the same without a gradient."""
        return replace(self, **{field.name: getattr(self, field.name).detach() for field in fields(self)})


class CodecObjective(nn.Module):
    """The part of an objective that does not depend on how the mel is coded."""

    def __init__(self, discriminator: HifiGanDiscriminators, config: CodecObjectiveConfig) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.weights = config

    def sound_losses(
        self, log_mel: LogMel, batch: AudioBatch, generated: Reconstruction
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what the codec descends for mel and waveform, and the parts of it without a gradient."""
        weights = self.weights
        difference = generated.mel - generated.target
        distance = difference.abs().mean() + 0.5 * difference.square().mean()
        made, true = log_mel.magnitude(generated.mel), log_mel.magnitude(generated.target)
        # Attacks and single tones carry most of a frame's energy in few bins; patches of equal weight lose them.
        mel_energy = pooled_energy_error(made, true, bins=4, frames=8) + pooled_energy_error(
            made, true, bins=made.shape[1], frames=1
        )
        spectral, energy = spectral_errors(generated.waveform, batch.waveform, weights.resolutions)
        total = (
            weights.mel_weight * distance
            + weights.energy_weight * (mel_energy + energy)
            + weights.spectral_weight * spectral
        )
        parts = {"mel": distance, "spectral": spectral, "energy": energy, "mel_energy": mel_energy}
        return total, {name: part.detach() for name, part in parts.items()}

    def judging_losses(self, batch: AudioBatch, generated: Reconstruction) -> Losses:
        """Return what the discriminators descend."""
        return judging_losses(self.discriminator, *levelled(batch.waveform, generated.waveform))

    def deceiving_losses(self, batch: AudioBatch, generated: Reconstruction) -> Losses:
        """Return what the codec descends besides, against the discriminators."""
        return deceiving_losses(
            self.discriminator,
            *levelled(batch.waveform, generated.waveform),
            adversarial_weight=self.weights.adversarial_weight,
            feature_weight=self.weights.feature_weight,
        )
