"""Residual quantisation: each codebook helps, entries follow what they code, the dead come back."""

import pytest
import torch
from torch import Tensor

from foleykit.codecs.residual_quantizer import ResidualQuantizer, nearest, pick


def clusters(seed: int = 0) -> Tensor:
    """Return latents (4, 6, 64) around eight centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(8, 6, generator=torch.Generator().manual_seed(9))
    members = centres[torch.randint(8, (4, 64), generator=generator)]
    return (members + 0.1 * torch.randn(4, 64, 6, generator=generator)).transpose(1, 2)


def learnt(num_steps: int, *, codebook_size: int = 8, revive_below: float = 0.05) -> ResidualQuantizer:
    quantizer = ResidualQuantizer(3, codebook_size, 6)
    many = torch.cat([clusters(seed) for seed in range(4)])
    quantizer.start_(many, torch.Generator().manual_seed(0), batch_frames=256)
    for step in range(num_steps):
        generator = torch.Generator().manual_seed(step)
        quantizer.learn_(clusters(step), generator, decay=0.9, revive_below=revive_below)
    return quantizer


def test_codes_are_the_nearest_entries_and_decode_to_their_sum() -> None:
    quantizer = learnt(3)
    latents = clusters(5)
    codes = quantizer.encode(latents)
    distances = torch.cdist(latents.transpose(1, 2).flatten(0, 1), quantizer.entries[0])
    assert torch.equal(codes[:, 0].flatten(), distances.argmin(dim=1))
    summed = sum(quantizer.entries[index][codes[:, index]] for index in range(3))
    torch.testing.assert_close(quantizer.decode(codes), summed.transpose(1, 2))


def test_every_codebook_brings_the_latents_nearer() -> None:
    quantizer, latents = learnt(30), clusters(99)
    codes = quantizer.encode(latents)
    errors = []
    for count in range(4):
        parts = [quantizer.entries[index][codes[:, index]].transpose(1, 2) for index in range(count)]
        errors.append(float((latents - sum(parts)).square().mean()))
    assert errors == sorted(errors, reverse=True) and errors[1] < 0.1 * errors[0]


def test_the_gradient_passes_through_and_the_commitment_pulls_towards_the_entries() -> None:
    quantizer = learnt(3)
    latents = clusters(5).requires_grad_()
    quantised, codes, commitment = quantizer(latents)
    torch.testing.assert_close(quantised, quantizer.decode(codes))
    weights = torch.randn_like(quantised)
    (quantised * weights).sum().backward()
    torch.testing.assert_close(latents.grad, weights)
    latents.grad = None
    commitment.backward()
    assert latents.grad is not None
    moved = (latents - 0.1 * latents.grad).detach()
    assert quantizer(moved)[2] < commitment.detach()


def test_entries_move_to_the_mean_of_their_members() -> None:
    """A codebook of one entry is the running mean of all it saw."""
    quantizer = ResidualQuantizer(1, 1, 2)
    quantizer.start_(torch.zeros(1, 2, 50), torch.Generator(), batch_frames=50)
    for step in range(200):
        latents = torch.tensor([3.0, -1.0])[None, :, None] + 0.1 * torch.randn(
            1, 2, 50, generator=torch.Generator().manual_seed(step)
        )
        quantizer.learn_(latents, torch.Generator().manual_seed(step), decay=0.9, revive_below=0.1)
    torch.testing.assert_close(quantizer.entries[0, 0], torch.tensor([3.0, -1.0]), atol=0.02, rtol=0.01)


@pytest.mark.parametrize("revive_below", [0.0, 0.05])
def test_dead_entries_come_back(revive_below: float) -> None:
    quantizer = learnt(1)
    quantizer.entries[0, 4:] = 100.0
    quantizer.sums[0, 4:] = 100.0 * quantizer.counts[0, 4:, None]
    for step in range(60):
        quantizer.learn_(clusters(step), torch.Generator().manual_seed(step), decay=0.9, revive_below=revive_below)
    used = torch.bincount(quantizer.encode(clusters(99))[:, 0].flatten(), minlength=8) > 0
    assert used.sum() >= 7 if revive_below else used.sum() <= 4


def test_learning_is_the_same_for_the_same_draws_and_goes_on_from_a_saved_state() -> None:
    one, other = learnt(6), ResidualQuantizer(3, 8, 6)
    other.load_state_dict(learnt(3).state_dict())
    for step in range(3, 6):
        other.learn_(clusters(step), torch.Generator().manual_seed(step), decay=0.9, revive_below=0.05)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_more_entries_than_frames_can_start() -> None:
    generator = torch.Generator().manual_seed(0)
    assert len(pick(10, 4, generator).unique()) == 4
    assert len(pick(3, 8, generator)) == 8 and pick(3, 8, generator).max() < 3
    quantizer = ResidualQuantizer(2, 64, 6)
    quantizer.start_(clusters()[:1, :, :20], generator, batch_frames=20)
    quantizer.learn_(clusters()[:1, :, :20], generator, decay=0.9, revive_below=0.05)
    assert torch.isfinite(quantizer.entries).all()
    assert nearest(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.9, 0.0], [5.0, 0.0]])).tolist() == [1]
