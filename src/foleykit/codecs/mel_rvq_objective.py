"""What the small token codec descends: mels and spectra, the commitment to its codes, and discriminators."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from foleykit.codecs.codec_objective import CodecObjective, CodecObjectiveConfig, Reconstruction
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators
from foleykit.codecs.istft_vocoder import TRAINED_ITERATIONS
from foleykit.codecs.mel_rvq import MelRvqCodec
from foleykit.core.errors import ConfigError
from foleykit.core.types import AudioBatch, Losses


@dataclass(frozen=True, kw_only=True)
class MelRvqObjectiveConfig(CodecObjectiveConfig):
    """Weights of the losses, and how codebooks learn."""

    commitment_weight: float = 0.25
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
class RvqReconstruction(Reconstruction):
    commitment: Tensor
    dead_share: Tensor
    """Share of all entries that were revived in this step."""


class MelRvqObjective(CodecObjective):
    """Trains `generator`, the codec, against `discriminator`."""

    def __init__(
        self, generator: MelRvqCodec, discriminator: HifiGanDiscriminators, config: MelRvqObjectiveConfig
    ) -> None:
        super().__init__(discriminator, config)
        self.generator = generator
        self.config = config
        for part in (generator.analysis, generator.encoder):
            part.requires_grad_(not config.is_code_fixed)

    def generate(self, batch: AudioBatch, generator: torch.Generator) -> RvqReconstruction:
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
        waveform = codec.vocoder(mel, noise, num_iterations=TRAINED_ITERATIONS)
        return RvqReconstruction(
            waveform=waveform, mel=mel, target=target, commitment=commitment, dead_share=dead.mean()
        )

    def reconstruction_losses(self, batch: AudioBatch, generated: RvqReconstruction) -> Losses:
        """Return what the codec descends on its own."""
        total, parts = self.sound_losses(self.generator.log_mel, batch, generated)
        commitment = generated.commitment
        own = {"commitment": commitment.detach(), "dead_share": generated.dead_share}
        return Losses(total=total + self.config.commitment_weight * commitment, parts=parts | own)
