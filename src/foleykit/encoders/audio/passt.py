"""PaSST-S (Koutini et al. 2022), 16 x 16 patches every 10: up to ten seconds to an embedding and AudioSet's classes.

Parameters carry the published names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from foleykit.audio.mel_filters import htk_triangles
from foleykit.core.checkpoint import build_with_weights, check_entries, frozen, shapes_of
from foleykit.core.config import load_config
from foleykit.core.errors import ConfigError, InputError
from foleykit.encoders.audio.ast import Block
from foleykit.encoders.audio.tags import AudioTags


@dataclass(frozen=True, kw_only=True)
class PasstConfig:
    kind: Literal["passt"] = "passt"
    """Tells a saved network of this kind from others."""
    sample_rate: int = 32_000
    seconds: float = 10.0
    """What the network was trained on, and the most it takes."""
    n_fft: int = 1024
    win_length: int = 800
    """Samples under the Hann window, in the middle of the FFT."""
    hop_length: int = 320
    num_mels: int = 128
    min_hz: float = 0.0
    max_hz: float = 15_000.0
    """Training draws it from 14 to 16 kHz; evaluation uses the middle."""
    pre_emphasis: float = 0.97
    patch_size: int = 16
    stride: int = 10
    """Of the patches, along both axes."""
    num_time_patches: int = 99
    """Rows of the table of times; shorter clips use the first."""
    width: int = 768
    num_blocks: int = 12
    num_heads: int = 12
    """Attention heads; must divide `width`."""
    num_classes: int = 527

    def __post_init__(self) -> None:
        if self.kind != "passt":
            raise ConfigError(f'kind is "passt", not "{self.kind}"')
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")

    @property
    def num_mel_patches(self) -> int:
        return (self.num_mels - self.patch_size) // self.stride + 1

    @property
    def num_samples(self) -> int:
        """Samples of the longest clip."""
        return round(self.seconds * self.sample_rate)


class PasstMel(nn.Module):
    """Waveforms to normalised log-mel power."""

    filters: Tensor
    window: Tensor

    def __init__(self, config: PasstConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("filters", htk_triangles(config).T.float(), persistent=False)
        self.register_buffer("window", torch.hann_window(config.win_length, periodic=False), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return (B, M, F) of `waveform` (B, S): F = 1 + (S - 1) // hop_length. Raises InputError for unfit lengths."""
        config = self.config
        # One patch of frames.
        shortest = (config.patch_size - 1) * config.hop_length + 1
        if waveform.ndim != 2 or not shortest <= waveform.shape[1] <= config.num_samples:
            raise InputError(
                f"PaSST needs (B, S) of {shortest} to {config.num_samples} samples at {config.sample_rate} Hz, "
                f"not {tuple(waveform.shape)}"
            )
        waveform = waveform.float()
        emphasised = waveform[:, 1:] - config.pre_emphasis * waveform[:, :-1]
        spectrum = torch.stft(
            emphasised,
            config.n_fft,
            config.hop_length,
            config.win_length,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        mel = self.filters @ spectrum.abs().square()
        return ((mel + 1e-5).log() + 4.5) / 5


class PatchEmbed(nn.Module):
    def __init__(self, config: PasstConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, config.width, config.patch_size, stride=config.stride)

    def forward(self, mel: Tensor) -> Tensor:
        """Return patches (B, D, rows, columns) of `mel` (B, M, F)."""
        return self.proj(mel[:, None])


class Passt(nn.Module):
    """Log-mel pictures to embeddings and logits."""

    def __init__(self, config: PasstConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        self.new_pos_embed = nn.Parameter(torch.zeros(1, 2, width))
        self.freq_new_pos_embed = nn.Parameter(torch.zeros(1, width, config.num_mel_patches, 1))
        self.time_new_pos_embed = nn.Parameter(torch.zeros(1, width, 1, config.num_time_patches))
        self.blocks = nn.ModuleList(Block(width, config.num_heads) for _ in range(config.num_blocks))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # The head keeps the library's epsilon, 1e-5, where the trunk has 1e-6.
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.num_classes))

    def forward(self, mel: Tensor) -> AudioTags:
        """Return embeddings and logits of `mel` (B, M, F); raises InputError beyond the table of times."""
        patches = self.patch_embed(mel)
        if patches.shape[3] > self.config.num_time_patches:
            raise InputError(
                f"PaSST takes {self.config.num_time_patches} patches in time, not {patches.shape[3]}; "
                f"cut the clip to {self.config.seconds:g} s"
            )
        patches = patches + self.time_new_pos_embed[..., : patches.shape[3]] + self.freq_new_pos_embed
        summaries = (torch.cat((self.cls_token, self.dist_token), dim=1) + self.new_pos_embed).expand(len(mel), -1, -1)
        x = torch.cat((summaries, patches.flatten(2).transpose(1, 2)), dim=1)
        for block in self.blocks:
            x = block(x)
        embedding = self.norm(x)[:, :2].mean(dim=1)
        return AudioTags(embedding=embedding, logits=self.head(embedding))


class PasstEncoder(nn.Module):
    """Waveforms to embeddings and logits, with the front end."""

    def __init__(self, network: Passt) -> None:
        super().__init__()
        self.config = network.config
        self.front_end = PasstMel(network.config)
        self.network = network

    @classmethod
    def load(cls, folder: Path, *, device: torch.device | str = "cpu") -> Self:
        """Return the encoder of a converted folder; raises ModelError when it is missing or damaged."""
        config = load_config(PasstConfig, folder / "config.json")
        return frozen(cls(build_with_weights(lambda: Passt(config), folder / "model.safetensors")), device)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> AudioTags:
        """Return embeddings and logits of `waveform` (B, S), mono at the config's rate and at most ten seconds long.

        Silence changes the embedding: figures of `pad_to_whole` clips and of clips as they are do not compare.
        """
        return self.network(self.front_end(waveform))


def pad_to_whole(waveform: Tensor, config: PasstConfig) -> Tensor:
    """Return `waveform` (B, S) cut, or continued with silence, to the longest clip: what av-benchmark scores."""
    return nn.functional.pad(waveform, (0, config.num_samples - waveform.shape[1]))


def pieces(waveform: Tensor, config: PasstConfig, *, shortest_seconds: float = 0.15) -> list[Tensor]:
    """Return `waveform` (S,) in pieces of the longest clip, without pieces of at most `shortest_seconds`.

    AudioCraft's KL divergence, and so FoleyGen's, takes each piece for a sample of its own and pads none.
    """
    parts = waveform.split(config.num_samples)
    return [part for part in parts if len(part) > shortest_seconds * config.sample_rate]


def from_published(entries: Mapping[str, Tensor], config: PasstConfig, *, source: str) -> dict[str, Tensor]:
    """Return the network's tensors from a published file, which `source` names in errors.

    The classifier on the distillation token, which nothing uses after training, is left out. Raises ModelError when a
    name is missing or unknown or a shape differs.
    """
    own = shapes_of(lambda: Passt(config))
    unused = {"head_dist.weight": (config.num_classes, config.width), "head_dist.bias": (config.num_classes,)}
    check_entries(entries, own | unused, source=source)
    return {name: entries[name].float() for name in own}
