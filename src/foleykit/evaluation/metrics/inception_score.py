"""How clearly a classifier names each of many sounds, and how different the names are."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from foleykit.core.errors import InputError

PERMUTATION_SEED = 2020
"""Of the published evaluation code."""


def inception_score(logits: Tensor, *, num_splits: int = 10, seed: int = PERMUTATION_SEED) -> float:
    """Return the inception score (Salimans et al. 2016) of class `logits` (N, C), in [1, C]; higher is better.

    The mean of `split_scores`, whose spread published tables give as its deviation. Biased by the size of splits:
    compare figures of equally many clips. Raises InputError as `split_scores` does.
    """
    return float(split_scores(logits, num_splits=num_splits, seed=seed).mean())


def split_scores(logits: Tensor, *, num_splits: int = 10, seed: int = PERMUTATION_SEED) -> Tensor:
    """Return the scores (num_splits,), float64, of equal parts of the rows of `logits` (N, C).

    Each is the exponential of the mean over rows of KL(p || mean p), p being the softmax. Rows are permuted before they
    are split, so their order counts: sort clips by name. Raises InputError for fewer rows than splits, or logits that
    are not finite.
    """
    if logits.ndim != 2 or len(logits) < num_splits or num_splits < 1:
        raise InputError(f"an inception score of {num_splits} splits needs as many clips, not {tuple(logits.shape)}")
    if not logits.isfinite().all():
        raise InputError("class logits must be finite")
    # Published figures depend on the permutation of this very generator.
    order = np.random.RandomState(seed).permutation(len(logits))
    log_p = logits.double().cpu()[torch.from_numpy(order)].log_softmax(1)
    ends = [index * len(logits) // num_splits for index in range(num_splits + 1)]
    return torch.stack([_score(log_p[start:end]) for start, end in pairwise(ends)])


def _score(log_p: Tensor) -> Tensor:
    marginal = log_p.logsumexp(0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - marginal)).sum(1).mean().exp()
