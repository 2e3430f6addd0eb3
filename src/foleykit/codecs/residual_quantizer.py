"""Residual vector quantisation (Zeghidour et al. 2021, sec. 3.3): each codebook codes what the coarser ones left over.

Entries are not descended: each moves towards the mean of what it codes (van den Oord et al. 2017, appendix A.1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

KMEANS_STEPS = 10
SMOOTHING = 1e-5
"""Added to every count, so that an entry without members keeps a finite mean."""


class ResidualQuantizer(nn.Module):
    """K codebooks of V entries over latents (B, D, L)."""

    entries: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, num_codebooks: int, codebook_size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("entries", torch.zeros(num_codebooks, codebook_size, width))
        self.register_buffer("counts", torch.ones(num_codebooks, codebook_size))
        self.register_buffer("sums", torch.zeros(num_codebooks, codebook_size, width))

    def encode(self, latents: Tensor) -> Tensor:
        """Return codes (B, K, L) of `latents` (B, D, L)."""
        left = latents.transpose(1, 2).float()
        codes = []
        for entries in self.entries:
            code = nearest(left, entries)
            left = left - entries[code]
            codes.append(code)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the sums of entries (B, D, L) of `codes` (B, K, L)."""
        found = [entries[code] for entries, code in zip(self.entries, codes.unbind(1), strict=True)]
        return torch.stack(found).sum(dim=0).transpose(1, 2)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return quantised latents (B, D, L) with the gradient of `latents`, codes (B, K, L), and the commitment.

        The commitment is the mean square distance of what reaches a codebook from the entry it chose, over codebooks.
        """
        codes = self.encode(latents.detach())
        left, distances = latents.float(), []
        for entries, code in zip(self.entries, codes.unbind(1), strict=True):
            chosen = entries[code].transpose(1, 2)
            distances.append((left - chosen).square().mean())
            left = left - chosen
        quantised = latents + (self.decode(codes) - latents).detach()
        return quantised, codes, torch.stack(distances).mean()

    @torch.no_grad()
    def learn_(self, latents: Tensor, generator: torch.Generator, *, decay: float, revive_below: float) -> Tensor:
        """Move the entries towards `latents` (B, D, L) and return the share (K,) of entries that were dead.

        An entry that codes fewer frames than the share `revive_below` of an equal part is dead; it becomes what some
        frame of this batch, drawn from `generator`, had left over.
        """
        left = latents.transpose(1, 2).flatten(0, 1).float()
        equal_part = len(left) / self.entries.shape[1]
        dead_shares = []
        for entries, counts, sums in zip(self.entries, self.counts, self.sums, strict=True):
            code = nearest(left, entries)
            before = left - entries[code]
            members = torch.bincount(code, minlength=len(entries)).float()
            total = torch.zeros_like(sums).index_add_(0, code, left)
            counts.lerp_(members, 1 - decay)
            sums.lerp_(total, 1 - decay)
            entries.copy_(sums / (counts + SMOOTHING)[:, None])
            is_dead = counts < revive_below * equal_part
            fresh = left[pick(len(left), len(entries), generator).to(left.device)]
            entries[is_dead] = fresh[is_dead]
            # As if it had coded an equal part so far: it gets the time of some batches to find members.
            counts[is_dead] = equal_part
            sums[is_dead] = fresh[is_dead] * equal_part
            dead_shares.append(is_dead.float().mean())
            left = before
        return torch.stack(dead_shares)

    @torch.no_grad()
    def start_(self, latents: Tensor, generator: torch.Generator, *, batch_frames: int) -> None:
        """Set every codebook to the k-means of what the coarser ones leave of `latents` (B, D, L).

        Many frames per entry are needed: of few, the first codebook knows each by heart and leaves nothing to the
        others. Averages start as if batches of `batch_frames` frames had been seen.
        """
        left = latents.transpose(1, 2).flatten(0, 1).float()
        share = batch_frames / len(left)
        for entries, counts, sums in zip(self.entries, self.counts, self.sums, strict=True):
            entries.copy_(left[pick(len(left), len(entries), generator).to(left.device)])
            for _ in range(KMEANS_STEPS):
                code = nearest(left, entries)
                members = torch.bincount(code, minlength=len(entries)).float()
                total = torch.zeros_like(sums).index_add_(0, code, left)
                entries.copy_(torch.where(members[:, None] > 0, total / members.clamp(min=1)[:, None], entries))
            counts.copy_(share * members)
            sums.copy_(entries * counts[:, None])
            left = left - entries[nearest(left, entries)]


def nearest(vectors: Tensor, entries: Tensor) -> Tensor:
    """Return the index (...,) of the entry (V, D) nearest to each of `vectors` (..., D)."""
    scores = vectors @ entries.T - 0.5 * entries.square().sum(dim=1)
    return scores.argmax(dim=-1)


def pick(num_vectors: int, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` indices below `num_vectors`, none twice where there are enough."""
    if num_vectors >= count:
        return torch.randperm(num_vectors, generator=generator)[:count]
    return torch.randint(num_vectors, (count,), generator=generator)
