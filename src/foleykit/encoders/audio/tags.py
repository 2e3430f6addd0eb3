"""What a network that names sounds says about clips."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AudioTags:
    """Embeddings for Fréchet distances, logits for KL divergence and inception score."""

    embedding: Tensor
    """(B, D)"""
    logits: Tensor
    """(B, V) over the 527 classes of AudioSet, before sigmoid or softmax."""
