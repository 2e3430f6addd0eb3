"""Configuration of the AV-LDM family."""

from __future__ import annotations

from dataclasses import dataclass, field

from foleykit.codecs.istft_vocoder import IstftVocoderConfig
from foleykit.codecs.mel_vae import MelVaeConfig
from foleykit.core.errors import ConfigError
from foleykit.diffusion.samplers import SamplerName
from foleykit.encoders.similarity import AvSimilarityConfig
from foleykit.encoders.visual.two_rate import TwoRateConfig
from foleykit.models.events import TRACK_WIDTH


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """A diffusion transformer over latent frames."""

    latent_width: int = 48
    """Channels of a latent frame."""
    video_width: int = 192
    """Channels of the video features, one feature per latent frame."""
    event_width: int = 0
    """Channels of the event track beside each feature (`models.events`); 0 for a denoiser that is told features
    alone."""
    width: int = 192
    """Channels of the residual stream."""
    num_blocks: int = 6
    num_heads: int = 6
    """Attention heads; must divide `width`."""
    expansion: int = 3
    """Hidden channels of the feed-forward layers over `width`."""
    ambient_pool: int = 3
    """Latent frames of the ambient clip that become one context token."""
    uses_ambient: bool = True
    """False removes the ambient condition: the ablation of the paper's main idea."""

    def __post_init__(self) -> None:
        if self.width % (2 * self.num_heads):
            raise ConfigError(f"width {self.width} must be a multiple of twice num_heads, {2 * self.num_heads}")


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a model generates unless told otherwise."""

    num_steps: int = 16
    """Network evaluations per window, without guidance's second half."""
    sampler: SamplerName = "euler"
    guidance_scale: float = 3.0
    """Weight of the video condition; 1 is no guidance."""
    event_guidance: float = 1.0
    """Factor on that weight where an event is told: there guidance decides what rings; elsewhere it bends ambience."""
    shift: float = 1.0
    """Above 1, more of the steps are spent near noise."""


@dataclass(frozen=True, kw_only=True)
class AvLdmConfig:
    """One model of the family: codec, vocoder, video encoder and denoiser that fit each other."""

    codec: MelVaeConfig = field(default_factory=MelVaeConfig)
    vocoder: IstftVocoderConfig = field(default_factory=IstftVocoderConfig)
    video: TwoRateConfig = field(default_factory=TwoRateConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    window_seconds: float = 3.0
    """Length of a training clip, of a generation window and of the ambient clip."""
    overlap_seconds: float = 0.6
    """Least overlap of neighbouring windows."""

    def __post_init__(self) -> None:
        if self.codec.mel != self.vocoder.mel:
            raise ConfigError("codec and vocoder must share one mel front end")
        if self.codec.latent_width != self.denoiser.latent_width:
            raise ConfigError(
                f"the codec has {self.codec.latent_width} latent channels, the denoiser {self.denoiser.latent_width}"
            )
        if self.video.width != self.denoiser.video_width:
            raise ConfigError(f"video features have {self.video.width} channels, not {self.denoiser.video_width}")
        if self.denoiser.event_width not in (0, TRACK_WIDTH):
            raise ConfigError(f"an event track has {TRACK_WIDTH} channels, not {self.denoiser.event_width}")
        if self.video.sound_width != self.codec.latent_width:
            raise ConfigError(
                f"the video encoder learns {self.video.sound_width} channels of sound, a latent frame has "
                f"{self.codec.latent_width}"
            )
        if self.frame_rate != self.video.fps:
            raise ConfigError(f"{self.video.fps:g} video frames/s do not match {self.frame_rate:g} latent frames/s")

    @property
    def similarity(self) -> AvSimilarityConfig:
        """The towers that fit the video encoder and the codec."""
        return AvSimilarityConfig(
            map_width=4 * self.video.appearance_width,
            latent_width=self.codec.latent_width,
            num_kinds=self.video.num_ambiences + 1,
        )

    @property
    def sample_rate(self) -> int:
        return self.codec.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples per latent frame."""
        return self.codec.hop_length

    @property
    def frame_rate(self) -> float:
        """Latent frames per second, which is also the video frame rate."""
        return self.sample_rate / self.hop_length

    @property
    def video_fps(self) -> float:
        return self.video.fps

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) of the frames that the video encoder takes."""
        return self.video.size, self.video.size

    @property
    def window_frames(self) -> int:
        """Latent frames of a window."""
        return round(self.window_seconds * self.frame_rate)

    @property
    def overlap_frames(self) -> int:
        return round(self.overlap_seconds * self.frame_rate)

    @property
    def window_samples(self) -> int:
        return self.window_frames * self.hop_length

    @property
    def ambient_samples(self) -> int:
        """Samples of an ambient clip that the model hears."""
        return self.window_samples
