"""What HiFi-GAN and its adversaries descend (Kong et al. 2020, section 2.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from foleykit.codecs.hifigan_discriminators import Judgement
from foleykit.core.types import Losses


def least_squares_judging(real: Sequence[Judgement], generated: Sequence[Judgement]) -> Tensor:
    """Return what discriminators descend: recorded sound scores 1, generated sound 0 (eq. 1)."""
    losses = [
        (one.score - 1).square().mean() + other.score.square().mean()
        for one, other in zip(real, generated, strict=True)
    ]
    return torch.stack(losses).sum()


def least_squares_deceiving(generated: Sequence[Judgement]) -> Tensor:
    """Return what a generator descends: its sound scores 1 (eq. 2)."""
    return torch.stack([(judgement.score - 1).square().mean() for judgement in generated]).sum()


def feature_matching(real: Sequence[Judgement], generated: Sequence[Judgement]) -> Tensor:
    """Return the L1 distance of features, summed over layers and discriminators (eq. 4)."""
    losses = [
        l1_loss(made, true)
        for one, other in zip(real, generated, strict=True)
        for true, made in zip(one.features, other.features, strict=True)
    ]
    return torch.stack(losses).sum()


def judging_losses(discriminator: nn.Module, reference: Tensor, generated: Tensor) -> Losses:
    """Return what `discriminator` descends on waveforms (B, S); `generated` carries no gradient."""
    real, fake = halves(discriminator(torch.cat((reference, generated))[:, None]))
    total = least_squares_judging(real, fake)
    return Losses(total=total, parts={"judging": total.detach()})


def deceiving_losses(
    discriminator: nn.Module,
    reference: Tensor,
    generated: Tensor,
    *,
    adversarial_weight: float = 1.0,
    feature_weight: float,
) -> Losses:
    """Return what a generator of waveforms (B, S) descends against `discriminator`."""
    with torch.no_grad():
        real = discriminator(reference[:, None])
    fake = discriminator(generated[:, None])
    deceiving, features = least_squares_deceiving(fake), feature_matching(real, fake)
    return Losses(
        total=adversarial_weight * deceiving + feature_weight * features,
        parts={"deceiving": deceiving.detach(), "features": features.detach()},
    )


def levelled(reference: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    """Return both waveforms (B, S) brought to the level of the first.

    In sound 40 dB below full scale discriminators would find nothing for thousands of steps.
    """
    level = reference.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-3)
    return reference / level, generated / level


def halves(judgements: Sequence[Judgement]) -> tuple[list[Judgement], list[Judgement]]:
    """Return the judgements of the first and of the second half of a batch."""
    pairs = [
        [
            Judgement(score=score, features=features)
            for score, features in zip(
                judgement.score.chunk(2),
                zip(*(feature.chunk(2) for feature in judgement.features), strict=True),
                strict=True,
            )
        ]
        for judgement in judgements
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
