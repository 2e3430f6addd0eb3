"""Cosine similarity of embeddings: AV-Sim when they are of pictures and of sound."""

from __future__ import annotations

from torch import Tensor

SMALLEST_NORM = 1e-8


def cosine_similarity(one: Tensor, other: Tensor) -> Tensor:
    """Return similarities (N, M) in [-1, 1] of `one` (N, D) to `other` (M, D); higher is nearer.

    Norms are floored, so that an embedding of zeros is similar to nothing.
    """
    norms = one.norm(dim=1).clamp(min=SMALLEST_NORM), other.norm(dim=1).clamp(min=SMALLEST_NORM)
    return (one / norms[0][:, None]) @ (other / norms[1][:, None]).T
