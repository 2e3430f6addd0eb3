"""ImageBind (Girdhar et al. 2023), pictures and sound: how well a sound fits a video.

Names are ours; `from_published` renames those of the published file and leaves its other senses out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import build_with_weights, check_entries, frozen, shapes_of
from foleykit.core.config import load_config
from foleykit.core.errors import ConfigError, InputError
from foleykit.encoders.audio.imagebind import AudioTower, Block, ClipMels, ImageBindAudioConfig
from foleykit.encoders.clip import DEVIATION, MEAN

NUM_CROPS = 3
OTHER_SENSES = re.compile(r"modality_(preprocessors|trunks|heads|postprocessors)\.(text|depth|thermal|imu)\.")
PUBLISHED_NAMES = {
    "cls_token": "modality_preprocessors.{}.cls_token",
    "pos_embed": "modality_preprocessors.{}.pos_embedding_helper.pos_embed",
    "stem_norm": "modality_preprocessors.{}.rgbt_stem.norm_layer",
    "pre_norm": "modality_trunks.{}.pre_transformer_layer.0",
    "blocks": "modality_trunks.{}.blocks",
    "norm": "modality_heads.{}.0",
    "head": "modality_heads.{}.2",
    "log_scale": "modality_postprocessors.{}.1.log_logit_scale",
}
"""Parts of a tower; that of the stem's convolution depends on the tower."""


@dataclass(frozen=True, kw_only=True)
class ImageBindVisionConfig:
    size: int = 224
    """Side of the square crops, in pixels."""
    patch_size: int = 14
    num_frames: int = 2
    """Frames of a tube, which is one patch deep."""
    width: int = 1280
    num_blocks: int = 32
    num_heads: int = 16
    """Attention heads; must divide `width`."""
    embedding_width: int = 1024

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")
        if self.size % self.patch_size:
            raise ConfigError(f"size {self.size} is not divisible by patch_size {self.patch_size}")

    @property
    def num_patches(self) -> int:
        return (self.size // self.patch_size) ** 2


@dataclass(frozen=True, kw_only=True)
class ImageBindConfig:
    kind: Literal["imagebind"] = "imagebind"
    """Tells a saved network of this kind from others."""
    vision: ImageBindVisionConfig = field(default_factory=ImageBindVisionConfig)
    audio: ImageBindAudioConfig = field(default_factory=ImageBindAudioConfig)

    def __post_init__(self) -> None:
        if self.kind != "imagebind":
            raise ConfigError(f'kind is "imagebind", not "{self.kind}"')
        if self.vision.embedding_width != self.audio.embedding_width:
            raise ConfigError("both towers need one embedding_width")


def resize_bytes(frames: Tensor, size: int) -> Tensor:
    """Return `frames` (T, 3, H, W), uint8, with a short side of `size`: bicubic, antialiased, rounded to bytes.

    av-benchmark's way.
    """
    height, width = frames.shape[2:]
    scaled = int(size * max(height, width) / min(height, width))
    target = (scaled, size) if width <= height else (size, scaled)
    return nn.functional.interpolate(frames, target, mode="bicubic", antialias=True)


def resize_floats(frames: Tensor, size: int) -> Tensor:
    """Return `frames` (T, 3, H, W) in [0, 1] with a short side of `size`: bilinear, not antialiased.

    The way of the model's own loader; it aliases.
    """
    height, width = frames.shape[2:]
    scaled = math.floor(max(height, width) / min(height, width) * size)
    target = (scaled, size) if width < height else (size, scaled)
    return nn.functional.interpolate(frames, target, mode="bilinear", align_corners=False)


def normalise(frames: Tensor) -> Tensor:
    """Return `frames` (T, 3, H, W) in [0, 1] as the network takes them."""
    mean, deviation = (torch.tensor(values, device=frames.device)[:, None, None] for values in (MEAN, DEVIATION))
    return (frames - mean) / deviation


def three_crops(frames: Tensor, size: int) -> Tensor:
    """Return (3, T, 3, size, size): the start, middle and end of the long side of `frames` (T, 3, H, W)."""
    height, width = frames.shape[2:]
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if height > width:
        corners = [(0, left), (top, left), (height - size, left)]
    else:
        corners = [(top, 0), (top, left), (top, width - size)]
    return torch.stack([frames[:, :, y : y + size, x : x + size] for y, x in corners])


def benchmark_crops(frames: Tensor, config: ImageBindVisionConfig) -> Tensor:
    """Return normalised crops (3, T, 3, size, size) of `frames` (T, 3, H, W), uint8, as av-benchmark makes them."""
    _check_bytes(frames)
    return three_crops(normalise(resize_bytes(frames, config.size).float() / 255), config.size)


def loader_crops(frames: Tensor, config: ImageBindVisionConfig) -> Tensor:
    """Return normalised crops (3, T, 3, size, size) of `frames` (T, 3, H, W), uint8, as the model's own loader does."""
    _check_bytes(frames)
    return three_crops(normalise(resize_floats(frames.float() / 255, config.size)), config.size)


def neighbour_tubes(crops: Tensor) -> Tensor:
    """Return tubes (3 (T - 1), 3, 2, H, W) of `crops` (3, T, 3, H, W): every pair of neighbours, pair by pair.

    Raises InputError for a single frame.
    """
    if crops.shape[1] < 2:
        raise InputError("ImageBind needs two frames of a video; repeat a still picture")
    pairs = torch.stack((crops[:, :-1], crops[:, 1:]), dim=3)
    return pairs.transpose(0, 1).flatten(0, 1)


def still_tube(frame: Tensor, config: ImageBindVisionConfig) -> Tensor:
    """Return one tube (1, 3, 2, size, size) of the middle of `frame` (3, H, W), uint8: a video that stands still."""
    crops = benchmark_crops(frame[None], config)
    return crops[1].repeat(2, 1, 1, 1).transpose(0, 1)[None]


def _check_bytes(frames: Tensor) -> None:
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
        raise InputError(f"ImageBind sees frames (T, 3, H, W) of bytes, not {tuple(frames.shape)} of {frames.dtype}")


class VisionTower(nn.Module):
    """Tubes of two frames to embeddings of length one."""

    def __init__(self, config: ImageBindVisionConfig) -> None:
        super().__init__()
        self.config = config
        kernel = (config.num_frames, config.patch_size, config.patch_size)
        self.proj = nn.Conv3d(3, config.width, kernel, stride=kernel, bias=False)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.num_patches, config.width))
        self.pre_norm = nn.LayerNorm(config.width, eps=1e-6)
        self.blocks = nn.ModuleList(
            Block(config.width, config.num_heads, has_bias_kv=False) for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.head = nn.Linear(config.width, config.embedding_width, bias=False)

    def forward(self, tubes: Tensor) -> Tensor:
        """Return unit embeddings (N, E) of `tubes` (N, 3, 2, H, W)."""
        patches = self.proj(tubes).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(len(tubes), -1, -1), patches), dim=1) + self.pos_embed
        x = self.pre_norm(x)
        for block in self.blocks:
            x = block(x)
        return nn.functional.normalize(self.head(self.norm(x[:, 0])), dim=1)


