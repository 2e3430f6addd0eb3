"""Published-size models of the family that a name stands for."""

from __future__ import annotations

from foleykit.audio.unit_mel import UnitMelConfig
from foleykit.codecs.hifigan import HifiGanConfig
from foleykit.encoders.visual.timesformer import TimeSformerConfig
from foleykit.models.avldm.published.config import (
    Action2SoundConfig,
    PictureVaeConfig,
    PublishedSampling,
    UnetConfig,
)


def action2sound() -> Action2SoundConfig:
    """Return AV-LDM as published, with our vocoder: 860 million parameters denoise, 84 are the codec's, 114 see."""
    return Action2SoundConfig(vocoder="istft")


def debug() -> Action2SoundConfig:
    """Return the same structure small enough for a test."""
    return Action2SoundConfig(
        mel=UnitMelConfig(num_mels=64),
        vae=PictureVaeConfig(width=32, multipliers=(1, 1, 1, 1), num_blocks=1),
        unet=UnetConfig(
            width=32, multipliers=(1, 2), num_attention_levels=1, num_blocks=1, num_heads=2, context_width=32
        ),
        video=TimeSformerConfig(size=32, patch_size=16, width=32, num_blocks=1, num_heads=2, expansion=1),
        vocoder="hifigan",
        hifigan=HifiGanConfig(num_mels=64, width=32, resblock_kernels=(3,), resblock_dilations=((1,),)),
        sampling=PublishedSampling(num_steps=2),
        audio_hidden=32,
    )
