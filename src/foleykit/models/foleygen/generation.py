"""Codes of one window, step by step: the prompt and the video are read at once, then one step at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from foleykit.core.codes import check_codes
from foleykit.diffusion.guidance import guide
from foleykit.models.foleygen.config import SamplingConfig
from foleykit.models.foleygen.network import KeyValueCache, LanguageModel
from foleykit.tokens.patterns import UNKNOWN, code_mask, prompted, undelay
from foleykit.tokens.sampling import draw, probabilities


@torch.inference_mode()
def generate_codes(
    model: LanguageModel,
    features: Tensor,
    prompt: Tensor,
    num_frames: int,
    *,
    sampling: SamplingConfig,
    generator: torch.Generator,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return codes (B, K, `num_frames`) for visual `features` (B, N, W); the first are those of `prompt` (B, K, P).

    Both branches of guidance run as one batch. `on_step` hears the steps done and their number. Raises InputError for a
    prompt longer than the whole or with codes that the model does not have.
    """
    config = model.config
    check_codes(prompt, config.num_codebooks, config.codebook_size)
    tokens, first = prompted(prompt, num_frames, config.delays, config.special)
    num_steps = tokens.shape[2]
    mask = code_mask(num_frames, num_steps, config.delays, tokens.device)
    visual = branches_of(model, features, sampling.guidance_scale)
    num_branches = len(visual) // len(tokens)
    cache = KeyValueCache(visual.shape[1] + num_steps)
    read = 0
    for step in range(first, num_steps):
        logits = model(tokens[:, :, read:step].repeat(num_branches, 1, 1), visual, cache)[:, :, -1].float()
        if num_branches == 2:
            conditional, null = logits.chunk(2)
            logits = guide(conditional, null, sampling.guidance_scale)
        chances = probabilities(logits, temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p)
        drawn = torch.where(mask[:, step], draw(chances, generator), config.special)
        # The finer codes of the prompt's last frames stand in steps still to come: they are known and stay.
        tokens[:, :, step] = torch.where(tokens[:, :, step] == UNKNOWN, drawn, tokens[:, :, step])
        read = step
        if on_step is not None:
            on_step(step - first + 1, num_steps - first)
    codes, _ = undelay(tokens, num_frames, config.delays)
    return codes


def branches_of(model: LanguageModel, features: Tensor, guidance_scale: float) -> Tensor:
    """Return the visual vectors of the branches that guidance needs: with video, without it, or one after the other."""
    with_video = features.new_ones(len(features), dtype=torch.bool)
    if guidance_scale == 1:
        return model.condition(features, with_video)
    if guidance_scale == 0:
        return model.condition(features, ~with_video)
    return model.condition(features.repeat(2, 1, 1), torch.cat((with_video, ~with_video)))
