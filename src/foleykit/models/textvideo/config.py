"""Configuration of the textvideo family: flow matching on audio latents from pictures, text and ambience."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never, get_args

from foleykit.codecs.bigvgan import BigVganConfig
from foleykit.codecs.magnitude_vae import MagnitudeVaeConfig
from foleykit.codecs.wave_vae import WaveVaeConfig
from foleykit.core.errors import ConfigError
from foleykit.diffusion.samplers import SamplerName
from foleykit.diffusion.windows import WindowPlan, part_of, plan_windows
from foleykit.encoders.clip import ClipConfig, ClipTextConfig
from foleykit.encoders.text.words import WordEncoderConfig
from foleykit.encoders.visual.synchformer import SynchformerConfig
from foleykit.encoders.visual.two_rate import TwoRateConfig
from foleykit.models.events import TRACK_WIDTH
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
    event_width: int = 0
    """Channels of the event track beside each of them (`models.events`); 0 for a network that is told no events."""
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
    def timing_width(self) -> int:
        """Channels that say when: a synchronisation token's and the event track's."""
        return self.sync_width + self.event_width

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
    prompted_guidance_scale: float | None = None
    """The same where there is a prompt, which a small model obeys only when it is urged; None for the same."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Times, 0 data to 1 noise, between which guidance acts (Kynkaanniemi et al. 2024)."""

    def __post_init__(self) -> None:
        if self.sampler not in get_args(SamplerName):
            raise ConfigError(f'sampler is one of {", ".join(get_args(SamplerName))}, not "{self.sampler}"')
        if self.prompted_guidance_scale is not None and self.prompted_guidance_scale < 1:
            raise ConfigError(f"prompted_guidance_scale must be 1 or more, not {self.prompted_guidance_scale:g}")
        if len(self.guidance_interval) != 2 or not 0 <= self.guidance_interval[0] <= self.guidance_interval[1] <= 1:
            raise ConfigError(f"guidance_interval is two rising times in [0, 1], not {self.guidance_interval}")

    def guidance_for(self, *texts: str) -> float:
        """Return the weight under these prompts, any of which may be empty."""
        if self.prompted_guidance_scale is not None and any(text.strip() for text in texts):
            return self.prompted_guidance_scale
        return self.guidance_scale


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
    codec: MagnitudeVaeConfig | WaveVaeConfig = field(default_factory=MagnitudeVaeConfig)
    vocoder: BigVganConfig | None = field(default_factory=BigVganConfig)
    """Mel to waveform; None behind a codec of waveforms."""
    clip: ClipConfig | None = field(default_factory=ClipConfig)
    """Encoders of pictures and text; None where `sync` sees and `words` reads."""
    sync: SynchformerConfig | TwoRateConfig = field(default_factory=SynchformerConfig)
    """What is seen of the timing; a two-rate encoder's features also stand for pictures."""
    words: WordEncoderConfig | None = None
    """Reader of a closed vocabulary, in place of CLIP's."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    picture_fps: float = 8.0
    """Pictures per second that CLIP sees, or means of a two-rate encoder's features per second."""
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
        self._check_sound()
        if (self.clip is None) != isinstance(self.sync, TwoRateConfig) or (self.clip is None) == (self.words is None):
            raise ConfigError("pictures and text are CLIP's beside Synchformer, or a two-rate encoder's and words'")
        for what, made, taken in (
            ("pictures", self.sync.width if self.clip is None else self.clip.embedding_width, network.picture_width),
            ("text", self.text.width, network.text_width),
            ("synchronisation", self.sync.width, network.sync_width),
        ):
            if made != taken:
                raise ConfigError(f"the encoder of {what} gives {made} channels, the network takes {taken}")
        if self.sync_group != network.sync_group or self.text.num_tokens != network.num_text_tokens:
            raise ConfigError("sync_group and num_text_tokens of the network must be those of its encoders")
        if network.num_transcript_tokens not in (0, self.text.num_tokens):
            raise ConfigError(
                f"what reads the prompt reads the transcript too, as {self.text.num_tokens} tokens, "
                f"not {network.num_transcript_tokens}"
            )
        if network.event_width not in (0, TRACK_WIDTH if self.clip is None else 0):
            raise ConfigError(
                f"an event track has {TRACK_WIDTH} channels and follows a two-rate encoder, not {network.event_width}"
            )
        if isinstance(self.sync, TwoRateConfig) and self.sync.fps != self.frame_rate:
            raise ConfigError(f"{self.sync.fps:g} video frames/s do not match {self.frame_rate:g} latent frames/s")
        if self.sync.fps % self.picture_fps and self.clip is None:
            raise ConfigError(f"{self.picture_fps:g} means per second are not of whole frames at {self.sync.fps:g}/s")

    def _check_sound(self) -> None:
        codec, vocoder = self.codec, self.vocoder
        match codec:
            case WaveVaeConfig():
                if vocoder is not None:
                    raise ConfigError("a codec of waveforms has its own vocoder; vocoder must be null")
            case MagnitudeVaeConfig():
                if vocoder is None:
                    raise ConfigError("a codec of mels needs a vocoder")
                if (vocoder.num_mels, vocoder.hop_length) != (codec.mel.num_mels, codec.mel.hop_length):
                    raise ConfigError(
                        f"the vocoder takes {vocoder.num_mels} mel bins at a hop of {vocoder.hop_length} samples, "
                        f"the codec makes {codec.mel.num_mels} at {codec.mel.hop_length}"
                    )
            case _:
                assert_never(codec)
        if self.network.has_ambient and not isinstance(codec, WaveVaeConfig):
            raise ConfigError("an ambient condition is encoded by a codec of waveforms")

    @property
    def text(self) -> ClipTextConfig | WordEncoderConfig:
        """Whichever reads the text."""
        if self.words is not None:
            return self.words
        assert self.clip is not None
        return self.clip.text

    @property
    def sample_rate(self) -> int:
        return self.codec.sample_rate

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
    def frame_size(self) -> tuple[int, int] | None:
        """(H, W) of the frames that are taken; None where encoders scale frames of any size themselves."""
        return (self.sync.size, self.sync.size) if isinstance(self.sync, TwoRateConfig) else None

    @property
    def sync_group(self) -> int:
        """Synchronisation tokens of a stretch of video; a two-rate encoder has one for each frame."""
        return 1 if isinstance(self.sync, TwoRateConfig) else self.sync.tokens_per_segment

    @property
    def segment_seconds(self) -> float:
        """From the start of one stretch of video to that of the next."""
        return 1 / self.sync.fps if isinstance(self.sync, TwoRateConfig) else self.sync.segment_seconds

    @property
    def window_samples(self) -> int:
        return round(self.window_seconds * self.sample_rate)

    @property
    def ambient_samples(self) -> int:
        """Samples of an ambient clip that a network with the ambient condition hears."""
        return self.window_samples

    def sequence_lengths(self, seconds: float) -> SequenceLengths:
        """Return the tokens of a clip of `seconds`, at least one of each kind.

        Latent frames cover the clip, as do a two-rate encoder's; pictures and longer stretches of video lie in it
        whole.
        """
        return SequenceLengths(
            latents=max(1, math.ceil(seconds * self.sample_rate / self.hop_length)),
            pictures=max(1, int(self.picture_fps * seconds)),
            segments=max(1, self._num_segments(seconds)),
        )

    def _num_segments(self, seconds: float) -> int:
        if isinstance(self.sync, TwoRateConfig):
            return math.ceil(round(self.sync.fps * seconds, 6))
        return self.sync.num_segments(int(self.sync.fps * seconds))


