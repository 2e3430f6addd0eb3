"""ImageBind's audio tower (Girdhar et al. 2023): clips of two seconds into the space that pictures share."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from foleykit.audio.kaldi_bank import KaldiBank, KaldiBankConfig
from foleykit.core.errors import ConfigError, InputError
from foleykit.encoders.audio.ast import FeedForward

LARGEST_SCALE = 100.0


@dataclass(frozen=True, kw_only=True)
class ImageBindAudioConfig:
    sample_rate: int = 16_000
    clip_seconds: int = 2
    num_clips: int = 3
    """Clips of a file, evenly spread; they overlap in short files."""
    num_mels: int = 128
    num_frames: int = 204
    """Mel frames of a clip: 198 of sound, then silence."""
    mean: float = -4.268
    """Subtracted from the logarithm."""
    deviation: float = 9.138
    patch_size: int = 16
    stride: int = 10
    """Of the patches, along both axes."""
    width: int = 768
    num_blocks: int = 12
    num_heads: int = 12
    """Attention heads; must divide `width`."""
    embedding_width: int = 1024

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")

    @property
    def num_patches(self) -> int:
        rows = (self.num_mels - self.patch_size) // self.stride + 1
        return rows * ((self.num_frames - self.patch_size) // self.stride + 1)


def clip_spans(duration: float, num_clips: int, clip_seconds: int) -> list[tuple[Fraction, Fraction]]:
    """Return the start and end in seconds of `num_clips` clips, evenly spread over `duration`.

    Exact fractions of a rounded duration: at 4.3 s the middle clip starts at sample 18399, not 18400. A file shorter
    than a clip gives the same clip several times, which ends beyond it.
    """
    last_start = Fraction(max(duration - clip_seconds, 0))
    starts = [last_start / max(num_clips - 1, 1) * index for index in range(num_clips)]
    return [(start, start + clip_seconds) for start in starts]


def clip_samples(num_samples: int, config: ImageBindAudioConfig) -> list[tuple[int, int]]:
    """Return the first sample of each clip and the one after its last, both truncated to whole numbers."""
    spans = clip_spans(num_samples / config.sample_rate, config.num_clips, config.clip_seconds)
    return [(int(start * config.sample_rate), int(end * config.sample_rate)) for start, end in spans]


class ClipMels(nn.Module):
    """A file's waveform to the log-mel pictures of its clips."""

    def __init__(self, config: ImageBindAudioConfig) -> None:
        super().__init__()
        self.config = config
        self.bank = KaldiBank(
            KaldiBankConfig(sample_rate=config.sample_rate, num_mels=config.num_mels, mean=0.0, deviation=1.0)
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """Return (N, 1, M, F) of `waveform` (C, S) in [-1, 1], of which the first channel is heard.

        Raises InputError where not one mel frame fits.
        """
        config = self.config
        if waveform.ndim != 2:
            raise InputError(f"ImageBind hears one file (C, S) at a time, not {tuple(waveform.shape)}")
        # A clip's mean is subtracted from the file itself, so a clip that overlaps an earlier one begins with samples
        # that are shifted already, and has a step where that one ends.
        waveform = waveform.float().clone()
        mels = []
        for start, end in clip_samples(waveform.shape[1], config):
            clip = waveform[:, start:end]
            clip -= clip.mean()
            mels.append(self.bank(clip[:1], config.num_frames)[0].T)
        return (torch.stack(mels)[:, None] - config.mean) / config.deviation


class Block(nn.Module):
    """A pre-norm block; `has_bias_kv` adds one learnt key and value that every position may attend to."""

    def __init__(self, width: int, num_heads: int, *, has_bias_kv: bool) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.MultiheadAttention(width, num_heads, add_bias_kv=has_bias_kv, batch_first=True)
        self.norm_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.norm_2(x))


class AudioTower(nn.Module):
    """Log-mel pictures of clips to embeddings of one length."""

    def __init__(self, config: ImageBindAudioConfig) -> None:
        super().__init__()
        self.config = config
        self.proj = nn.Conv2d(1, config.width, config.patch_size, stride=config.stride, bias=False)
        self.stem_norm = nn.LayerNorm(config.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.num_patches, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, has_bias_kv=True) for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.head = nn.Linear(config.width, config.embedding_width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(20.0).log())

    def forward(self, mels: Tensor) -> Tensor:
        """Return embeddings (N, E) of `mels` (N, 1, M, F), each as long as the learnt scale, which is 20."""
        patches = self.stem_norm(self.proj(mels).flatten(2).transpose(1, 2))
        x = torch.cat((self.cls_token.expand(len(mels), -1, -1), patches), dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        embedding = self.head(self.norm(x[:, 0]))
        return nn.functional.normalize(embedding, dim=1) * self.log_scale.exp().clamp(max=LARGEST_SCALE)
