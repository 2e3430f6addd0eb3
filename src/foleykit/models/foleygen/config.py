"""Configuration of the FoleyGen family."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from foleykit.codecs import TokenCodecConfig
from foleykit.codecs.encodec import EncodecConfig
from foleykit.core.errors import ConfigError
from foleykit.encoders.visual import VisualEncoderConfig
from foleykit.encoders.visual.clip import ClipConfig
from foleykit.tokens.visual_attention import PrefixAttention, VisualTiming

Mechanism = PrefixAttention | Literal["aligned"]
"""How audio sees video: three ways of attending to a prefix, or the coinciding frame added to each step."""


@dataclass(frozen=True, kw_only=True)
class VisualConfig:
    """How the language model sees the video."""

    rate: float = 1.0
    """Visual vectors per second; the paper has one."""
    mechanism: Mechanism = "all_frame"
    """The paper's three: attention to all frames of a prefix, to those up to a step's time, to that of its time.
    "aligned" is ours: no prefix, the frame of a step's time is added to the step."""
    frame_of: Literal["predicted", "input"] = "predicted"
    """Whose time a step has: that of the code it predicts or of the code it is given."""
    codebook: Literal["coarsest", "finest"] = "coarsest"
    """Which codebook's time counts, since one step predicts codes of different frames."""
    rows: Literal["causal", "diagonal"] = "causal"
    """What a frame of the prefix sees: those before it or itself alone."""
    null: Literal["zeros", "learned"] = "zeros"
    """What stands for no video: vectors of zeros, or one learnt vector in every place."""

    def __post_init__(self) -> None:
        choices = {
            "mechanism": ("all_frame", "causal", "frame_wise", "aligned"),
            "frame_of": ("predicted", "input"),
            "codebook": ("coarsest", "finest"),
            "rows": ("causal", "diagonal"),
            "null": ("zeros", "learned"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ConfigError(f'visual {name} is one of {", ".join(known)}, not "{getattr(self, name)}"')
        if self.rate <= 0:
            raise ConfigError(f"a model needs a positive visual rate, not {self.rate:g}")


@dataclass(frozen=True, kw_only=True)
class LmConfig:
    """A decoder-only transformer over delayed codes; the defaults are the paper's sizes."""

    num_codebooks: int = 4
    codebook_size: int = 2048
    frame_rate: float = 50.0
    """Frames of codes per second."""
    width: int = 1024
    """Channels of the residual stream."""
    num_layers: int = 24
    num_heads: int = 16
    """Attention heads; must divide `width`."""
    expansion: int = 4
    """Hidden channels of the feed-forward layers over `width`."""
    feature_width: int = 512
    """Channels of a visual feature before its projection."""
    visual: VisualConfig = field(default_factory=VisualConfig)

    def __post_init__(self) -> None:
        if self.width % (2 * self.num_heads) or self.width < 4:
            raise ConfigError(f"width {self.width} must be a multiple of twice num_heads, {2 * self.num_heads}")

    @property
    def special(self) -> int:
        """The token where a codebook has nothing to say."""
        return self.codebook_size

    @property
    def delays(self) -> tuple[int, ...]:
        """Steps by which each codebook lags."""
        return tuple(range(self.num_codebooks))

    @property
    def timing(self) -> VisualTiming:
        return VisualTiming(
            frames_per_step=exact(self.visual.rate) / exact(self.frame_rate),
            frame_of=self.visual.frame_of,
            codebook_delay=self.delays[-1] if self.visual.codebook == "finest" else 0,
        )


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a model generates unless told otherwise."""

    guidance_scale: float = 3.0
    """Weight of the video condition; 1 is no guidance."""
    temperature: float = 1.0
    """0 takes the likeliest code."""
    top_k: int = 256
    """Codes that one is drawn from, by likelihood; 0 is all."""
    top_p: float = 0.0
    """Mass of the likeliest codes that one is drawn from, in place of `top_k`; 0 is off."""

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0 or not 0 <= self.top_p <= 1:
            raise ConfigError(
                "temperature and top_k are 0 or more and top_p is from 0 to 1, not "
                f"{self.temperature:g}, {self.top_k} and {self.top_p:g}"
            )


@dataclass(frozen=True, kw_only=True)
class FoleyGenConfig:
    """One model of the family: codec, video encoder and language model that fit each other."""

    kind: Literal["foleygen"] = "foleygen"
    """Tells a saved model of this family from others."""
    codec: TokenCodecConfig = field(default_factory=lambda: EncodecConfig(pad_mode="constant"))
    video: VisualEncoderConfig = field(default_factory=ClipConfig)
    lm: LmConfig = field(default_factory=LmConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    window_seconds: float = 10.0
    """Length of a training clip, and of a generation window."""
    stride_seconds: float = 2.0
    """Sound that each window after the first adds; the rest of the window is what was made before."""
    ambient_seconds: float = 3.0
    """Sound of an ambient clip that is heard before the video starts, where one is given."""

    def __post_init__(self) -> None:
        codec, lm = self.codec, self.lm
        if self.kind != "foleygen":
            raise ConfigError(f'kind is "foleygen", not "{self.kind}"')
        if (codec.num_codebooks, codec.codebook_size) != (lm.num_codebooks, lm.codebook_size):
            raise ConfigError(
                f"the codec has {codec.num_codebooks} codebooks of {codec.codebook_size}, the language model "
                f"{lm.num_codebooks} of {lm.codebook_size}"
            )
        if codec.frame_rate != lm.frame_rate:
            raise ConfigError(f"the codec has {codec.frame_rate:g} frames/s, the language model {lm.frame_rate:g}")
        if self.video.width != lm.feature_width:
            raise ConfigError(f"video features have {self.video.width} channels, not {lm.feature_width}")
        if (exact(self.video.feature_rate) / exact(lm.visual.rate)).denominator != 1:
            raise ConfigError(
                f"a visual rate of {lm.visual.rate:g}/s is no whole part of the encoder's {self.video.feature_rate:g}/s"
            )
        if not 0 < self.stride_seconds < self.window_seconds or not 0 < self.ambient_seconds < self.window_seconds:
            raise ConfigError("stride_seconds and ambient_seconds must be positive and shorter than window_seconds")
        for name in ("window_seconds", "stride_seconds", "ambient_seconds"):
            seconds = exact(getattr(self, name))
            if (seconds * exact(lm.visual.rate)).denominator != 1 or (seconds * exact(lm.frame_rate)).denominator != 1:
                raise ConfigError(
                    f"{name} {float(seconds):g} must be a whole number of visual vectors and of codec frames"
                )

    @property
    def sample_rate(self) -> int:
        return self.codec.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples per frame of codes."""
        return self.codec.hop_length

    @property
    def video_fps(self) -> float:
        """Video frames per second that the encoder reads."""
        return self.video.fps

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) of the frames that the video encoder takes."""
        return self.video.size, self.video.size

    def reading_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (H, W) at which pictures of `height` and `width` are read.

        An encoder that looks at the middle square gets the whole picture with a short side of its size.
        """
        if not self.video.is_cropped:
            return self.frame_size
        scale = Fraction(self.video.size, min(height, width))
        return round(height * scale), round(width * scale)

    @property
    def feature_stride(self) -> int:
        """Encoder features per visual vector: the first of each stretch is taken, so that no later one is seen."""
        return round(self.video.feature_rate / self.lm.visual.rate)

    @property
    def window_frames(self) -> int:
        """Frames of codes in a window."""
        return round(self.window_seconds * self.lm.frame_rate)

    @property
    def stride_frames(self) -> int:
        return round(self.stride_seconds * self.lm.frame_rate)

    @property
    def ambient_frames(self) -> int:
        return round(self.ambient_seconds * self.lm.frame_rate)

    @property
    def ambient_samples(self) -> int:
        """Samples of an ambient clip that the model hears."""
        return self.ambient_frames * self.hop_length

    @property
    def window_visual(self) -> int:
        """Visual vectors of a window."""
        return round(self.window_seconds * self.lm.visual.rate)

    def visual_at(self, frame: int) -> int:
        """Return the visual vector that starts with codec frame `frame`."""
        return round(frame * self.lm.visual.rate / self.lm.frame_rate)


def exact(value: float) -> Fraction:
    """Return a rate or a length in seconds as the fraction it was written as."""
    return Fraction(value).limit_denominator(100_000)
