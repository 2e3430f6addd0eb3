"""Types that data, models and training share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

IGNORED = -100
"""Class index of positions that a loss leaves out."""

Batch = TypeVar("Batch")
Batch_contra = TypeVar("Batch_contra", contravariant=True)
Batch_co = TypeVar("Batch_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What an objective returns: the number to descend and the parts worth logging."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Objective(Protocol, Generic[Batch_contra]):
    """A batch to its loss; `model` holds exactly the weights that are trained and saved."""

    @property
    def model(self) -> nn.Module: ...

    def __call__(self, batch: Batch_contra, generator: torch.Generator) -> Losses: ...


class BatchSource(Protocol, Generic[Batch_co]):
    """Training data as a function of the step, so that a resumed run sees the batches it would have seen."""

    def __call__(self, step: int) -> Batch_co: ...


@dataclass(frozen=True, kw_only=True)
class VideoFeatures:
    """What a model saw of a video, on the CPU."""

    values: Tensor
    """(N, D), in the model's own rhythm"""
    steered: Tensor | None = None
    """(N, D) what sound is made of where that is not what was seen: `encoders.visual.steering`"""
    evidence: Tensor | None = None
    """(N,) logits that something begins to sound, as faint as they are where `steered` makes them clear."""
    strangeness: float = 0.0
    """How unlike the training videos it looks, 0 to 1."""

    @property
    def told(self) -> Tensor:
        """What a generator is told (N, D)."""
        return self.values if self.steered is None else self.steered


@dataclass(frozen=True, kw_only=True)
class AudioBatch:
    waveform: Tensor
    """(B, S) in [-1, 1]"""


@dataclass(frozen=True, kw_only=True)
class VideoBatch:
    frames: Tensor
    """(B, T, 3, H, W) in [0, 1]"""
    onset: Tensor
    """(B, T) in [0, 1]: 1 at a frame with an on-screen onset, less beside it."""
    material: Tensor
    """(B, T) int64, `IGNORED` where nothing rings."""
    action: Tensor
    """(B, T) int64, `IGNORED` where nothing is done."""
    sound: Tensor
    """(B, T, D) latents of the action stem alone."""
    contact: Tensor
    """(B, T, C, C) in [0, 1]: 1 at the cell and frame of a visible impact, less around it."""
    surface: Tensor
    """(B, T', M, M) int64 class of what each part of the picture shows, every slow frame."""
    ambience: Tensor
    """(B, kinds) 1 for every kind of background that is heard, else 0."""


@dataclass(frozen=True, kw_only=True)
class GeneratorBatch:
    latents: Tensor
    """(B, D, L) of the mixture"""
    weights: Tensor
    """(B, L) how much each latent frame counts"""
    video: Tensor
    """(B, L, W) features, each followed by its row of the event track"""
    ambient: Tensor
    """(B, D, L) latents of the mixture at another moment of the same long video"""


@dataclass(frozen=True, kw_only=True)
class SimilarityBatch:
    latents: Tensor
    """(B, D, L) of the mixture"""
    maps: Tensor
    """(B, T, A, C, C) appearance of other moments of the same long video"""
    seen: Tensor
    """(B, K) 1 for every kind of ambience whose source is in sight, or for none of them"""
    alone: Tensor
    """(N, D, L) latents of backgrounds of one kind, without pictures"""
    alone_kinds: Tensor
    """(N,) int64 kind of each, on the same scale"""


@dataclass(frozen=True, kw_only=True)
class CodesBatch:
    codes: Tensor
    """(B, K, T) int64 of a token codec"""
    video: Tensor
    """(B, N, W) visual vectors of the same time"""
