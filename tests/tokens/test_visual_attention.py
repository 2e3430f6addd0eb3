"""The three visual attention masks, and the readings of time that the paper leaves open."""

from fractions import Fraction

import pytest
import torch

from foleykit.tokens.visual_attention import PrefixAttention, VisualTiming, is_plainly_causal, prefix_mask

NUM_VISUAL, NUM_STEPS = 3, 16
TIMING = VisualTiming(frames_per_step=Fraction(1, 4))
PLACES = torch.arange(NUM_VISUAL + NUM_STEPS)
MECHANISMS: list[PrefixAttention] = ["all_frame", "causal", "frame_wise"]


def mask_of(attention: PrefixAttention, timing: VisualTiming = TIMING, **options: str) -> torch.Tensor:
    return prefix_mask(PLACES, PLACES, NUM_VISUAL, attention, timing, **options)  # type: ignore[arg-type]


def frames_seen(mask: torch.Tensor) -> list[list[int]]:
    """Return the frames that each audio step sees."""
    return [row[:NUM_VISUAL].nonzero()[:, 0].tolist() for row in mask[NUM_VISUAL:]]


def test_each_mechanism_sees_the_frames_it_is_named_after() -> None:
    time = [0] * 4 + [1] * 4 + [2] * 8
    assert frames_seen(mask_of("all_frame")) == [[0, 1, 2]] * NUM_STEPS
    assert frames_seen(mask_of("causal")) == [list(range(frame + 1)) for frame in time]
    assert frames_seen(mask_of("frame_wise")) == [[frame] for frame in time]


@pytest.mark.parametrize("attention", MECHANISMS)
def test_sound_is_causal_and_video_neither_hears_nor_foresees(attention: PrefixAttention) -> None:
    mask = mask_of(attention)
    sound = torch.ones(NUM_STEPS, NUM_STEPS, dtype=torch.bool).tril()
    assert torch.equal(mask[NUM_VISUAL:, NUM_VISUAL:], sound)
    assert not mask[:NUM_VISUAL, NUM_VISUAL:].any()
    assert torch.equal(mask[:NUM_VISUAL, :NUM_VISUAL], sound[:NUM_VISUAL, :NUM_VISUAL])


def test_all_frame_is_the_plain_causal_mask() -> None:
    assert torch.equal(mask_of("all_frame"), torch.ones(len(PLACES), len(PLACES), dtype=torch.bool).tril())
    assert is_plainly_causal("all_frame", "causal")
    assert not any(is_plainly_causal(attention, "causal") for attention in MECHANISMS[1:])
    assert not is_plainly_causal("all_frame", "diagonal")


@pytest.mark.parametrize("attention", MECHANISMS)
def test_rows_of_a_mask_are_the_mask_of_rows(attention: PrefixAttention) -> None:
    """What one step needs is a row of the whole, so that a cache sees what a parallel pass sees."""
    whole = mask_of(attention)
    for row in range(len(PLACES)):
        one = prefix_mask(PLACES[row : row + 1], PLACES[: row + 1], NUM_VISUAL, attention, TIMING)
        assert torch.equal(one[0], whole[row, : row + 1])


def test_the_token_given_is_one_step_earlier_than_the_token_predicted() -> None:
    given = VisualTiming(frames_per_step=Fraction(1, 4), frame_of="input")
    steps = torch.arange(NUM_STEPS)
    expected = [min(NUM_VISUAL - 1, max(step - 1, 0) // 4) for step in range(NUM_STEPS)]
    assert given.frame_at(steps, NUM_VISUAL).tolist() == expected


def test_timed_by_the_finest_codebook_no_code_sees_a_frame_later_than_its_own() -> None:
    finest = VisualTiming(frames_per_step=Fraction(1, 4), codebook_delay=3)
    for step, seen in enumerate(frames_seen(mask_of("causal", finest))):
        assert max(seen) <= max(0, step - 3) // 4
    coarsest = frames_seen(mask_of("causal"))
    assert max(coarsest[4]) > (4 - 3) // 4, "the coarsest codebook's time lets the finest look ahead"


def test_a_frame_alone_sees_itself() -> None:
    mask = mask_of("frame_wise", visual_rows="diagonal")
    assert torch.equal(mask[:NUM_VISUAL, :NUM_VISUAL], torch.eye(NUM_VISUAL, dtype=torch.bool))
    assert frames_seen(mask) == frames_seen(mask_of("frame_wise"))


def test_odd_rates_do_not_drift() -> None:
    """25 frames against 16000/320 codes: every second has all its frames, at any length."""
    timing = VisualTiming(frames_per_step=Fraction(25, 50))
    steps = torch.tensor([0, 1, 2, 49, 50, 500_000])
    assert timing.frame_at(steps, 10**6).tolist() == [0, 0, 1, 24, 25, 250_000]
