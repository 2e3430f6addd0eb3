"""Agreement of paired embeddings: the CLAP score of sound and text, the ImageBind score of sound and video."""

from __future__ import annotations

from torch import Tensor

from foleykit.core.errors import InputError


def paired_cosine(one: Tensor, other: Tensor) -> Tensor:
    """Return per pair (N,), float64, the cosine in [-1, 1] of row i of `one` and of `other` (N, D); higher is better.

    Neither scaled nor clipped at 0; a table states the mean over pairs, at times multiplied by 100. Raises InputError
    when shapes differ, there is no pair, or an embedding has no direction.
    """
    if one.ndim != 2 or one.shape != other.shape or not len(one):
        raise InputError(f"cosines need paired embeddings (N, D), got {tuple(one.shape)} and {tuple(other.shape)}")
    one, other = one.double(), other.double()
    norms = one.norm(dim=1) * other.norm(dim=1)
    if not (norms.isfinite() & (norms > 0)).all():
        raise InputError("cosines need embeddings that are finite and not zero")
    return ((one * other).sum(dim=1) / norms).clamp(-1, 1)
