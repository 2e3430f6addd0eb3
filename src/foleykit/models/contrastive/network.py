"""Towers for sound and pictures with one space of embeddings: AV-Sim and retrieval at Action2Sound's published size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from foleykit.audio.kaldi_bank import KaldiBank, KaldiBankConfig
from foleykit.core.checkpoint import check_entries, shapes_of
from foleykit.core.errors import ConfigError
from foleykit.encoders.audio.ast import AstConfig, SpectrogramTransformer
from foleykit.encoders.visual.timesformer import TimeSformer, TimeSformerConfig

PREFIX = "module."
"""Of every name in `av.pth`."""
_HEADS = tuple(
    f"{PREFIX}{name}."
    for name in ("video_model.head", "video_model.pre_logits", "audio_model.v.head", "audio_model.v.head_dist")
)
"""Classifiers of pictures that both towers started from and that nothing uses."""


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """Two towers that fit each other; the defaults are the published sizes."""

    video: TimeSformerConfig = field(default_factory=TimeSformerConfig)
    audio: AstConfig = field(default_factory=AstConfig)
    bank: KaldiBankConfig = field(default_factory=KaldiBankConfig)
    temperature: float = 0.05
    """At which training starts; then it is learnt. That of the EgoVLP lineage: the paper does not name one."""

    def __post_init__(self) -> None:
        if self.bank.num_mels != self.audio.num_mels:
            raise ConfigError(f"the bank has {self.bank.num_mels} mels, the tower takes {self.audio.num_mels}")
        if not 0 < self.temperature <= 1:
            raise ConfigError(f"temperature lies above 0 and at most at 1, not {self.temperature:g}")


class AudioVisualTowers(nn.Module):
    """Embeddings of sound and of pictures; parameters carry the published names."""

    def __init__(self, config: ContrastiveConfig) -> None:
        super().__init__()
        self.config = config
        self.video_model = TimeSformer(config.video)
        self.audio_model = SpectrogramTransformer(config.audio)
        self.vid_proj = nn.Sequential(nn.Linear(config.video.width, config.audio.embedding_width))
        self.log_scale = nn.Parameter(torch.tensor(-math.log(config.temperature)))
        # Its filters are computed, which shapes on no device cannot be.
        with torch.device("cpu"):
            self.bank = KaldiBank(config.bank)

    def embed_video(self, frames: Tensor) -> Tensor:
        """Return unit embeddings (B, E) of `frames` (B, T, 3, H, W) in [0, 1]."""
        embedded: Tensor = self.vid_proj(self.video_model.embed(frames))
        return nn.functional.normalize(embedded, dim=1, eps=1e-8)

    def embed_audio(self, waveform: Tensor) -> Tensor:
        """Return unit embeddings (B, E) of `waveform` (B, S) at the bank's rate; it hears as much as fits its bank.

        Raises InputError for less than one frame of it.
        """
        embedded: Tensor = self.audio_model(self.bank(waveform, self.config.audio.num_frames))
        return nn.functional.normalize(embedded, dim=1, eps=1e-8)


def av_sim(sounds: Tensor, pictures: Tensor) -> float:
    """Return AV-Sim, the mean cosine in [-1, 1] of unit embeddings (N, E) of clips' sounds and pictures."""
    return float((sounds * pictures).sum(dim=1).double().mean())


def towers_from_published(
    entries: Mapping[str, Tensor], config: ContrastiveConfig, *, source: str
) -> AudioVisualTowers:
    """Return the towers of `av.pth`, whose tensors are `entries`; `source` names it in errors.

    The temperature is in no known file and stays at its start. Raises ModelError when a name is missing or unknown, or
    a shape differs.
    """
    shapes = {
        f"{PREFIX}{name}": shape
        for name, shape in shapes_of(lambda: AudioVisualTowers(config)).items()
        if name != "log_scale"
    }
    heads = {name for name in entries if name.startswith(_HEADS)}
    check_entries(entries, shapes, source=source, ignored=heads)
    towers = AudioVisualTowers(config)
    own = {name.removeprefix(PREFIX): entries[name].float() for name in shapes}
    towers.load_state_dict(own | {"log_scale": towers.log_scale.detach()})
    return towers
