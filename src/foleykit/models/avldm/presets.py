"""Models of the family that a name stands for."""

from __future__ import annotations

from dataclasses import replace

from foleykit.codecs.istft_vocoder import IstftVocoderConfig
from foleykit.codecs.mel_vae import MelVaeConfig
from foleykit.encoders.visual.two_rate import TwoRateConfig
from foleykit.models.avldm.config import AvLdmConfig, DenoiserConfig, SamplingConfig
from foleykit.models.events import TRACK_WIDTH


def tiny_avldm() -> AvLdmConfig:
    """Return the shipped model: 7 million parameters, trained on the procedural world."""
    return AvLdmConfig(
        denoiser=DenoiserConfig(event_width=TRACK_WIDTH),
        sampling=SamplingConfig(guidance_scale=2.5, event_guidance=1.4),
    )


def debug() -> AvLdmConfig:
    """Return a model small enough to train for a few steps inside a test."""
    return replace(
        tiny_avldm(),
        codec=MelVaeConfig(width=32, latent_width=8, num_blocks=1),
        vocoder=IstftVocoderConfig(width=32, num_blocks=1),
        video=TwoRateConfig(
            size=32,
            width=32,
            sound_width=8,
            motion_width=8,
            num_motion_blocks=1,
            appearance_width=8,
            num_temporal_blocks=1,
        ),
        denoiser=DenoiserConfig(
            latent_width=8, video_width=32, event_width=TRACK_WIDTH, width=32, num_blocks=1, num_heads=2
        ),
    )
