"""Configuration of Action2Sound as published (Chen et al. 2024): Stable Diffusion's networks on mel pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from foleykit.audio.unit_mel import UnitMelConfig
from foleykit.codecs.hifigan import HifiGanConfig
from foleykit.codecs.unit_mel_vocoder import UnitMelVocoderConfig
from foleykit.core.errors import ConfigError
from foleykit.diffusion.noise_samplers import NoiseSamplerName
from foleykit.diffusion.noise_schedule import NoiseSchedule, sqrt_linear_schedule
from foleykit.encoders.visual.timesformer import TimeSformerConfig

NullName = Literal["training", "zeros"]
PosteriorName = Literal["mean", "sample"]
VocoderName = Literal["istft", "hifigan", "griffin-lim"]


@dataclass(frozen=True, kw_only=True)
class PictureVaeConfig:
    """Stable Diffusion's autoencoder of pictures, here of mels."""

    width: int = 128
    """Channels of the first level."""
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    """Channels of each level over `width`; every level but the last halves both axes."""
    num_blocks: int = 2
    """Residual blocks per level of the encoder; the decoder has one more."""
    latent_width: int = 4
    scale: float = 0.18215
    """Latents are the posterior times this, so that their variance is near one."""

    @property
    def downsampling(self) -> int:
        """Mel columns, and bins, per latent position."""
        return int(2 ** (len(self.multipliers) - 1))


@dataclass(frozen=True, kw_only=True)
class UnetConfig:
    """Stable Diffusion's denoiser."""

    width: int = 320
    """Channels of the first level."""
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    """Channels of each level over `width`."""
    num_attention_levels: int = 3
    """The first this many levels, and the middle, attend to the context."""
    num_blocks: int = 2
    """Residual blocks per level on the way down; one more on the way up."""
    num_heads: int = 8
    context_width: int = 768
    """Channels of the context tokens."""
    latent_width: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.num_attention_levels <= len(self.multipliers):
            raise ConfigError(f"num_attention_levels {self.num_attention_levels} exceeds the number of levels")

    def attends(self, level: int) -> bool:
        return level < self.num_attention_levels


@dataclass(frozen=True, kw_only=True)
class PublishedSampling:
    """How the model generates unless told otherwise; the release's own ways are `zeros` and `sample`."""

    num_steps: int = 25
    """Network evaluations per window, without guidance's second half."""
    sampler: NoiseSamplerName = "dpm-solver++"
    guidance_scale: float = 6.5
    """Weight of the condition; 1 is no guidance."""
    null: NullName = "training"
    """What guidance moves away from: the condition with its video dropped as in training, or zeros throughout."""
    posterior: PosteriorName = "mean"
    """What the ambient clip's latents are: the posterior's mean, or a draw from it."""

    def __post_init__(self) -> None:
        for value, kind in ((self.null, NullName), (self.posterior, PosteriorName), (self.sampler, NoiseSamplerName)):
            if value not in get_args(kind):
                raise ConfigError(f'"{value}" is not one of {", ".join(get_args(kind))}')


@dataclass(frozen=True, kw_only=True)
class Action2SoundConfig:
    """Networks that fit each other; the defaults are the published sizes."""

    kind: Literal["action2sound"] = "action2sound"
    """Tells a saved model of this kind from the others of the family."""
    mel: UnitMelConfig = field(default_factory=UnitMelConfig)
    vae: PictureVaeConfig = field(default_factory=PictureVaeConfig)
    unet: UnetConfig = field(default_factory=UnetConfig)
    video: TimeSformerConfig = field(default_factory=TimeSformerConfig)
    vocoder: VocoderName = "griffin-lim"
    """What makes a waveform of a mel; the release came without a vocoder."""
    istft: UnitMelVocoderConfig = field(default_factory=UnitMelVocoderConfig)
    """Sizes of the vocoder where it is one of ours, with an inverse STFT at its end."""
    hifigan: HifiGanConfig = field(default_factory=HifiGanConfig)
    """Sizes of the vocoder where it is a HiFi-GAN."""
    sampling: PublishedSampling = field(default_factory=PublishedSampling)
    window_seconds: float = 3.0
    """Length of a training clip, of a generation window and of the ambient clip."""
    window_columns: int = 196
    """Mel columns of a window with the silence appended that training had; latents cover all but the last few."""
    overlap_positions: int = 4
    """Latent positions by which neighbouring windows overlap."""
    video_fps: float = 30.0
    """Frames per second that are read; of those of a window, the encoder sees `video.num_frames`."""
    audio_hidden: int = 512
    """Hidden channels of the network that turns ambient latents into context."""
    num_diffusion_steps: int = 1000
    """Of the noise schedule that the U-Net was trained with."""
    first_beta: float = 0.00085
    """Variance that the first diffusion step adds."""
    last_beta: float = 0.012

    def __post_init__(self) -> None:
        if self.kind != "action2sound":
            raise ConfigError(f'kind is "action2sound", not "{self.kind}"')
        if self.vocoder not in get_args(VocoderName):
            raise ConfigError(f'vocoder is one of {", ".join(get_args(VocoderName))}, not "{self.vocoder}"')
        if self.vocoder == "istft" and self.istft.mel != self.mel:
            raise ConfigError("the vocoder takes another mel than the model makes")
        if self.vocoder == "hifigan" and (
            self.hifigan.num_mels != self.mel.num_mels or self.hifigan.hop_length != self.mel.hop_length
        ):
            raise ConfigError(
                f"the vocoder takes {self.hifigan.num_mels} bins at a hop of {self.hifigan.hop_length} samples; "
                f"the mel has {self.mel.num_mels} bins at {self.mel.hop_length}"
            )
        if self.mel.num_mels % self.vae.downsampling:
            raise ConfigError(f"{self.mel.num_mels} mel bins are not a multiple of {self.vae.downsampling}")
        if self.vae.latent_width != self.unet.latent_width:
            raise ConfigError(f"latents have {self.vae.latent_width} channels, the U-Net {self.unet.latent_width}")
        if self.window_columns < self.mel.num_columns(self.window_samples):
            raise ConfigError(f"{self.window_columns} columns do not hold {self.window_seconds:g} s of mel")
        if not 0 <= self.overlap_positions < self.window_positions:
            raise ConfigError("overlap_positions must be smaller than a window")

    @property
    def schedule(self) -> NoiseSchedule:
        return sqrt_linear_schedule(self.num_diffusion_steps, first=self.first_beta, last=self.last_beta)

    @property
    def sample_rate(self) -> int:
        return self.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples per latent position."""
        return self.mel.hop_length * self.vae.downsampling

    @property
    def frame_rate(self) -> float:
        """Latent positions per second."""
        return self.sample_rate / self.hop_length

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) of the frames that the video encoder takes."""
        return self.video.size, self.video.size

    @property
    def window_samples(self) -> int:
        return round(self.window_seconds * self.sample_rate)

    @property
    def ambient_samples(self) -> int:
        """Samples of an ambient clip that the model hears."""
        return self.window_samples

    @property
    def window_frames(self) -> int:
        """Frames read per window, at `video_fps`."""
        return round(self.window_seconds * self.video_fps)

    @property
    def window_positions(self) -> int:
        """Latent positions of a window: each stride drops an odd column."""
        return self.window_columns // self.vae.downsampling

    @property
    def latent_rows(self) -> int:
        """Latent positions over the mel bins."""
        return self.mel.num_mels // self.vae.downsampling

    @property
    def num_context_tokens(self) -> int:
        """One per video frame and one per latent position of the ambient clip."""
        return self.video.num_frames + self.window_positions
