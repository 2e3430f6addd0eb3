"""From logits to the next token: temperature, then the nucleus or the k likeliest, then one draw."""

from __future__ import annotations

import torch
from torch import Tensor


def probabilities(logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 0.0) -> Tensor:
    """Return the distribution (..., V), in fp32, that a token is drawn from.

    `top_p` keeps the likeliest entries until their mass reaches it (Holtzman et al. 2020) and goes before `top_k`,
    which keeps the k likeliest and all that equal the last of them; 0 switches either off. Temperature 0 leaves the
    likeliest entry alone.
    """
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(dim=-1), logits.shape[-1]).float()
    chances = (logits.float() / temperature).softmax(dim=-1)
    if top_p > 0:
        chances = nucleus(chances, top_p)
    elif 0 < top_k < chances.shape[-1]:
        least = chances.topk(top_k, dim=-1).values[..., -1:]
        chances = torch.where(chances >= least, chances, 0.0)
    return chances / chances.sum(dim=-1, keepdim=True)


def nucleus(chances: Tensor, top_p: float) -> Tensor:
    """Return `chances` (..., V) with 0 for every entry before which, in falling order, lies more mass than `top_p`."""
    falling, order = chances.sort(dim=-1, descending=True, stable=True)
    before = falling.cumsum(dim=-1) - falling
    return torch.zeros_like(chances).scatter(-1, order, torch.where(before <= top_p, falling, 0.0))


def draw(chances: Tensor, generator: torch.Generator) -> Tensor:
    """Return one index per distribution (..., V), drawn on the CPU so that every device makes the same choice."""
    index = torch.multinomial(chances.flatten(0, -2).cpu(), 1, generator=generator)
    return index.view(chances.shape[:-1]).to(chances.device)
