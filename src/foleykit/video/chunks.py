"""A stream of frames in pieces that see their neighbours, so that a network needs constant memory at any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray


def overlapping_chunks(
    chunks: Iterable[NDArray[np.uint8]], size: int, context: int
) -> Iterator[tuple[NDArray[np.uint8], int, int]]:
    """Regroup a stream of frames (t, H, W, 3) into pieces of at most `size`, `context` of them on either side.

    Yields (frames, left, right) where `left` and `right` count the context frames; only one piece is held at a time.
    """
    held: NDArray[np.uint8] | None = None
    left = 0
    for chunk in chunks:
        held = chunk if held is None else np.concatenate((held, chunk))
        while len(held) > size:
            yield held[:size], left, context
            held = held[size - 2 * context :]
            left = context
    if held is not None and len(held) > left:
        yield held, left, 0
