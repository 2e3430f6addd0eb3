"""A small token codec: log-mel to residual codes, codes to log-mel, and log-mel to waveform.

At two kilobits per second no code is left for phase, so none is spent on it: the mel is coded, and a vocoder, trained
with the rest, draws the phase. Compared with a codec of raw samples this needs a tenth of the computation.
Both sides are a linear map of patches plus a learnt correction, as in the codec of continuous latents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from foleykit.audio.mel import LogMel
from foleykit.codecs.istft_vocoder import IstftVocoder, IstftVocoderConfig
from foleykit.codecs.mel_patches import principal_patches, set_linear_
from foleykit.codecs.residual_quantizer import ResidualQuantizer
from foleykit.core.codes import check_codes
from foleykit.core.errors import ConfigError, InputError
from foleykit.nn.convnext import ChannelNorm, ConvNeXtBlock

STRIDE = 2
"""Mel frames per frame of codes."""


@dataclass(frozen=True, kw_only=True)
class MelRvqConfig:
    kind: Literal["mel_rvq"] = "mel_rvq"
    """Tells a saved codec of this kind from others."""
    vocoder: IstftVocoderConfig = field(default_factory=IstftVocoderConfig)
    """With the mel that is coded."""
    width: int = 192
    """Channels of the convolutional blocks."""
    latent_width: int = 48
    """Channels of a latent frame and of a codebook's entries."""
    num_blocks: int = 3
    """ConvNeXt blocks at the rate of the codes, on each side."""
    num_codebooks: int = 4
    codebook_size: int = 512

    def __post_init__(self) -> None:
        if self.kind != "mel_rvq":
            raise ConfigError(f'kind is "mel_rvq", not "{self.kind}"')
        if self.num_codebooks < 1 or self.codebook_size < 2:
            raise ConfigError("a codec needs a codebook of two entries at least")

    @property
    def sample_rate(self) -> int:
        return self.vocoder.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples per frame of codes."""
        return self.vocoder.mel.hop_length * STRIDE

    @property
    def frame_rate(self) -> float:
        """Frames of codes per second."""
        return self.sample_rate / self.hop_length


class MelRvqCodec(nn.Module):
    """Mono waveforms to codes (B, K, L) and back."""

    def __init__(self, config: MelRvqConfig) -> None:
        super().__init__()
        self.config = config
        num_mels, width, latent_width = config.vocoder.mel.num_mels, config.width, config.latent_width
        self.log_mel = LogMel(config.vocoder.mel)
        self.analysis = nn.Conv1d(num_mels, latent_width, STRIDE, stride=STRIDE)
        self.synthesis = nn.ConvTranspose1d(latent_width, num_mels, STRIDE, stride=STRIDE)
        self.encoder = nn.Sequential(
            nn.Conv1d(num_mels, width, 3, padding=1),
            ConvNeXtBlock(width),
            nn.Conv1d(width, width, 2 * STRIDE, stride=STRIDE, padding=STRIDE // 2),
            *(ConvNeXtBlock(width) for _ in range(config.num_blocks)),
            ChannelNorm(width),
            nn.Conv1d(width, latent_width, 1),
        )
        self.quantizer = ResidualQuantizer(config.num_codebooks, config.codebook_size, latent_width)
        self.decoder = nn.Sequential(
            nn.Conv1d(latent_width, width, 3, padding=1),
            *(ConvNeXtBlock(width) for _ in range(config.num_blocks)),
            nn.ConvTranspose1d(width, width, 2 * STRIDE, stride=STRIDE, padding=STRIDE // 2),
            ConvNeXtBlock(width),
            ChannelNorm(width),
            nn.Conv1d(width, num_mels, 3, padding=1),
        )
        for side in (self.encoder, self.decoder):
            for parameter in side[-1].parameters():
                nn.init.zeros_(parameter)
        self.vocoder = IstftVocoder(config.vocoder)

    @torch.no_grad()
    def fit_linear(self, mel: Tensor) -> None:
        """Set the linear part to the principal components of the patches of `mel` (B, M, 2 L).

        All channels are scaled alike: what is nearest among the entries is then nearest in the mel.
        Raises ConfigError when there are fewer patches than latent channels.
        """
        basis = principal_patches(mel, num_frames=STRIDE, num_components=self.config.latent_width)
        unit = basis.deviations.square().mean().sqrt()
        set_linear_(self.analysis, self.synthesis, basis, unit.expand_as(basis.deviations))

    def latents(self, mel: Tensor) -> Tensor:
        """Return latents (B, D, L), before quantisation, of `mel` (B, M, 2 L)."""
        return self.analysis(mel) + self.encoder(mel)

    def mel(self, latents: Tensor) -> Tensor:
        """Return log-mel (B, M, 2 L) of quantised `latents` (B, D, L)."""
        return self.synthesis(latents) + self.decoder(latents)

    def encode(self, waveform: Tensor) -> Tensor:
        """Return codes (B, K, L) of `waveform` (B, 1, S) in [-1, 1]; L is S / hop length, rounded up."""
        if waveform.ndim != 3 or waveform.shape[1] != 1 or not waveform.shape[2]:
            raise InputError(f"the codec takes mono waveforms (B, 1, S), not {tuple(waveform.shape)}")
        missing = -waveform.shape[2] % self.config.hop_length
        padded = nn.functional.pad(waveform[:, 0], (0, missing))
        return self.quantizer.encode(self.latents(self.log_mel(padded)))

    def decode(self, codes: Tensor) -> Tensor:
        """Return a waveform (B, 1, L hop_length) of `codes` (B, K, L); the same codes always give the same waveform."""
        check_codes(codes, self.config.num_codebooks, self.config.codebook_size)
        mel = self.mel(self.quantizer.decode(codes))
        # One draw for all of a batch: what a code sounds like does not depend on its place in the batch.
        shape = (1, *self.vocoder.noise_shape(mel)[1:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(mel.device)
        waveform: Tensor = self.vocoder(mel, noise.expand(len(mel), -1, -1))
        return waveform[:, None]
