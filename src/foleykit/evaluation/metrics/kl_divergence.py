"""How far what is heard in a sound is from what is heard in its reference."""

from __future__ import annotations

from typing import Literal, assert_never

from torch import Tensor
from torch.nn.functional import logsigmoid

from foleykit.core.errors import InputError

Posterior = Literal["softmax", "sigmoid"]


def kl_divergence(
    reference: Tensor, generated: Tensor, *, posterior: Posterior = "softmax", epsilon: float = 0.0
) -> Tensor:
    """Return KL(reference || generated) in nats (N,) of class logits (N, C); lower is better, 0 at best.

    Row by row, in float64: the sum over classes of p_ref (ln p_ref - ln (p_gen + epsilon)); a table states the mean
    over rows, and unpaired sets have no such figure. Published figures follow conventions that do not compare:

    - "softmax", `epsilon` 0: av-benchmark on Cnn14 and PaSST, although AudioSet's classes do not exclude each other;
    - "softmax", `epsilon` 1e-6: AudioLDM's evaluation on Cnn14, AudioCraft's on PaSST;
    - "sigmoid", either: the same sum over probabilities that do not add up to 1, so no divergence; it may be negative.

    Raises InputError when shapes differ, there is no row, or a logit is not finite.
    """
    if reference.ndim != 2 or reference.shape != generated.shape or not reference.numel():
        raise InputError(
            f"divergences need two sets of logits (N, C), not {tuple(reference.shape)} and {tuple(generated.shape)}"
        )
    if not (reference.isfinite().all() and generated.isfinite().all()):
        raise InputError("class logits must be finite")
    first, second = _log_posterior(reference.double(), posterior), _log_posterior(generated.double(), posterior)
    if epsilon:
        second = (second.exp() + epsilon).log()
    return (first.exp() * (first - second)).sum(1)


def _log_posterior(logits: Tensor, posterior: Posterior) -> Tensor:
    match posterior:
        case "softmax":
            return logits.log_softmax(1)
        case "sigmoid":
            return logsigmoid(logits)
        case _:
            assert_never(posterior)
