"""The linear part of a codec of mels: patches of frames as sums of their principal components."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PatchBasis:
    """What patches of P frames of M bins vary by, largest first."""

    centre: Tensor
    """(M, P)"""
    components: Tensor
    """(D, M, P), orthonormal"""
    deviations: Tensor
    """(D,) root mean squares of the components' weights"""


def principal_patches(mel: Tensor, *, num_frames: int, num_components: int) -> PatchBasis:
    """Return the principal components of the patches of `num_frames` frames of `mel` (B, M, F).

    Raises ConfigError when there are fewer patches than components.
    """
    patches = mel.unfold(2, num_frames, num_frames).transpose(1, 2).flatten(2).flatten(0, 1)  # (N, M P)
    if len(patches) < num_components:
        raise ConfigError(f"{len(patches)} patches cannot span {num_components} latent channels; give more sound")
    centre = patches.mean(dim=0)
    _, singular, components = torch.linalg.svd(patches - centre, full_matrices=False)
    return PatchBasis(
        centre=centre.unflatten(0, (-1, num_frames)),
        components=components[:num_components].unflatten(1, (-1, num_frames)),
        deviations=singular[:num_components] / len(patches) ** 0.5,
    )


@torch.no_grad()
def set_linear_(analysis: nn.Conv1d, synthesis: nn.ConvTranspose1d, basis: PatchBasis, scale: Tensor) -> None:
    """Make `analysis` weigh patches by the basis, divided by `scale` (D,), and `synthesis` sum them up again."""
    assert analysis.bias is not None and synthesis.bias is not None
    weights = basis.components / scale[:, None, None]
    analysis.weight.copy_(weights)
    analysis.bias.copy_(-(weights * basis.centre).sum(dim=(1, 2)))
    synthesis.weight.copy_(basis.components * scale[:, None, None])
    # One bias serves all frames of a patch: they share their mean.
    synthesis.bias.copy_(basis.centre.mean(dim=1))
