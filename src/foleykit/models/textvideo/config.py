"""Configuration of the textvideo family: flow matching on audio latents from pictures, text and ambience."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from foleykit.codecs.bigvgan import BigVganConfig
from foleykit.codecs.magnitude_vae import MagnitudeVaeConfig
from foleykit.core.errors import ConfigError
from foleykit.diffusion.samplers import SamplerName
from foleykit.encoders.clip import ClipConfig
from foleykit.encoders.visual.synchformer import SynchformerConfig
from foleykit.video.picks import FramePick

InputActivation = Literal["selu", "silu"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A multimodal diffusion transformer; the defaults are the smallest published size."""

    latent_width: int = 20
    """Channels of a latent frame."""
    picture_width: int = 1024
    """Channels of a picture's feature."""
    sync_width: int = 768
    """Channels of a synchronisation token."""
    text_width: int = 1024
    """Channels of a text token."""
    num_text_tokens: int = 77
    """Tokens of the prompt, padding included."""
    num_transcript_tokens: int = 0
    """Tokens of the transcript, in the text encoder's features; 0 leaves the transcript out."""
    ambient_pool: int = 0
    """Latent frames of the ambient clip that become one token; 0 leaves the ambient condition out."""
    width: int = 448
    """Channels of the residual streams."""
    num_heads: int = 7
    """Attention heads; twice their number must divide `width`."""
    num_joint_blocks: int = 4
    """Blocks in which sound, pictures and text attend to one another."""
    num_fused_blocks: int = 8
    """Blocks after them that hold the sound alone."""
    sync_group: int = 8
    """Synchronisation tokens of one stretch of video, told apart by a learned position."""
    input_activation: InputActivation = "selu"
    """Nonlinearity of the input layers: "selu" after convolutions only, "silu" after linear layers too."""
    num_time_features: int = 256
    """Sines and cosines that the time is shown as."""
    time_scale: float = 1.0
    """Angular frequency of the fastest of them."""

    def __post_init__(self) -> None:
        if self.width % (2 * self.num_heads):
            raise ConfigError(f"width {self.width} must be a multiple of twice num_heads, {2 * self.num_heads}")
        if self.num_joint_blocks < 1 or self.num_time_features % 2:
            raise ConfigError("a network needs a joint block, and num_time_features must be even")
        if self.input_activation not in get_args(InputActivation):
            raise ConfigError(f'input_activation is selu or silu, not "{self.input_activation}"')

    @property
    def hidden_width(self) -> int:
        """Hidden channels of the gated networks: two thirds of four times `width`, in steps of 256."""
        return -(-int(8 * self.width / 3) // 256) * 256

    @property
    def head_width(self) -> int:
        return self.width // self.num_heads

    @property
    def has_transcript(self) -> bool:
        return self.num_transcript_tokens > 0

    @property
    def has_ambient(self) -> bool:
        return self.ambient_pool > 0


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a model generates unless told otherwise."""

    num_steps: int = 25
    """Network evaluations per window, without guidance's second half."""
    sampler: SamplerName = "euler"
    guidance_scale: float = 4.5
    """Weight of pictures and prompt; up to 1 there is no guidance."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Times, 0 data to 1 noise, between which guidance acts (Kynkaanniemi et al. 2024)."""

    def __post_init__(self) -> None:
        if self.sampler not in get_args(SamplerName):
            raise ConfigError(f'sampler is one of {", ".join(get_args(SamplerName))}, not "{self.sampler}"')
        if len(self.guidance_interval) != 2 or not 0 <= self.guidance_interval[0] <= self.guidance_interval[1] <= 1:
            raise ConfigError(f"guidance_interval is two rising times in [0, 1], not {self.guidance_interval}")


@dataclass(frozen=True, kw_only=True)
class SequenceLengths:
    """How many tokens of each kind a clip has."""

    latents: int
    pictures: int
    segments: int
    """Stretches of video, each of several synchronisation tokens."""


@dataclass(frozen=True, kw_only=True)
class TextVideoConfig:
    """Networks that fit each other; the defaults are MMAudio's smallest model."""

    kind: Literal["textvideo"] = "textvideo"
    """Tells a saved model of this family from the others."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    codec: MagnitudeVaeConfig = field(default_factory=MagnitudeVaeConfig)
    vocoder: BigVganConfig = field(default_factory=BigVganConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    sync: SynchformerConfig = field(default_factory=SynchformerConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    picture_fps: float = 8.0
    """Pictures per second that CLIP sees."""
    frame_pick: FramePick = "nearest"
    """Which picture of a video stands for a moment."""
    window_seconds: float = 8.0
    """Length of a training clip and of a generation window; shorter videos have one window of their own length."""
    overlap_seconds: float = 1.92
    """Least overlap of neighbouring windows."""

    def __post_init__(self) -> None:
        network, codec = self.network, self.codec
        if self.kind != "textvideo":
            raise ConfigError(f'kind is "textvideo", not "{self.kind}"')
        if self.frame_pick not in get_args(FramePick):
            raise ConfigError(f'frame_pick is one of {", ".join(get_args(FramePick))}, not "{self.frame_pick}"')
        if codec.latent_width != network.latent_width:
            raise ConfigError(f"the codec has {codec.latent_width} latent channels, the network {network.latent_width}")
        if (self.vocoder.num_mels, self.vocoder.hop_length) != (codec.mel.num_mels, codec.mel.hop_length):
            raise ConfigError(
                f"the vocoder takes {self.vocoder.num_mels} mel bins at a hop of {self.vocoder.hop_length} samples, "
                f"the codec makes {codec.mel.num_mels} at {codec.mel.hop_length}"
            )
        for what, made, taken in (
            ("pictures", self.clip.embedding_width, network.picture_width),
            ("text", self.clip.text.width, network.text_width),
            ("synchronisation", self.sync.width, network.sync_width),
        ):
            if made != taken:
                raise ConfigError(f"the encoder of {what} gives {made} channels, the network takes {taken}")
        if self.sync.tokens_per_segment != network.sync_group or self.clip.text.num_tokens != network.num_text_tokens:
            raise ConfigError("sync_group and num_text_tokens of the network must be those of its encoders")

    @property
    def sample_rate(self) -> int:
        return self.codec.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples per latent frame."""
        return self.codec.hop_length

    @property
    def frame_rate(self) -> float:
        """Latent frames per second."""
        return self.sample_rate / self.hop_length

    @property
    def video_fps(self) -> float:
        """The higher of the two rates at which the video is seen."""
        return self.sync.fps

    @property
    def window_samples(self) -> int:
        return round(self.window_seconds * self.sample_rate)

    @property
    def ambient_samples(self) -> int:
        """Samples of an ambient clip that a network with the ambient condition hears."""
        return self.window_samples

    def sequence_lengths(self, seconds: float) -> SequenceLengths:
        """Return the tokens of a clip of `seconds`, at least one of each kind.

        Latent frames cover the clip; pictures and stretches of video are those that lie in it whole.
        """
        return SequenceLengths(
            latents=max(1, math.ceil(seconds * self.sample_rate / self.hop_length)),
            pictures=max(1, int(self.picture_fps * seconds)),
            segments=max(1, self.sync.num_segments(int(self.sync.fps * seconds))),
        )