@dataclass(frozen=True, kw_only=True)
class ClipWindows:
    """Where the windows of a clip lie on the axes of latents, pictures and stretches of video."""

    latents: WindowPlan
    pictures: WindowPlan
    segments: WindowPlan

    def part(self, windows: slice) -> tuple[ClipWindows, slice]:
        """Return successive `windows` as a plan of their own, and the stretch of the latents that it covers."""
        latents, stretch = part_of(self.latents, windows)
        pictures, segments = (replace(plan, starts=plan.starts[windows]) for plan in (self.pictures, self.segments))
        return ClipWindows(latents=latents, pictures=pictures, segments=segments), stretch


def plan_clip(config: TextVideoConfig, seconds: float, shots: Sequence[float] = ()) -> ClipWindows:
    """Return the windows of a clip of `seconds`; they prefer to start at `shots`, also in seconds.

    A clip no longer than a window and half an overlap is one of its own length. In a longer one windows start with a
    stretch of video or, where pictures are rarer, with a picture, so that each sees what it would see as a clip of its
    own, and the last may reach beyond the end.
    """
    if seconds <= config.window_seconds + config.overlap_seconds / 2:
        own = config.sequence_lengths(seconds)
        return ClipWindows(latents=_one(own.latents), pictures=_one(own.pictures), segments=_one(own.segments))
    unit = max(config.segment_seconds, 1 / config.picture_fps)
    window = config.sequence_lengths(config.window_seconds)
    plan = plan_windows(
        math.ceil(round(seconds / unit, 6)),
        round(config.window_seconds / unit),
        round(config.overlap_seconds / unit),
        preferred=[round(shot / unit) for shot in shots],
    )

    def on_axis(width: int, rate: float) -> WindowPlan:
        # Halves are rounded up, or the last window could end before the clip does.
        starts = tuple(math.floor(round(start * unit * rate, 6) + 0.5) for start in plan.starts)
        return WindowPlan(length=starts[-1] + width, window=width, starts=starts)

    return ClipWindows(
        latents=on_axis(window.latents, config.frame_rate),
        pictures=on_axis(window.pictures, config.picture_fps),
        segments=on_axis(window.segments, 1 / config.segment_seconds),
    )


def _one(length: int) -> WindowPlan:
    return WindowPlan(length=length, window=length, starts=(0,))
