"""Batches to losses: the language model's, and the small codec's against its discriminators."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from foleykit.core.types import CodesBatch, Losses
from foleykit.models.foleygen.network import LanguageModel
from foleykit.tokens.patterns import align, delay, num_steps

Pattern = Literal["full", "truncated"]
"""Which steps are trained on: all, or as many as there are frames, which leaves the last fine codes out."""


def cross_entropies(logits: Tensor, codes: Tensor, mask: Tensor) -> Tensor:
    """Return the mean cross-entropy (K,) of each codebook over the frames where `mask` (K, T) is True.

    `logits` are (B, K, T, V), `codes` (B, K, T).
    """
    losses = nn.functional.cross_entropy(logits.float().flatten(0, 2), codes.flatten(), reduction="none")
    # A masked position has no finite meaning; leaving it out keeps it from the gradient altogether.
    kept = torch.where(mask, losses.view_as(codes), 0.0)
    return kept.sum(dim=(0, 2)) / (len(codes) * mask.sum(dim=1)).clamp(min=1)


class LanguageObjective(nn.Module):
    """Next-step prediction, the mean over codebooks, the video dropped now and then for guidance.

    AudioCraft trains on the truncated pattern, and then generates steps of a kind that it has never seen; the full
    pattern is trained on those too. AudioCraft also drops the video of a whole batch at once: `drops_batch`.
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        video_dropout: float = 0.1,
        drops_batch: bool = False,
        pattern: Pattern = "full",
    ) -> None:
        super().__init__()
        self.model = model
        self.video_dropout = video_dropout
        self.drops_batch = drops_batch
        self.pattern = pattern

    def forward(self, batch: CodesBatch, generator: torch.Generator) -> Losses:
        config, codes = self.model.config, batch.codes
        count, num_frames = len(codes), codes.shape[2]
        chances = torch.rand(1 if self.drops_batch else count, generator=generator)
        has_video = (chances >= self.video_dropout).expand(count).to(codes.device)
        tokens = delay(codes, config.delays, config.special, steps=self._num_steps(num_frames))
        logits = self.model(tokens, self.model.condition(batch.video, has_video))
        predicted, mask = align(logits, num_frames, config.delays)
        losses = cross_entropies(predicted, codes, mask)
        parts = {f"cross_entropy_{index}": loss for index, loss in enumerate(losses.detach())}
        parts |= {f"perplexity_{index}": loss.exp() for index, loss in enumerate(losses.detach())}
        return Losses(total=losses.mean(), parts=parts)

    def _num_steps(self, num_frames: int) -> int:
        match self.pattern:
            case "full":
                return num_steps(num_frames, self.model.config.delays)
            case "truncated":
                return num_frames + 1
            case _:
                assert_never(self.pattern)
