"""Mel to latents and back by a magnitude-preserving autoencoder: one-dimensional, without biases or learned norms.

Every operation keeps the expected magnitude of its input (Karras et al. 2024, "Analyzing and Improving the Training
Dynamics of Diffusion Models", sec. 2.2 to 2.4). The autoencoder of MMAudio, whose parameter names it carries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from foleykit.audio.mel import LogMel, LogMelConfig
from foleykit.core.checkpoint import check_entries, shapes_of
from foleykit.core.errors import ConfigError

SILU_GAIN = 0.596
"""Root mean square of SiLU of a standard normal."""
RESIDUAL_SHARE = 0.3
"""Weight of a block's own output in the sum with its input."""
LARGEST = 256.0
"""Beyond which activations are clipped."""
TINY = 1e-4


def mel_16k() -> LogMelConfig:
    """Return 80 mel bins of 16 kHz sound, logarithm to base 10."""
    return LogMelConfig(
        n_fft=1024,
        win_length=1024,
        hop_length=256,
        num_mels=80,
        min_hz=0.0,
        max_hz=8_000.0,
        power_offset=1e-9,
        mean=0.0,
        deviation=math.log(10),
    )


def mel_44k() -> LogMelConfig:
    """Return 128 mel bins of 44.1 kHz sound, natural logarithm."""
    return LogMelConfig(
        sample_rate=44_100,
        n_fft=2048,
        win_length=2048,
        hop_length=512,
        num_mels=128,
        min_hz=0.0,
        max_hz=22_050.0,
        power_offset=1e-9,
        mean=0.0,
        deviation=1.0,
    )


@dataclass(frozen=True, kw_only=True)
class MagnitudeVaeConfig:
    kind: Literal["magnitude_vae"] = "magnitude_vae"
    """Tells a saved codec of this kind from others."""
    mel: LogMelConfig = field(default_factory=mel_16k)
    latent_width: int = 20
    """Channels of a latent frame."""
    width: int = 384
    """Channels of the finest of three levels; each further one has twice as many."""
    num_blocks: int = 2
    """Residual blocks per level of the encoder; the decoder has one more."""

    def __post_init__(self) -> None:
        if self.kind != "magnitude_vae":
            raise ConfigError(f'kind is "magnitude_vae", not "{self.kind}"')
        if self.latent_width < 1 or self.width < 1 or self.num_blocks < 1:
            raise ConfigError("latent_width, width and num_blocks must be positive")

    @property
    def sample_rate(self) -> int:
        return self.mel.sample_rate

    @property
    def downsampling(self) -> int:
        """Mel frames per latent frame."""
        return 2

    @property
    def hop_length(self) -> int:
        """Samples per latent frame."""
        return self.downsampling * self.mel.hop_length

    @property
    def widths(self) -> tuple[int, int, int]:
        return self.width, 2 * self.width, 4 * self.width


def vae_16k() -> MagnitudeVaeConfig:
    """Return MMAudio's autoencoder of 16 kHz sound: 172 million parameters, 20 channels."""
    return MagnitudeVaeConfig()


def vae_44k() -> MagnitudeVaeConfig:
    """Return MMAudio's autoencoder of 44.1 kHz sound: 306 million parameters, 40 channels."""
    return MagnitudeVaeConfig(mel=mel_44k(), latent_width=40, width=512)


def activate(x: Tensor) -> Tensor:
    """Return SiLU of `x`, scaled to keep its magnitude."""
    return nn.functional.silu(x) / SILU_GAIN


def blend(x: Tensor, change: Tensor) -> Tensor:
    """Return the weighted sum of two uncorrelated signals of unit magnitude, of unit magnitude again."""
    share = RESIDUAL_SHARE
    return ((1 - share) * x + share * change) / math.sqrt((1 - share) ** 2 + share**2)


def pixel_norm(x: Tensor) -> Tensor:
    """Return `x` (B, C, N) with a root mean square of one over the channels of every position."""
    return x / (TINY + x.norm(dim=1, keepdim=True) / math.sqrt(x.shape[1]))


def conv(width_in: int, width_out: int, kernel: int = 3) -> nn.Conv1d:
    return nn.Conv1d(width_in, width_out, kernel, padding=kernel // 2, bias=False)


class ResidualBlock(nn.Module):
    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.conv1 = conv(width_in, width_out)
        self.conv2 = conv(width_out, width_out)
        self.nin_shortcut = conv(width_in, width_out, 1) if width_in != width_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C', N) of `x` (B, C, N)."""
        x = pixel_norm(x)
        change = self.conv2(activate(self.conv1(activate(x))))
        return blend(self.nin_shortcut(x), change)


class Attention(nn.Module):
    """One head over all positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = conv(width, 3 * width, 1)
        self.proj_out = conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, N) of `x` (B, C, N)."""
        query, key, value = (pixel_norm(part).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=1))
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return blend(x, self.proj_out(attended.transpose(1, 2)))


class Middle(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(width, width)
        self.attn_1 = Attention(width)
        self.block_2 = ResidualBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x))).clamp(-LARGEST, LARGEST)


