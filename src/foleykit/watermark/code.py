"""The pattern that a key stands for: signs on tiles of time and frequency, and 16 bits that turn some of them over.

A period of `NUM_SLOTS` time slots repeats through the whole sound. In each slot a public layout gives most bands to the
synchronisation pattern and the others to the 32 chips of a code word, so that any stretch of a few periods holds both.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError
from foleykit.watermark.spectrum import NUM_BANDS

NUM_SLOTS = 32
MESSAGE_BITS = 16
NUM_CHIPS = 32
PUBLIC_KEY = b"foleykit"
"""Known to everybody, so that everybody can detect; a key of one's own cannot be read or removed with it."""

_DATA_BANDS = 9
_SYNCHRONISATION = -1


@cache
def layout() -> NDArray[np.int64]:
    """Return (slots, bands): the chip that a tile carries, or -1 where it belongs to the synchronisation pattern."""
    order = np.argsort(_random_words(b"layout", NUM_SLOTS * NUM_BANDS).reshape(NUM_SLOTS, NUM_BANDS), axis=1)
    chips = np.argsort(_random_words(b"chips", NUM_SLOTS * _DATA_BANDS).reshape(-1, NUM_CHIPS), axis=1)
    tiles = np.full((NUM_SLOTS, NUM_BANDS), _SYNCHRONISATION)
    np.put_along_axis(tiles, order[:, :_DATA_BANDS], chips.reshape(NUM_SLOTS, _DATA_BANDS), axis=1)
    return tiles


@cache
def is_synchronisation() -> NDArray[np.float32]:
    """Return (slots, bands), 1 on tiles of the synchronisation pattern and 0 on tiles with data."""
    return (layout() == _SYNCHRONISATION).astype(np.float32)


def signs(key: bytes, decoy: int = 0) -> NDArray[np.float32]:
    """Return the pseudo-random signs (slots, bands) of `key`; `decoy` above 0 gives those of an unrelated key."""
    seed = b"signs" + decoy.to_bytes(4, "big") + key
    return np.where(_random_words(seed, NUM_SLOTS * NUM_BANDS) & 1, 1, -1).reshape(NUM_SLOTS, -1).astype(np.float32)


def marked_signs(key: bytes, message: int) -> NDArray[np.float32]:
    """Return the signs (slots, bands) of `key` with the tiles of data turned over by `message`.

    Raises InputError when the message does not fit in 16 bits.
    """
    check_message(message)
    chips = _words(np.array([message]))[0]
    return signs(key) * np.where(layout() == _SYNCHRONISATION, np.float32(1), chips[layout()])


def check_message(message: int) -> None:
    """Raise InputError when `message` does not fit in 16 bits."""
    if not 0 <= message < 2**MESSAGE_BITS:
        raise InputError(f"a message lies between 0 and {2**MESSAGE_BITS - 1}, not {message}")


@cache
def codebook() -> NDArray[np.float32]:
    """Return the words (65536, 32) of the Reed-Muller code RM(2, 5) as signs; two words differ in 8 chips or more."""
    return _words(np.arange(2**MESSAGE_BITS))


def _words(messages: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the words (N, 32) of `messages` (N,)."""
    place = (np.arange(NUM_CHIPS) >> np.arange(5)[:, None]) & 1
    pairs = [place[high] & place[low] for high in range(5) for low in range(high)]
    # In floating point, whose matrix product is fast; sums of at most 16 are exact.
    generator = np.array([np.ones(NUM_CHIPS), *place, *pairs], np.float32)
    bits = ((messages[:, None] >> np.arange(MESSAGE_BITS)) & 1).astype(np.float32)
    return 1 - 2 * (bits @ generator % 2)


def read_chips(tiles: NDArray[np.float32], key: bytes) -> tuple[int, float]:
    """Return the likeliest message of aligned tiles (slots, bands), and its lead over the second likeliest.

    The lead is in standard deviations of the noise between two words that differ in 8 chips.
    """
    signed = tiles * signs(key)
    data = layout() != _SYNCHRONISATION
    chips = np.bincount(layout()[data], signed[data], minlength=NUM_CHIPS)
    scores = codebook() @ chips.astype(np.float32)
    second, first = np.argpartition(scores, -2)[-2:]
    deviation = 2 * np.sqrt(np.square(tiles[data], dtype=np.float64).sum() * 8 / NUM_CHIPS)
    return int(first), float((scores[first] - scores[second]) / deviation) if deviation > 0 else 0.0


def _random_words(seed: bytes, count: int) -> NDArray[np.uint64]:
    digest = hashlib.shake_256(b"foleykit watermark 1 " + seed).digest(8 * count)
    return np.frombuffer(digest, np.dtype("<u8"))
