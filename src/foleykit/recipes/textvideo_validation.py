"""How much the textvideo network's loss owes to each of its conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foleykit.models.textvideo.network import Network
from foleykit.models.textvideo.objective import DropoutConfig, TextVideoBatch, TextVideoObjective
from foleykit.training.loop import step_generator

NO_DROPOUT = DropoutConfig(video=0.0, text=0.0, transcript=0.0, ambient=0.0)


@torch.no_grad()
def condition_losses(network: Network, batches: Sequence[TextVideoBatch]) -> dict[str, float]:
    """Return the loss with all conditions, and with each of those that there are taken from the clip before."""
    objective = TextVideoObjective(network, NO_DROPOUT)

    def loss(*others: str) -> float:
        values = [
            objective(with_others(batch, others), step_generator(1, step)).total.item()
            for step, batch in enumerate(batches)
        ]
        return sum(values) / len(values)

    config = network.config
    losses = {"loss": loss(), "loss_other_video": loss("pictures", "sync"), "loss_other_text": loss("text")}
    if config.has_transcript:
        losses["loss_other_transcript"] = loss("transcript")
    if config.has_ambient:
        losses["loss_other_ambience"] = loss("ambient")
    return losses


def with_others(batch: TextVideoBatch, others: Sequence[str]) -> TextVideoBatch:
    """Return `batch` where each clip has the conditions `others` of the clip before, or none where that has none."""
    conditions: dict[str, Tensor] = {name: getattr(batch.conditioning, name).roll(1, 0) for name in others}
    present = [f"has_{name}" for name in others if hasattr(batch, f"has_{name}")]
    flags: dict[str, Tensor] = {name: getattr(batch, name).roll(1, 0) for name in present}
    return replace(batch, conditioning=replace(batch.conditioning, **conditions), **flags)  # type: ignore[arg-type]
