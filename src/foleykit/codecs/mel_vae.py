"""Log-mel to latents and back: a one-dimensional variational autoencoder with mel bins as channels."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from foleykit.audio.mel import LogMel, LogMelConfig
from foleykit.nn.convnext import ChannelNorm, ConvNeXtBlock


@dataclass(frozen=True, kw_only=True)
class MelVaeConfig:
    mel: LogMelConfig = field(default_factory=LogMelConfig)
    """The front end; also what the vocoder inverts."""
    width: int = 192
    """Channels of the convolutional blocks."""
    latent_width: int = 32
    """Channels of a latent frame."""
    num_blocks: int = 2
    """ConvNeXt blocks at the latent rate, on each side."""

    @property
    def downsampling(self) -> int:
        """Mel frames per latent frame: two strided convolutions."""
        return 4

    @property
    def hop_length(self) -> int:
        """Samples per latent frame."""
        return self.mel.hop_length * self.downsampling


class MelVae(nn.Module):
    """Encodes log-mel (B, M, F) to latents (B, D, F / 4) of unit variance and decodes them."""

    latent_mean: Tensor
    latent_deviation: Tensor

    def __init__(self, config: MelVaeConfig) -> None:
        super().__init__()
        self.config = config
        width, latent_width, num_mels = config.width, config.latent_width, config.mel.num_mels
        self.log_mel = LogMel(config.mel)
        self.encoder = nn.Sequential(
            nn.Conv1d(num_mels, width, 3, padding=1),
            ConvNeXtBlock(width),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            ConvNeXtBlock(width),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            *(ConvNeXtBlock(width) for _ in range(config.num_blocks)),
            ChannelNorm(width),
            nn.Conv1d(width, 2 * latent_width, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(latent_width, width, 3, padding=1),
            *(ConvNeXtBlock(width) for _ in range(config.num_blocks)),
            nn.ConvTranspose1d(width, width, 4, stride=2, padding=1),
            ConvNeXtBlock(width),
            nn.ConvTranspose1d(width, width, 4, stride=2, padding=1),
            ConvNeXtBlock(width),
            ChannelNorm(width),
            nn.Conv1d(width, num_mels, 3, padding=1),
        )
        self.register_buffer("latent_mean", torch.zeros(latent_width, 1))
        self.register_buffer("latent_deviation", torch.ones(latent_width, 1))

    def posterior(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the raw mean and log-variance (B, D, L) of `mel` (B, M, F); F must be a multiple of 4."""
        mean, log_variance = self.encoder(mel).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)

    def decode_raw(self, raw: Tensor) -> Tensor:
        """Return log-mel (B, M, 4 L) from unnormalised latents (B, D, L)."""
        return self.decoder(raw)

    def encode(self, waveform: Tensor) -> Tensor:
        """Return latents (B, D, L) of `waveform` (B, S), S a multiple of `config.hop_length`; the posterior's mean."""
        mean, _ = self.posterior(self.log_mel(waveform))
        return (mean - self.latent_mean) / self.latent_deviation

    def decode(self, latents: Tensor) -> Tensor:
        """Return log-mel (B, M, 4 L) from `latents` (B, D, L)."""
        return self.decode_raw(latents * self.latent_deviation + self.latent_mean)
