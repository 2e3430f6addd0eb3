"""How different the takes of one clip are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from torch import Tensor

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.spectral_error import log_spectral_distance


def take_diversity(takes: Sequence[Tensor]) -> float:
    """Return the mean log-spectral distance in dB over all pairs of takes (S,) of one clip; 0 when all are the same.

    Higher is more varied, which is good only where the takes are good: noise is varied too. Raises InputError for
    fewer than two takes or differing lengths.
    """
    if len(takes) < 2:
        raise InputError(f"takes are compared with each other: at least two are needed, got {len(takes)}")
    distances = [log_spectral_distance(one, other) for one, other in combinations(takes, 2)]
    return sum(distances) / len(distances)
