"""How far apart two sets of sounds lie, as Gaussians in an embedding space."""

from __future__ import annotations

import torch
from torch import Tensor

from foleykit.core.errors import InputError


def frechet_distance(reference: Tensor, generated: Tensor) -> float:
    """Return the Fréchet distance (Heusel et al. 2017) of two embedding sets (N, D); lower is better, 0 at best.

    Computed in float64. Biased up for small N: compare only figures from sets of one size. Raises InputError when a set
    has fewer than two embeddings or the widths differ.
    """
    if reference.ndim != 2 or generated.ndim != 2 or reference.shape[1] != generated.shape[1]:
        raise InputError(
            f"a Fréchet distance needs two sets (N, D) of one width, "
            f"got {tuple(reference.shape)} and {tuple(generated.shape)}"
        )
    if min(len(reference), len(generated)) < 2:
        raise InputError(f"a Fréchet distance needs two embeddings per set, got {len(reference)} and {len(generated)}")
    reference, generated = reference.double(), generated.double()
    mean_gap = reference.mean(0) - generated.mean(0)
    cov_ref, cov_gen = _covariance(reference), _covariance(generated)
    # Eigenvalues give the trace of the matrix root directly, also when N < D.
    cross = torch.linalg.eigvals(cov_ref @ cov_gen).real.clamp(min=0).sqrt().sum()
    distance = mean_gap @ mean_gap + cov_ref.trace() + cov_gen.trace() - 2 * cross
    return max(0.0, float(distance))


def _covariance(embeddings: Tensor) -> Tensor:
    """Return the (D, D) covariance of embeddings (N, D); `torch.cov` drops the axes of width one."""
    centred = embeddings - embeddings.mean(0)
    return centred.T @ centred / (len(embeddings) - 1)
