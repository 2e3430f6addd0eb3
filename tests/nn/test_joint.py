"""Joint blocks start as the identity, streams read one another, rotation sees distances alone; sync tokens stretch."""

from __future__ import annotations

import pytest
import torch

from foleykit.nn.attention import rotary_angles, rotate
from foleykit.nn.gated import GatedMlp, stretch_indices
from foleykit.nn.joint import JointBlock, StreamBlock

WIDTH = 16


def block(*, is_last: bool = False, is_awake: bool = True) -> JointBlock:
    torch.manual_seed(0)
    made = JointBlock(
        [
            StreamBlock(WIDTH, 2, 32, kernel_size=3),
            StreamBlock(WIDTH, 2, 32, kernel_size=1, is_only_read=is_last),
        ]
    )
    if is_awake:
        for stream in made.streams:
            torch.nn.init.normal_(stream.modulation.weight, std=0.3)
    return made


def streams() -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor | None]]:
    torch.manual_seed(1)
    tokens = [torch.randn(2, 7, WIDTH), torch.randn(2, 4, WIDTH)]
    conditions = [torch.randn(2, 7, WIDTH), torch.randn(2, 1, WIDTH)]
    return tokens, conditions, [rotary_angles(7, 8, torch.device("cpu")), None]


def test_an_untrained_block_changes_nothing() -> None:
    tokens, conditions, angles = streams()
    for before, after in zip(tokens, block(is_awake=False)(tokens, conditions, angles), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("is_last", [False, True])
def test_each_stream_reads_the_other_unless_it_ends_here(is_last: bool) -> None:
    tokens, conditions, angles = streams()
    made = block(is_last=is_last)
    first, second = made(tokens, conditions, angles)
    other = [tokens[0], tokens[1] + 1 + torch.arange(WIDTH)]
    assert not torch.allclose(made(other, conditions, angles)[0], first)
    assert torch.equal(second, tokens[1]) == is_last


def test_rotated_products_depend_on_distances_alone() -> None:
    torch.manual_seed(2)
    query, key = torch.randn(1, 1, 1, 8).expand(-1, -1, 9, -1), torch.randn(1, 1, 1, 8).expand(-1, -1, 9, -1)
    angles = rotary_angles(9, 8, torch.device("cpu"), step=0.7)
    scores = rotate(query, angles)[0, 0] @ rotate(key, angles)[0, 0].T
    for distance in (-3, 0, 2):
        along = scores.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along))


def test_positions_of_other_rates_meet_at_the_same_time() -> None:
    fine = rotary_angles(13, 8, torch.device("cpu"))
    torch.testing.assert_close(rotary_angles(4, 8, torch.device("cpu"), step=4.0), fine[::4])


def test_convolved_networks_see_neighbours_and_linear_ones_do_not() -> None:
    torch.manual_seed(3)
    x = torch.randn(1, 9, WIDTH)
    changed = x.clone()
    changed[:, 4] += 1
    for kernel_size, reach in ((1, 0), (3, 2)):
        network = GatedMlp(WIDTH, 32, kernel_size=kernel_size)
        moved = (network(changed) - network(x)).abs().amax(dim=(0, 2)) > 1e-7
        assert moved.nonzero().flatten().tolist() == list(range(4 - reach, 5 + reach))


@pytest.mark.parametrize(("num_tokens", "length"), [(8, 8), (8, 32), (16, 5), (192, 345)])
def test_stretching_keeps_order_and_covers_the_whole(num_tokens: int, length: int) -> None:
    indices = stretch_indices(num_tokens, length)
    assert (indices.diff() >= 0).all() and indices.max() <= num_tokens - 1
    true = (torch.arange(length) + 0.5) * num_tokens / length
    assert ((indices + 0.5 - true).abs() <= 0.5 + 1e-4).all()
