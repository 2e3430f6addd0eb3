"""Log-mel to latents and back: a one-dimensional variational autoencoder with mel bins as channels.

Both sides are a linear map of patches plus a learnt correction. The linear part starts as the principal components of
the training mels, which keep the modes of a struck body where a small network from random weights blurs them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from foleykit.audio.mel import LogMel, LogMelConfig
from foleykit.codecs.mel_patches import principal_patches, set_linear_
from foleykit.core.errors import ConfigError
from foleykit.nn.convnext import ChannelNorm, ConvNeXtBlock


@dataclass(frozen=True, kw_only=True)
class MelVaeConfig:
    mel: LogMelConfig = field(default_factory=LogMelConfig)
    """The front end; also what the vocoder inverts."""
    width: int = 192
    """Channels of the convolutional blocks."""
    latent_width: int = 48
    """Channels of a latent frame."""
    num_blocks: int = 2
    """ConvNeXt blocks at the latent rate, on each side."""
    num_halvings: int = 2
    """Strided convolutions from the rate of the mel to that of the latents."""

    def __post_init__(self) -> None:
        if self.num_halvings < 1:
            raise ConfigError(f"num_halvings must be positive, not {self.num_halvings}")

    @property
    def downsampling(self) -> int:
        """Mel frames per latent frame."""
        return 2**self.num_halvings

    @property
    def hop_length(self) -> int:
        """Samples per latent frame."""
        return self.mel.hop_length * self.downsampling


class MelVae(nn.Module):
    """Encodes log-mel (B, M, F) to latents (B, D, L) of unit mean square, F a multiple of L, and decodes them."""

    latent_mean: Tensor
    latent_deviation: Tensor

    def __init__(self, config: MelVaeConfig) -> None:
        super().__init__()
        self.config = config
        width, latent_width, num_mels = config.width, config.latent_width, config.mel.num_mels
        self.log_mel = LogMel(config.mel)
        patch = config.downsampling
        self.analysis = nn.Conv1d(num_mels, latent_width, patch, stride=patch)
        self.synthesis = nn.ConvTranspose1d(latent_width, num_mels, patch, stride=patch)
        self.encoder = nn.Sequential(
            nn.Conv1d(num_mels, width, 3, padding=1),
            *(
                layer
                for _ in range(config.num_halvings)
                for layer in (ConvNeXtBlock(width), nn.Conv1d(width, width, 4, stride=2, padding=1))
            ),
            *(ConvNeXtBlock(width) for _ in range(config.num_blocks)),
            ChannelNorm(width),
            nn.Conv1d(width, 2 * latent_width, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(latent_width, width, 3, padding=1),
            *(ConvNeXtBlock(width) for _ in range(config.num_blocks)),
            *(
                layer
                for _ in range(config.num_halvings)
                for layer in (nn.ConvTranspose1d(width, width, 4, stride=2, padding=1), ConvNeXtBlock(width))
            ),
            ChannelNorm(width),
            nn.Conv1d(width, num_mels, 3, padding=1),
        )
        for side in (self.encoder, self.decoder):
            for parameter in side[-1].parameters():
                nn.init.zeros_(parameter)
        self.register_buffer("latent_mean", torch.zeros(latent_width, 1))
        self.register_buffer("latent_deviation", torch.ones(latent_width, 1))

    @torch.no_grad()
    def fit_linear(self, mel: Tensor) -> None:
        """Set the linear part to the principal components of the patches of `mel` (B, M, F).

        A channel's deviation is the square root of its component's, so that what matters most to the sound, its level,
        stands clearest above the noise of a diffusion process.
        Raises ConfigError when there are fewer patches than latent channels.
        """
        config = self.config
        basis = principal_patches(mel, num_frames=config.downsampling, num_components=config.latent_width)
        set_linear_(self.analysis, self.synthesis, basis, basis.deviations.sqrt())

    @torch.no_grad()
    def louder_(self, gain_db: float) -> None:
        """Make what latents are decoded to louder by `gain_db`; what is encoded stays."""
        bias = self.decoder[-1].bias
        assert isinstance(bias, Tensor)
        bias += gain_db * math.log(10) / 20 / self.config.mel.deviation

    def posterior(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return the raw mean and log-variance (B, D, L) of `mel` (B, M, F), F in whole latent frames."""
        correction, log_variance = self.encoder(mel).chunk(2, dim=1)
        return self.analysis(mel) + correction, (log_variance - 4).clamp(-12, 4)

    def decode_raw(self, raw: Tensor) -> Tensor:
        """Return log-mel (B, M, F) from unnormalised latents (B, D, L)."""
        return self.synthesis(raw) + self.decoder(raw)

    def encode(self, waveform: Tensor) -> Tensor:
        """Return latents (B, D, L) of `waveform` (B, S), S a multiple of `config.hop_length`; the posterior's mean."""
        mean, _ = self.posterior(self.log_mel(waveform))
        return (mean - self.latent_mean) / self.latent_deviation

    def decode(self, latents: Tensor) -> Tensor:
        """Return log-mel (B, M, F) from `latents` (B, D, L)."""
        return self.decode_raw(latents * self.latent_deviation + self.latent_mean)
