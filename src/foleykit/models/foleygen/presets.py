"""Models of the family that a name stands for."""

from __future__ import annotations

from foleykit.codecs.istft_vocoder import IstftVocoderConfig
from foleykit.codecs.mel_rvq import MelRvqConfig
from foleykit.encoders.visual.two_rate import TwoRateConfig
from foleykit.models.foleygen.config import FoleyGenConfig, LmConfig, SamplingConfig, VisualConfig


def foleygen() -> FoleyGenConfig:
    """Return the paper's model: AudioGen's codec, CLIP at one frame per second, 319 million parameters.

    The codec's `pad_mode` is that of AudioCraft's own configuration; a converted codec says what it was trained with.
    """
    return FoleyGenConfig()


def tiny_foleygen() -> FoleyGenConfig:
    """Return the small model that is trained on the procedural world: our codec, our video encoder, 3 million weights.

    The video is seen at 25 vectors per second, each added to the steps of its time.
    """
    codec = MelRvqConfig()
    video = TwoRateConfig()
    return FoleyGenConfig(
        codec=codec,
        video=video,
        lm=LmConfig(
            codebook_size=codec.codebook_size,
            frame_rate=codec.frame_rate,
            width=192,
            num_layers=6,
            num_heads=6,
            feature_width=video.width,
            visual=VisualConfig(rate=25.0, mechanism="aligned"),
        ),
        sampling=SamplingConfig(guidance_scale=2.0, top_k=128),
        window_seconds=5.0,
        stride_seconds=3.0,
        ambient_seconds=2.0,
    )


def debug() -> FoleyGenConfig:
    """Return a model small enough to train for a few steps inside a test."""
    codec = MelRvqConfig(
        vocoder=IstftVocoderConfig(width=32, num_blocks=1),
        width=32,
        latent_width=8,
        num_blocks=1,
        codebook_size=16,
    )
    video = TwoRateConfig(
        size=32,
        width=32,
        sound_width=8,
        motion_width=8,
        num_motion_blocks=1,
        appearance_width=8,
        num_temporal_blocks=1,
    )
    return FoleyGenConfig(
        codec=codec,
        video=video,
        lm=LmConfig(
            codebook_size=codec.codebook_size,
            frame_rate=codec.frame_rate,
            width=32,
            num_layers=2,
            num_heads=2,
            feature_width=video.width,
            visual=VisualConfig(rate=1.0),
        ),
        window_seconds=2.0,
        stride_seconds=1.0,
        ambient_seconds=1.0,
    )
