"""Training a word encoder to tell what prompts of the world name; it needs no sound and no pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foleykit.encoders.text.words import UNKNOWN, WordEncoder
from foleykit.models.textvideo.objective import NamedSounds, SupervisedReader, TextBatch
from foleykit.recipes.avldm_batches import step_rng
from foleykit.world.captions import pick
from foleykit.world.places import PLACE_KINDS
from foleykit.world.prompts import Claim, Prompt, write_prompt
from foleykit.world.types import ACTIONS, AMBIENCE_KINDS, MATERIALS

PLACES = tuple(name for kind in PLACE_KINDS for name in kind.names)


def reader_of(encoder: WordEncoder) -> SupervisedReader:
    """Return `encoder` with heads for all that the world knows."""
    return SupervisedReader(
        encoder, num_actions=len(ACTIONS), num_materials=len(MATERIALS), num_backgrounds=len(AMBIENCE_KINDS)
    )


@dataclass(frozen=True, kw_only=True)
class TextBatches:
    """Prompts for sounds drawn at random."""

    encoder: WordEncoder
    """Splits texts into ids."""
    batch_size: int
    device: str
    seed: int = 0
    unknown_share: float = 0.03
    """Share of words that are shown as unknown, so that a reader learns to pass over them."""

    def __call__(self, step: int) -> TextBatch:
        rng = step_rng(self.seed, step)
        prompts = [draw_prompt(rng) for _ in range(self.batch_size)]
        ids = self.encoder.tokenize([prompt.text for prompt in prompts])
        is_hidden = torch.from_numpy(rng.random(ids.shape) < self.unknown_share)
        ids = torch.where(is_hidden & (ids > UNKNOWN), UNKNOWN, ids)
        return TextBatch(ids=ids.to(self.device), named=named_by(prompts, self.device))


def draw_prompt(rng: np.random.Generator) -> Prompt:
    """Return a prompt for up to three sounds at any place, each background as likely as the other."""
    heard = [Claim(action=pick(ACTIONS, rng), material=pick(MATERIALS, rng)) for _ in range(rng.integers(4))]
    background = [AMBIENCE_KINDS[index] for index in rng.permutation(len(AMBIENCE_KINDS))[: rng.integers(3)]]
    return write_prompt(heard, rng, place=pick(PLACES, rng), background=background)


def named_by(prompts: Sequence[Prompt], device: str) -> NamedSounds:
    """Return what `prompts` name, as 1 and 0."""
    pairs = np.zeros((len(prompts), len(ACTIONS), len(MATERIALS)), np.float32)
    actions, materials = pairs[:, :, 0].copy(), pairs[:, 0].copy()
    background = np.zeros((len(prompts), len(AMBIENCE_KINDS)), np.float32)
    for row, prompt in enumerate(prompts):
        for claim in prompt.claims:
            if claim.action is not None:
                actions[row, ACTIONS.index(claim.action)] = 1
            if claim.material is not None:
                materials[row, MATERIALS.index(claim.material)] = 1
            if claim.action is not None and claim.material is not None:
                pairs[row, ACTIONS.index(claim.action), MATERIALS.index(claim.material)] = 1
        for kind in prompt.background:
            background[row, AMBIENCE_KINDS.index(kind)] = 1
    parts = (torch.from_numpy(part).to(device) for part in (pairs, actions, materials, background))
    return NamedSounds(**dict(zip(("pairs", "actions", "materials", "background"), parts, strict=True)))


@torch.no_grad()
def score_reader(reader: SupervisedReader, batches: Sequence[TextBatch]) -> dict[str, float]:
    """Return the shares of texts all of whose pairs, actions, materials and backgrounds are told right."""

    def share_right(name: str) -> float:
        right: list[Tensor] = []
        for batch in batches:
            is_named = (getattr(batch.named, name) > 0.5).flatten(1)
            right.append(((getattr(reader(batch.ids), name) > 0).flatten(1) == is_named).all(dim=1))
        return torch.cat(right).float().mean().item()

    return {f"{name}_right": share_right(name) for name in ("pairs", "actions", "materials", "background")}