class ImageBind(nn.Module):
    """Both towers."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = VisionTower(config.vision)
        self.audio = AudioTower(config.audio)


class ImageBindEncoder(nn.Module):
    """Frames and waveforms to embeddings of files, with the front ends."""

    def __init__(self, network: ImageBind) -> None:
        super().__init__()
        self.config = network.config
        self.clip_mels = ClipMels(network.config.audio)
        self.network = network

    @classmethod
    def load(cls, folder: Path, *, device: torch.device | str = "cpu") -> Self:
        """Return the encoder of a converted folder; raises ModelError when it is missing or damaged."""
        config = load_config(ImageBindConfig, folder / "config.json")
        return frozen(cls(build_with_weights(lambda: ImageBind(config), folder / "model.safetensors")), device)

    @torch.no_grad()
    def embed_audio(self, waveform: Tensor) -> Tensor:
        """Return the embedding (E,) of a file's `waveform` (C, S) at 16 kHz: the mean of its clips, not normalised."""
        return self.network.audio(self.clip_mels(waveform)).mean(dim=0)

    @torch.no_grad()
    def embed_video(self, frames: Tensor) -> Tensor:
        """Return the embedding (E,) of a file's `frames` (T, 3, H, W), uint8, of which there is one every two seconds.

        The mean over neighbouring pairs and crops, not normalised: av-benchmark's way.
        """
        tubes = neighbour_tubes(benchmark_crops(frames, self.config.vision))
        return torch.cat([self.network.vision(part) for part in tubes.split(NUM_CROPS)]).mean(dim=0)


def published_name(name: str) -> str:
    """Return the name that one of our tensors has in the published file."""
    tower, part, *rest = name.split(".")
    if part == "proj":
        return f"modality_preprocessors.{tower}.rgbt_stem.proj.{'1.' if tower == 'vision' else ''}weight"
    return ".".join((PUBLISHED_NAMES[part].format(tower), *rest))


def from_published(entries: Mapping[str, Tensor], config: ImageBindConfig, *, source: str) -> dict[str, Tensor]:
    """Return both towers' tensors from a published file, which `source` names in errors.

    Text, depth, thermal and motion are left out. Raises ModelError when a name is missing or unknown or a shape
    differs.
    """
    own = shapes_of(lambda: ImageBind(config))
    ignored = {name for name in entries if OTHER_SENSES.match(name)}
    check_entries(entries, {published_name(name): shape for name, shape in own.items()}, source=source, ignored=ignored)
    return {name: entries[published_name(name)].float() for name in own}
