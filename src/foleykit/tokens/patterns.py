"""The delay pattern (Copet et al. 2023, sec. 2.2): codebook q runs `delays[q]` steps behind, so that one step predicts
one code of every codebook and the finer codes of a frame still follow its coarser ones.

Codes are (B, K, T), frame by frame; tokens are (B, K, S), step by step, with a special token wherever a codebook has
nothing to say. Step 0 is special in all codebooks; code t of codebook q stands in step t + 1 + delays[q]. A language
model reads step s and predicts step s + 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from foleykit.core.errors import InputError

UNKNOWN = -1
"""Code that is still to be predicted."""


def num_steps(num_frames: int, delays: Sequence[int]) -> int:
    """Return the steps of the whole pattern: every code of every frame, after the step with which all begins."""
    return num_frames + max(delays) + 1


def frame_index(steps: int, delays: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Return the frame (K, S) whose code stands in each cell; below 0 or beyond the last frame there is none."""
    step = torch.arange(steps, device=device)
    return step - 1 - torch.tensor(delays, device=device)[:, None]


def code_mask(num_frames: int, steps: int, delays: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Return (K, S), True where a cell holds a code of the first `num_frames` frames."""
    frame = frame_index(steps, delays, device)
    return (frame >= 0) & (frame < num_frames)


def delay(codes: Tensor, delays: Sequence[int], special: int, *, steps: int | None = None) -> Tensor:
    """Return tokens (B, K, `steps`) of `codes` (B, K, T), by default the whole pattern.

    Fewer steps cut the end off: T + 1 are what AudioCraft trains on. More leave room for frames to come. Raises
    InputError for another number of codebooks than `delays` has.
    """
    _check(codes, delays)
    num_frames = codes.shape[2]
    steps = num_steps(num_frames, delays) if steps is None else steps
    frame = frame_index(steps, delays, codes.device).clamp(0, max(0, num_frames - 1))
    mask = code_mask(num_frames, steps, delays, codes.device)
    if not num_frames:
        return codes.new_full((*codes.shape[:2], steps), special)
    return torch.where(mask, codes.gather(2, frame.expand(len(codes), -1, -1)), special)


def undelay(tokens: Tensor, num_frames: int, delays: Sequence[int], *, missing: int = UNKNOWN) -> tuple[Tensor, Tensor]:
    """Return codes (B, K, T) of `tokens` (B, K, S) and a mask (K, T), False where the sequence ends before a code."""
    _check(tokens, delays)
    steps = tokens.shape[2]
    step = torch.arange(num_frames, device=tokens.device) + 1 + torch.tensor(delays, device=tokens.device)[:, None]
    mask = step < steps
    codes = tokens.gather(2, step.clamp(max=steps - 1).expand(len(tokens), -1, -1))
    return torch.where(mask, codes, missing), mask


def align(outputs: Tensor, num_frames: int, delays: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return `outputs` (B, K, S, V) of a model as what they predict, (B, K, T, V), and a mask (K, T).

    Output s predicts step s + 1. Where the sequence ends before a code is predicted there are zeros and the mask is
    False.
    """
    _check(outputs, delays)
    steps = outputs.shape[2]
    step = torch.arange(num_frames, device=outputs.device) + torch.tensor(delays, device=outputs.device)[:, None]
    # The last output predicts a step beyond the sequence, so it belongs to no code of it.
    mask = step < steps - 1
    index = step.clamp(max=steps - 1)[None, :, :, None].expand(len(outputs), -1, -1, outputs.shape[3])
    return torch.where(mask[:, :, None], outputs.gather(2, index), 0.0), mask


def prompted(prompt: Tensor, num_frames: int, delays: Sequence[int], special: int) -> tuple[Tensor, int]:
    """Return the tokens (B, K, S) of `num_frames` frames, of which `prompt` (B, K, P) gives the first, and a step.

    All other codes are `UNKNOWN`. The step is the first that holds an unknown code: prediction starts there, and finer
    codes of the prompt that stand in later steps are to be kept. Raises InputError for a prompt longer than the whole.
    """
    num_known = prompt.shape[2]
    if num_known > num_frames:
        raise InputError(f"a prompt of {num_known} frames is longer than the {num_frames} frames to make")
    unknown = prompt.new_full((*prompt.shape[:2], num_frames - num_known), UNKNOWN)
    return delay(torch.cat((prompt, unknown), dim=2), delays, special), num_known + 1 + min(delays)


def _check(values: Tensor, delays: Sequence[int]) -> None:
    if values.shape[1] != len(delays):
        raise InputError(f"{values.shape[1]} codebooks do not fit a pattern of {len(delays)}")
