"""Configuration of the textvideo family: flow matching on audio latents from pictures, text and ambience."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from foleykit.core.errors import ConfigError

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
