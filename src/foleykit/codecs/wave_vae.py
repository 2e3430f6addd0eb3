"""Waveform to latents and back: an autoencoder of log-mels and the vocoder behind it, trained as one.

At a thousand numbers per second of sound no latent is left for the phase of noise, so none is spent on it: latents
keep what a mel keeps, and an inverse STFT draws the phase. The mel is fine in time (5 ms), for attacks, and reaches up
to half the sample rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from foleykit.audio.mel import LogMelConfig
from foleykit.codecs.istft_vocoder import IstftVocoder, IstftVocoderConfig
from foleykit.codecs.mel_vae import MelVae, MelVaeConfig
from foleykit.core.errors import ConfigError, InputError

CHUNK_FRAMES = 250
"""Latent frames decoded at a time."""
CONTEXT_FRAMES = 25
"""On either side of them; more than the decoder looks at."""


def mel_48k() -> LogMelConfig:
    """Return 128 mel bins of 48 kHz sound up to 24 kHz, one frame in 5 ms."""
    return LogMelConfig(
        sample_rate=48_000,
        n_fft=2048,
        win_length=1200,
        hop_length=240,
        num_mels=128,
        min_hz=40.0,
        max_hz=24_000.0,
        mean=-7.7,
        deviation=2.8,
    )


@dataclass(frozen=True, kw_only=True)
class WaveVaeConfig:
    kind: Literal["wave_vae"] = "wave_vae"
    """Tells a saved codec of this kind from others."""
    mel_vae: MelVaeConfig = field(default_factory=lambda: MelVaeConfig(mel=mel_48k(), width=128, num_halvings=3))
    """Log-mel to latents and back."""
    vocoder: IstftVocoderConfig = field(
        default_factory=lambda: IstftVocoderConfig(mel=mel_48k(), n_fft=960, width=176, num_blocks=5)
    )
    """Log-mel to waveform."""

    def __post_init__(self) -> None:
        if self.kind != "wave_vae":
            raise ConfigError(f'kind is "wave_vae", not "{self.kind}"')
        if self.mel_vae.mel != self.vocoder.mel:
            raise ConfigError("autoencoder and vocoder must share one mel front end")

    @property
    def sample_rate(self) -> int:
        return self.mel_vae.mel.sample_rate

    @property
    def latent_width(self) -> int:
        """Channels of a latent frame of one channel of sound."""
        return self.mel_vae.latent_width

    @property
    def hop_length(self) -> int:
        """Samples per latent frame."""
        return self.mel_vae.hop_length

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        return self.sample_rate / self.hop_length


class WaveVae(nn.Module):
    """Waveforms (B, C, S) to latents (B, C D, L) of unit mean square and back; channels are coded one by one."""

    def __init__(self, config: WaveVaeConfig) -> None:
        super().__init__()
        self.config = config
        self.mel_vae = MelVae(config.mel_vae)
        self.vocoder = IstftVocoder(config.vocoder)

    def encode(self, waveform: Tensor) -> Tensor:
        """Return the posterior's mean (B, C D, L) of `waveform` (B, C, S) in [-1, 1]; L is S / hop, rounded up.

        Raises InputError for a waveform of another shape or without samples.
        """
        if waveform.ndim != 3 or not waveform.shape[2]:
            raise InputError(f"the codec takes waveforms (B, C, S) with samples, not {tuple(waveform.shape)}")
        padded = nn.functional.pad(waveform, (0, -waveform.shape[2] % self.config.hop_length))
        return self.mel_vae.encode(padded.flatten(0, 1)).unflatten(0, waveform.shape[:2]).flatten(1, 2)

    def noise_shape(self, latents: Tensor) -> tuple[int, int, int]:
        """Return the shape of the noise that `decode` wants beside `latents` (B, C D, L)."""
        batch, width, length = latents.shape
        num_channels = width // self.config.latent_width
        return batch * num_channels, self.config.vocoder.num_noise_channels, length * self.config.mel_vae.downsampling

    def decode(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Return a waveform (B, C, L hop_length) of `latents` (B, C D, L) and Gaussian `noise`, in flat working memory.

        Raises InputError as `decode_pieces` does.
        """
        return torch.cat(list(self.decode_pieces(latents, noise)), dim=2)

    def decode_pieces(self, latents: Tensor, noise: Tensor) -> Iterator[Tensor]:
        """Yield what `decode` returns in pieces (B, C, n), made of chunks of latents whose edges see their neighbours.

        Raises InputError where the channels of `latents` are not whole channels of sound or `noise` is not of
        `noise_shape(latents)`.
        """
        width, per_latent = self.config.latent_width, self.config.mel_vae.downsampling
        if latents.ndim != 3 or not latents.shape[1] or latents.shape[1] % width:
            raise InputError(f"latents are (B, C {width}, L), not {tuple(latents.shape)}")
        if noise.shape != self.noise_shape(latents):
            raise InputError(f"noise beside these latents is {self.noise_shape(latents)}, not {tuple(noise.shape)}")
        single = latents.unflatten(1, (-1, width)).flatten(0, 1)
        length, hop_length = single.shape[2], self.config.hop_length
        for start in range(0, length, CHUNK_FRAMES):
            stop = min(start + CHUNK_FRAMES, length)
            left, right = max(0, start - CONTEXT_FRAMES), min(stop + CONTEXT_FRAMES, length)
            mel = self.mel_vae.decode(single[:, :, left:right])
            made = self.vocoder(mel, noise[:, :, left * per_latent : right * per_latent])
            own = made[:, (start - left) * hop_length : (stop - left) * hop_length]
            yield own.unflatten(0, (len(latents), -1))
