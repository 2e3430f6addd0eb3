"""Latents to waveform: by a codec of waveforms, or by one of mels and the vocoder behind it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from foleykit.codecs.bigvgan import BigVgan
from foleykit.codecs.magnitude_vae import MagnitudeVae
from foleykit.codecs.vocode import vocode
from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.core.checkpoint import with_weights
from foleykit.core.signals import Signal, write_blocks, zeros
from foleykit.diffusion.windows import WindowPlan, cut, merge
from foleykit.models.textvideo.config import TextVideoConfig


def decode_waves(codec: WaveVae, latents: Tensor, generator: torch.Generator, num_samples: int) -> Signal:
    """Return a waveform (1, `num_samples`) of `latents` (D, L); `generator`, on the CPU, draws the codec's noise."""
    noise = torch.randn(codec.noise_shape(latents[None]), generator=generator).to(latents.device)
    pieces = codec.decode_pieces(latents[None], noise)
    return write_blocks(zeros(1, num_samples), (piece[0].cpu().numpy() for piece in pieces))


def decode_mels(codec: MagnitudeVae, vocoder: BigVgan, latents: Tensor, plan: WindowPlan, num_samples: int) -> Signal:
    """Return a waveform (1, `num_samples`) of `latents` (D, L), which were sampled in the windows of `plan`."""
    mel = decode_windows(codec, latents, plan)
    num_columns = -(-num_samples // codec.config.mel.hop_length)
    return vocode(vocoder, (mel[:, :num_columns],), vocoder.config.hop_length)[None, :num_samples]


def decode_windows(codec: MagnitudeVae, latents: Tensor, plan: WindowPlan) -> Tensor:
    """Return log-mel (M, 2 L) of `latents` (D, L), window by window, cross-faded where they overlap.

    The decoder attends over all it is given, and has been trained on windows.
    """
    rate = codec.config.downsampling
    decoded = torch.cat([codec.decode(window[None]) for window in cut(latents, plan)])
    fine = WindowPlan(
        length=rate * plan.length, window=rate * plan.window, starts=tuple(rate * start for start in plan.starts)
    )
    return merge(decoded, fine)


def load_sound(config: TextVideoConfig, folder: Path) -> tuple[MagnitudeVae | WaveVae, BigVgan | None]:
    """Return the codec of a model folder, and the vocoder that one of mels has beside it."""
    path = folder / "codec.safetensors"
    if isinstance(config.codec, WaveVaeConfig):
        return with_weights(WaveVae(config.codec), path), None
    assert config.vocoder is not None
    vocoder = with_weights(BigVgan(config.vocoder), folder / "vocoder.safetensors")
    return with_weights(MagnitudeVae(config.codec), path), vocoder
