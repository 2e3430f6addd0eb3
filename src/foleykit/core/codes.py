"""Codes of a token codec, checked where they come in."""

from __future__ import annotations

from torch import Tensor

from foleykit.core.errors import InputError


def check_codes(codes: Tensor, num_codebooks: int, codebook_size: int) -> None:
    """Raise InputError unless `codes` are (B, K, L) with entries in [0, codebook_size)."""
    if codes.ndim != 3 or codes.shape[1] != num_codebooks:
        raise InputError(f"codes of {num_codebooks} codebooks are (B, {num_codebooks}, L), not {tuple(codes.shape)}")
    if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < codebook_size:
        raise InputError(f"codes run from 0 to {codebook_size - 1}; got {int(codes.min())} to {int(codes.max())}")
