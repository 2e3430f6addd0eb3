"""Laws of the delay pattern."""

import pytest
import torch

from foleykit.core.errors import InputError
from foleykit.tokens.patterns import UNKNOWN, align, code_mask, delay, num_steps, prompted, undelay

SPECIAL = 100
DELAYS = [(0, 1, 2, 3), (0, 0), (0, 2, 5), (0,)]


def codes_of(delays: tuple[int, ...], num_frames: int) -> torch.Tensor:
    return torch.randint(0, SPECIAL, (2, len(delays), num_frames), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("delays", DELAYS)
@pytest.mark.parametrize("num_frames", [1, 3, 20])
def test_what_is_delayed_comes_back(delays: tuple[int, ...], num_frames: int) -> None:
    codes = codes_of(delays, num_frames)
    tokens = delay(codes, delays, SPECIAL)
    back, mask = undelay(tokens, num_frames, delays)
    assert tokens.shape[2] == num_steps(num_frames, delays) and mask.all() and torch.equal(back, codes)
    assert (tokens[:, :, 0] == SPECIAL).all()
    assert torch.equal(tokens != SPECIAL, code_mask(num_frames, tokens.shape[2], delays).expand_as(tokens))


def test_no_code_stands_before_a_coarser_one_of_its_frame() -> None:
    delays = (0, 1, 2, 3)
    frames = torch.arange(8).expand(1, 4, 8)
    tokens = delay(frames, delays, SPECIAL)[0]
    first = [[int((tokens[q] == frame).nonzero()) for q in range(4)] for frame in range(8)]
    assert all(steps == sorted(set(steps)) for steps in first)


def test_a_pattern_cut_short_loses_the_fine_codes_of_the_last_frames_and_says_so() -> None:
    codes = codes_of((0, 1, 2, 3), 6)
    tokens = delay(codes, (0, 1, 2, 3), SPECIAL, steps=7)
    back, mask = undelay(tokens, 6, (0, 1, 2, 3))
    assert mask.sum(dim=1).tolist() == [6, 5, 4, 3]
    assert torch.equal(back[:, mask], codes[:, mask]) and (back[:, ~mask] == UNKNOWN).all()


@pytest.mark.parametrize("delays", DELAYS)
def test_an_output_that_is_the_next_step_aligns_to_the_codes(delays: tuple[int, ...]) -> None:
    codes = codes_of(delays, 7)
    tokens = delay(codes, delays, SPECIAL)
    following = torch.cat((tokens[:, :, 1:], tokens[:, :, :1]), dim=2)
    aligned, mask = align(following[..., None].float(), 7, delays)
    assert mask.all() and torch.equal(aligned[..., 0].long(), codes)


def test_the_last_output_of_a_cut_sequence_predicts_nothing_of_it() -> None:
    outputs = torch.ones(1, 4, 7, 3)
    aligned, mask = align(outputs, 6, (0, 1, 2, 3))
    assert mask.sum(dim=1).tolist() == [6, 5, 4, 3] and (aligned[:, ~mask] == 0).all()


@pytest.mark.parametrize("num_known", [0, 1, 4, 9])
def test_a_prompt_stands_in_the_sequence_and_the_rest_is_open(num_known: int) -> None:
    codes = codes_of((0, 1, 2, 3), 9)
    tokens, first = prompted(codes[:, :, :num_known], 9, (0, 1, 2, 3), SPECIAL)
    back, _ = undelay(tokens, 9, (0, 1, 2, 3))
    assert torch.equal(back[:, :, :num_known], codes[:, :, :num_known]) and (back[:, :, num_known:] == UNKNOWN).all()
    assert first == num_known + 1
    assert (tokens[:, :, :first] != UNKNOWN).all()
    assert num_known == 9 or (tokens[:, :, first] == UNKNOWN).any()


def test_what_does_not_fit_is_refused() -> None:
    codes = codes_of((0, 1), 3)
    with pytest.raises(InputError, match="2 codebooks do not fit a pattern of 4"):
        delay(codes, (0, 1, 2, 3), SPECIAL)
    with pytest.raises(InputError, match="longer than the 2 frames"):
        prompted(codes, 2, (0, 1), SPECIAL)