class Halve(nn.Module):
    """Half as many positions, between two convolutions of one tap."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv(width, width, 1)
        self.conv2 = conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(nn.functional.avg_pool1d(self.conv1(x), 2))


class Double(nn.Module):
    """Twice as many positions, each repeated and then convolved."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.repeat_interleave(2, dim=2))


class Level(nn.Module):
    def __init__(self, width_in: int, width_out: int, num_blocks: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResidualBlock(width_in if index == 0 else width_out, width_out) for index in range(num_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x).clamp(-LARGEST, LARGEST)
        return x


class HalvingLevel(Level):
    def __init__(self, width_in: int, width_out: int, num_blocks: int) -> None:
        super().__init__(width_in, width_out, num_blocks)
        self.downsample = Halve(width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(super().forward(x))


class DoublingLevel(Level):
    def __init__(self, width_in: int, width_out: int, num_blocks: int) -> None:
        super().__init__(width_in, width_out, num_blocks)
        self.upsample = Double(width_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(super().forward(x))


class Encoder(nn.Module):
    """Standardised mel to the moments of latents; positions are halved after the finest level."""

    def __init__(self, config: MagnitudeVaeConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.widths
        self.conv_in = conv(config.mel.num_mels, fine)
        num_blocks = config.num_blocks
        self.down = nn.ModuleList(
            (HalvingLevel(fine, fine, num_blocks), Level(fine, middle, num_blocks), Level(middle, coarse, num_blocks))
        )
        self.mid = Middle(coarse)
        self.conv_out = conv(coarse, 2 * config.latent_width)
        self.learnable_gain = nn.Parameter(torch.zeros(()))

    def forward(self, mel: Tensor) -> Tensor:
        """Return (B, 2 D, F // 2) of `mel` (B, M, F)."""
        x = self.conv_in(mel)
        for level in self.down:
            x = level(x)
        x = self.mid(x)
        return self.conv_out(activate(x)) * (1 + self.learnable_gain)


class Decoder(nn.Module):
    """Latents to standardised mel; positions are doubled after the middle level."""

    def __init__(self, config: MagnitudeVaeConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.widths
        num_blocks = config.num_blocks + 1
        self.conv_in = conv(config.latent_width, coarse)
        self.mid = Middle(coarse)
        self.up = nn.ModuleList(
            (
                Level(middle, fine, num_blocks),
                DoublingLevel(coarse, middle, num_blocks),
                Level(coarse, coarse, num_blocks),
            )
        )
        self.conv_out = conv(fine, config.mel.num_mels)
        self.learnable_gain = nn.Parameter(torch.zeros(()))

    def forward(self, latents: Tensor) -> Tensor:
        """Return (B, M, 2 L) of `latents` (B, D, L)."""
        x = self.mid(self.conv_in(latents))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(activate(x)) * (1 + self.learnable_gain)


class MagnitudeVae(nn.Module):
    """Waveform to latents and latents to log-mel; the vocoder makes a waveform of that."""

    data_mean: Tensor
    data_std: Tensor

    def __init__(self, config: MagnitudeVaeConfig) -> None:
        super().__init__()
        self.config = config
        self.log_mel = LogMel(config.mel)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.register_buffer("data_mean", torch.zeros(1, config.mel.num_mels, 1))
        self.register_buffer("data_std", torch.ones(1, config.mel.num_mels, 1))

    def mel(self, waveform: Tensor) -> Tensor:
        """Return log-mel (B, M, S // hop) of `waveform` (B, S), which is clipped to [-1, 1]."""
        return self.log_mel(waveform.clamp(-1, 1))

    def posterior(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance (B, D, F // 2) of the latents of `mel` (B, M, F)."""
        mean, log_variance = self.encoder((mel - self.data_mean) / self.data_std).chunk(2, dim=1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, latents: Tensor) -> Tensor:
        """Return log-mel (B, M, 2 L) of `latents` (B, D, L)."""
        return self.decoder(latents) * self.data_std + self.data_mean


def effective_weight(raw: Tensor) -> Tensor:
    """Return the weight that a stored one stands for: every output channel of unit norm, up to a small constant."""
    size = math.sqrt(raw[0].numel())
    norm = raw.flatten(1).norm(dim=1).view(-1, *(1,) * (raw.ndim - 1))
    return raw / (TINY + norm / size) / size


def from_published(entries: Mapping[str, Tensor], config: MagnitudeVaeConfig, *, source: str) -> dict[str, Tensor]:
    """Return an autoencoder's tensors from a published file, which `source` names in errors, weights made effective.

    Published rows of the attention go by channel, then query, key or value; ours the other way round. Raises ModelError
    when a name is missing or unknown or a shape differs.
    """
    own = shapes_of(lambda: MagnitudeVae(config))
    check_entries(entries, own, source=source)
    found: dict[str, Tensor] = {}
    for name in own:
        tensor = entries[name].float()
        if name.endswith(".weight"):
            tensor = effective_weight(tensor)
        if name.endswith(".qkv.weight"):
            tensor = tensor.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)
        found[name] = tensor.contiguous()
    return found
