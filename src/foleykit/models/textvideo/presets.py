"""Models of the family that a name stands for."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, assert_never

from foleykit.codecs.bigvgan import BigVganConfig, bigvgan_16k, bigvgan_v2_44k
from foleykit.codecs.istft_vocoder import IstftVocoderConfig
from foleykit.codecs.magnitude_vae import MagnitudeVaeConfig, vae_16k, vae_44k
from foleykit.codecs.mel_vae import MelVaeConfig
from foleykit.codecs.wave_vae import WaveVaeConfig, mel_48k
from foleykit.encoders.clip import ClipConfig, ClipImageConfig, ClipTextConfig
from foleykit.encoders.text.words import WordEncoderConfig
from foleykit.encoders.visual.synchformer import SynchformerConfig
from foleykit.encoders.visual.two_rate import TwoRateConfig
from foleykit.models.events import TRACK_WIDTH
from foleykit.models.textvideo.config import NetworkConfig, SamplingConfig, TextVideoConfig
from foleykit.world.prompts import WORDS

MMAudioName = Literal["small-16k", "small-44k", "medium-44k", "large-44k", "large-44k-v2"]


def mmaudio_network(name: MMAudioName) -> NetworkConfig:
    """Return the network of a published MMAudio size (Cheng et al. 2025): 157 million to 1.03 billion parameters."""
    match name:
        case "small-16k":
            return NetworkConfig()
        case "small-44k":
            return NetworkConfig(latent_width=40)
        case "medium-44k":
            return NetworkConfig(latent_width=40, width=896, num_heads=14)
        case "large-44k":
            return replace(mmaudio_network("medium-44k"), num_joint_blocks=7, num_fused_blocks=14)
        case "large-44k-v2":
            return replace(
                mmaudio_network("large-44k"), input_activation="silu", num_time_features=896, time_scale=10_000.0
            )
        case _:
            assert_never(name)


def mmaudio(name: MMAudioName) -> TextVideoConfig:
    """Return a published MMAudio model with its codec, vocoder and encoders."""
    network = mmaudio_network(name)
    if name == "small-16k":
        return TextVideoConfig(network=network, codec=vae_16k(), vocoder=bigvgan_16k())
    return TextVideoConfig(network=network, codec=vae_44k(), vocoder=bigvgan_v2_44k())


def textvideo_network() -> NetworkConfig:
    """Return the network for data of VGGSound's size: a v2 of medium width that also knows transcript and ambience."""
    return NetworkConfig(
        latent_width=64,
        width=896,
        num_heads=14,
        num_joint_blocks=4,
        num_fused_blocks=8,
        num_transcript_tokens=77,
        ambient_pool=4,
        input_activation="silu",
    )


def textvideo() -> TextVideoConfig:
    """Return the whole of it: CLIP and Synchformer, and a codec of 48 kHz sound with 64 channels."""
    return TextVideoConfig(network=textvideo_network(), codec=textvideo_codec(), vocoder=None)


def textvideo_codec() -> WaveVaeConfig:
    """Return its codec alone."""
    mel = mel_48k()
    return WaveVaeConfig(
        mel_vae=MelVaeConfig(mel=mel, width=512, latent_width=64, num_blocks=4, num_halvings=3),
        vocoder=IstftVocoderConfig(mel=mel, n_fft=960, width=512, num_blocks=8),
    )


def tiny_textvideo_network() -> NetworkConfig:
    """Return a network of 4 million parameters, which half precision keeps in 8 MB.

    It has no place for a transcript: nobody speaks in the world that it is trained on.
    """
    return NetworkConfig(
        latent_width=48,
        picture_width=192,
        sync_width=192,
        event_width=TRACK_WIDTH,
        text_width=96,
        num_text_tokens=32,
        ambient_pool=5,
        sync_group=1,
        width=96,
        num_heads=3,
        num_joint_blocks=2,
        num_fused_blocks=4,
        input_activation="silu",
    )


def tiny_textvideo() -> TextVideoConfig:
    """Return the model that is trained on the world: tiny-avldm's eyes, a reader of the world's words, 48 kHz sound."""
    return TextVideoConfig(
        network=tiny_textvideo_network(),
        codec=WaveVaeConfig(),
        vocoder=None,
        clip=None,
        sync=TwoRateConfig(),
        words=WordEncoderConfig(words=WORDS),
        sampling=SamplingConfig(num_steps=16, guidance_scale=2.5, prompted_guidance_scale=6.0),
        picture_fps=5.0,
        window_seconds=3.0,
        overlap_seconds=0.6,
    )


def debug_tiny() -> TextVideoConfig:
    """Return tiny-textvideo's structure small enough to train for a few steps inside a test."""
    mel = mel_48k()
    return replace(
        tiny_textvideo(),
        network=replace(
            tiny_textvideo_network(),
            latent_width=8,
            picture_width=32,
            sync_width=32,
            text_width=16,
            width=32,
            num_heads=2,
            num_joint_blocks=1,
            num_fused_blocks=1,
        ),
        codec=WaveVaeConfig(
            mel_vae=MelVaeConfig(mel=mel, width=16, latent_width=8, num_blocks=1, num_halvings=3),
            vocoder=IstftVocoderConfig(mel=mel, n_fft=960, width=16, num_blocks=1),
        ),
        sync=TwoRateConfig(
            size=32,
            width=32,
            sound_width=8,
            motion_width=8,
            num_motion_blocks=1,
            appearance_width=8,
            num_temporal_blocks=1,
        ),
        words=WordEncoderConfig(words=WORDS, width=16, num_blocks=1, num_heads=2),
        sampling=SamplingConfig(num_steps=2),
        window_seconds=1.0,
        overlap_seconds=0.2,
    )


def debug_textvideo() -> TextVideoConfig:
    """Return textvideo's structure small enough to train for a few steps inside a test."""
    small, tiny = debug(), debug_tiny()
    return replace(
        small,
        network=replace(
            small.network,
            latent_width=8,
            num_transcript_tokens=77,
            ambient_pool=5,
            input_activation="silu",
        ),
        codec=tiny.codec,
        vocoder=None,
        window_seconds=tiny.window_seconds,
        overlap_seconds=tiny.overlap_seconds,
    )


def debug_network() -> NetworkConfig:
    """Return the same structure small enough for a test."""
    return NetworkConfig(
        latent_width=4,
        picture_width=12,
        sync_width=10,
        text_width=8,
        num_text_tokens=5,
        num_transcript_tokens=5,
        ambient_pool=2,
        width=32,
        num_heads=2,
        num_joint_blocks=1,
        num_fused_blocks=1,
        input_activation="silu",
    )


def debug() -> TextVideoConfig:
    """Return MMAudio's structure small enough for a test."""
    return TextVideoConfig(
        network=NetworkConfig(
            picture_width=16,
            sync_width=16,
            text_width=16,
            width=32,
            num_heads=2,
            num_joint_blocks=1,
            num_fused_blocks=1,
        ),
        codec=MagnitudeVaeConfig(width=8, num_blocks=1),
        vocoder=BigVganConfig(width=64, resblock_kernels=(3,), dilations=(1,)),
        clip=ClipConfig(
            image=ClipImageConfig(input_size=30, size=28, width=16, num_blocks=1, num_heads=2, expansion=1),
            text=ClipTextConfig(vocabulary_size=600, width=16, num_blocks=1, num_heads=2, expansion=1),
            embedding_width=16,
        ),
        sync=SynchformerConfig(size=32, width=16, num_blocks=1, num_heads=2, expansion=1),
        sampling=SamplingConfig(num_steps=2),
    )
