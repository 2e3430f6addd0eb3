"""Which picture of a file is shown at each wanted moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol, TypeVar

FramePick = Literal["nearest", "next"]
"""The picture nearest in time; or the first that is not earlier, as MMAudio's demonstration reads."""
TICK = 1e-9


class Timed(Protocol):
    """A picture that knows its moment."""

    time: float
    """Seconds from the first displayed picture."""


Picture = TypeVar("Picture", bound=Timed)


def nearest_pictures(pictures: Iterator[Picture], times: Iterable[float], half_interval: float) -> Iterator[Picture]:
    """Yield the picture nearest to each of the rising `times`, the last one for all times after it.

    Never one that appears later than `half_interval` after its time, so that what follows a gap is not seen early;
    before the first picture that one is shown. Two pictures are held. Without pictures nothing is yielded.
    """
    current: Picture | None = None
    ahead = next(pictures, None)
    for time in times:
        while ahead is not None and ahead.time <= time + TICK:
            current, ahead = ahead, next(pictures, None)
        shown = current
        if ahead is not None:
            wait = ahead.time - time
            if current is None or (wait < half_interval - TICK and wait < time - current.time - TICK):
                shown = ahead
        if shown is None:
            return
        yield shown


def next_pictures(pictures: Iterator[Picture], times: Iterable[float]) -> Iterator[Picture]:
    """Yield the first picture that is not earlier than each of the rising `times`, as long as there is one."""
    current = next(pictures, None)
    for time in times:
        while current is not None and current.time < time:
            current = next(pictures, None)
        if current is None:
            return
        yield current


def summed_times(fps: float) -> Iterator[float]:
    """Yield 0, 1 / fps, 2 / fps... by repeated addition, whose rounding the published reader has as well.

    At 25 frames per second it passes the sixth picture of a video of that rate by one unit in the last place.
    """
    time, step = 0.0, 1 / fps
    while True:
        yield time
        time += step
