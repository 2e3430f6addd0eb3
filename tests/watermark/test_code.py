"""The pattern of a key, and the code of its message."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.core.errors import InputError
from foleykit.watermark.code import (
    NUM_CHIPS,
    NUM_SLOTS,
    codebook,
    is_synchronisation,
    layout,
    marked_signs,
    read_chips,
    signs,
)
from foleykit.watermark.spectrum import NUM_BANDS

KEY = b"a key of the test"


def test_words_differ_in_at_least_eight_chips() -> None:
    """The code is linear, so its least distance is the least weight of a word that is not zero."""
    weights = (codebook() < 0).sum(1)
    assert codebook().shape == (65536, NUM_CHIPS)
    assert weights[0] == 0 and weights[1:].min() == 8
    assert len(np.unique(codebook(), axis=0)) == 65536


def test_every_slot_and_every_chip_has_its_share_of_tiles() -> None:
    assert layout().shape == (NUM_SLOTS, NUM_BANDS)
    assert len(set(is_synchronisation().sum(1))) == 1
    assert set(np.bincount(layout()[layout() >= 0], minlength=NUM_CHIPS)) == {9}


def test_keys_and_decoys_are_unrelated() -> None:
    patterns = [signs(KEY), signs(KEY, 1), signs(KEY, 2), signs(b"another"), signs(b"another", 1)]
    size = patterns[0].size
    for first in range(len(patterns)):
        for second in range(first):
            assert abs((patterns[first] * patterns[second]).sum()) < 5 * np.sqrt(size)
    np.testing.assert_array_equal(signs(KEY), signs(KEY))


@given(message=st.integers(0, 65535), seed=st.integers(0, 1000))
def test_messages_are_read_back_under_noise(message: int, seed: int) -> None:
    tiles = marked_signs(KEY, message)
    noise = np.random.default_rng(seed).standard_normal(tiles.shape).astype(np.float32)
    read, lead = read_chips(tiles + noise, KEY)
    assert read == message and lead > 1


def test_nothing_leads_where_there_is_nothing() -> None:
    assert read_chips(np.zeros((NUM_SLOTS, NUM_BANDS), np.float32), KEY)[1] == 0
    noise = np.random.default_rng(0).standard_normal((200, NUM_SLOTS, NUM_BANDS)).astype(np.float32)
    leads = [read_chips(tiles, KEY)[1] for tiles in noise]
    assert np.mean(np.array(leads) > 0.7) < 0.02


def test_the_message_leaves_the_synchronisation_alone() -> None:
    kept = is_synchronisation() == 1
    for message in (0, 1, 0xBEEF):
        np.testing.assert_array_equal(marked_signs(KEY, message)[kept], signs(KEY)[kept])


@pytest.mark.parametrize("message", [-1, 65536])
def test_a_message_has_sixteen_bits(message: int) -> None:
    with pytest.raises(InputError, match="between 0 and 65535"):
        marked_signs(KEY, message)
