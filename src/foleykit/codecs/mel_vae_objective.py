"""What the decoder of continuous latents and the vocoder behind it descend together: mels, spectra, discriminators."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foleykit.codecs.codec_objective import CodecObjective, CodecObjectiveConfig, Reconstruction
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators
from foleykit.codecs.istft_vocoder import TRAINED_ITERATIONS, IstftVocoder
from foleykit.codecs.mel_vae import MelVae
from foleykit.core.types import AudioBatch, Losses


class VoicedVae(nn.Module):
    """A codec of mels and the vocoder behind it, whose latents keep their meaning while both are trained on."""

    def __init__(self, codec: MelVae, vocoder: IstftVocoder) -> None:
        super().__init__()
        self.codec = codec
        self.vocoder = vocoder
        for part in (codec.analysis, codec.encoder):
            part.requires_grad_(False)

    def forward(self, raw: Tensor, noise: Tensor, *, num_iterations: int | None = None) -> tuple[Tensor, Tensor]:
        """Return log-mel (B, M, F) and waveform (B, S) of unnormalised latents (B, D, L) and the vocoder's noise."""
        mel = self.codec.decode_raw(raw)
        return mel, self.vocoder(mel, noise, num_iterations=num_iterations)

    def reconstructed(self, waveform: Tensor) -> Tensor:
        """Return `waveform` (B, S), S in whole latent frames, through the mean of its latents, under one noise."""
        mel = self.codec.log_mel(waveform)
        noise = torch.randn(self.vocoder.noise_shape(mel), generator=torch.Generator().manual_seed(0)).to(mel.device)
        made: Tensor = self(self.codec.posterior(mel)[0], noise)[1]
        return made


class VoicedVaeObjective(CodecObjective):
    """Trains `generator` against `discriminator`, from latents drawn as the codec's own training draws them."""

    def __init__(
        self, generator: VoicedVae, discriminator: HifiGanDiscriminators, config: CodecObjectiveConfig
    ) -> None:
        super().__init__(discriminator, config)
        self.generator = generator

    def generate(self, batch: AudioBatch, generator: torch.Generator) -> Reconstruction:
        """Return the batch (B, S), S in whole latent frames, through latents and back."""
        codec, vocoder = self.generator.codec, self.generator.vocoder
        target = codec.log_mel(batch.waveform)
        with torch.no_grad():
            mean, log_variance = codec.posterior(target)
        drawn, breath = (
            torch.randn(shape, generator=generator).to(mean.device)
            for shape in (mean.shape, vocoder.noise_shape(target))
        )
        raw = mean + (0.5 * log_variance).exp() * drawn
        mel, waveform = self.generator(raw, breath, num_iterations=TRAINED_ITERATIONS)
        return Reconstruction(waveform=waveform, mel=mel, target=target)

    def reconstruction_losses(self, batch: AudioBatch, generated: Reconstruction) -> Losses:
        """Return what codec and vocoder descend on their own."""
        total, parts = self.sound_losses(self.generator.codec.log_mel, batch, generated)
        return Losses(total=total, parts=parts)
