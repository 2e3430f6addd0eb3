"""How much of one set of sounds another covers: precision, recall, density and coverage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from foleykit.core.errors import InputError

CHUNK = 2048
"""Rows of the distance matrix that are held at once."""


@dataclass(frozen=True, kw_only=True)
class Prdc:
    """What holds of each embedding; the figures are means, each better when higher."""

    is_precise: Tensor
    """(M,) whether a generated embedding lies in the neighbourhood of some reference embedding."""
    is_recalled: Tensor
    """(N,) whether a reference embedding lies in the neighbourhood of some generated embedding."""
    densities: Tensor
    """(M,) in how many reference neighbourhoods a generated embedding lies, over the number of neighbours."""
    is_covered: Tensor
    """(N,) whether a reference embedding's own neighbourhood holds a generated embedding."""

    @property
    def precision(self) -> float:
        """Are generated sounds realistic? In [0, 1]."""
        return float(self.is_precise.double().mean())

    @property
    def recall(self) -> float:
        """Is everything that occurs in the reference generated? In [0, 1]."""
        return float(self.is_recalled.double().mean())

    @property
    def density(self) -> float:
        """As precision, but outliers of the reference count little; may exceed 1."""
        return float(self.densities.mean())

    @property
    def coverage(self) -> float:
        """As recall, but outliers among the generated count little; in [0, 1]."""
        return float(self.is_covered.double().mean())


def prdc(reference: Tensor, generated: Tensor, *, num_neighbours: int = 5) -> Prdc:
    """Return precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    `reference` (N, D) and `generated` (M, D) are embeddings; the neighbourhood of one reaches to its
    `num_neighbours`-th nearest other of its own set. Equal sets score 1 in all but density, which is then about 1.
    Raises InputError when widths differ, values are not finite, or a set has too few embeddings.
    """
    if reference.ndim != 2 or generated.ndim != 2 or reference.shape[1] != generated.shape[1]:
        raise InputError(
            f"two sets (N, D) of one width are compared, not {tuple(reference.shape)} and {tuple(generated.shape)}"
        )
    if min(len(reference), len(generated)) <= num_neighbours or num_neighbours < 1:
        raise InputError(
            f"{num_neighbours} neighbours need more embeddings than that per set, "
            f"got {len(reference)} and {len(generated)}"
        )
    reference, generated = reference.double(), generated.double()
    if not (reference.isfinite().all() and generated.isfinite().all()):
        raise InputError("embeddings must be finite")
    real_radius, made_radius = (_radii(part, num_neighbours) for part in (reference, generated))
    num_holding = torch.zeros(len(generated), dtype=torch.double)
    is_recalled, is_covered = [], []
    for rows, radius in zip(reference.split(CHUNK), real_radius.split(CHUNK), strict=True):
        distance = _distances(rows, generated)
        is_inside = distance <= radius[:, None]
        num_holding += is_inside.sum(0)
        is_recalled.append((distance <= made_radius).any(1))
        is_covered.append(is_inside.any(1))
    return Prdc(
        is_precise=num_holding > 0,
        is_recalled=torch.cat(is_recalled),
        densities=num_holding / num_neighbours,
        is_covered=torch.cat(is_covered),
    )


def _radii(embeddings: Tensor, num_neighbours: int) -> Tensor:
    """Return the distance (N,) of each embedding to its k-th nearest other."""
    # The nearest of all is the embedding itself.
    return torch.cat(
        [_distances(rows, embeddings).kthvalue(num_neighbours + 1, dim=1).values for rows in embeddings.split(CHUNK)]
    )


def _distances(rows: Tensor, others: Tensor) -> Tensor:
    # By differences: the product form is off by more than a radius where embeddings lie close together.
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")
