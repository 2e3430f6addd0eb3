"""Classifier-free guidance (Ho and Salimans 2022)."""

from __future__ import annotations

from torch import Tensor


def guide(conditional: Tensor, unconditional: Tensor, guidance_scale: float | Tensor) -> Tensor:
    """Return the guided prediction; scale 1 is the conditional one unchanged, 0 the unconditional one.

    A tensor of scales holds for each part of the prediction that it is broadcast to.
    """
    return unconditional + guidance_scale * (conditional - unconditional)
