"""How often a class is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from foleykit.core.errors import InputError


def accuracy(reference: ArrayLike, generated: ArrayLike) -> float:
    """Return the share of equal class indices (N,), in [0, 1]; higher is better.

    Raises InputError when there are none or the lengths differ.
    """
    first, second = np.asarray(reference), np.asarray(generated)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise InputError(f"accuracy needs equally many classes, at least one; got {first.shape} and {second.shape}")
    return float((first == second).mean())


def balanced_accuracy(reference: ArrayLike, generated: ArrayLike) -> float:
    """Return the mean over reference classes of the share that is right, in [0, 1]; higher is better.

    Always guessing one class scores one over the number of classes, however common that class is. Raises InputError as
    `accuracy` does.
    """
    accuracy(reference, generated)
    first, second = np.asarray(reference), np.asarray(generated)
    return float(np.mean([(second[first == label] == label).mean() for label in np.unique(first)]))
