"""Pictures are chosen by their times."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from foleykit.video.picks import nearest_pictures, next_pictures, summed_times


@dataclass
class Picture:
    time: float


def shown(picked) -> list[float]:
    return [picture.time for picture in picked]


def test_nearest_waits_for_what_comes_after_a_gap() -> None:
    pictures = [Picture(0.0), Picture(0.1), Picture(1.0)]
    times = [0.0, 0.09, 0.5, 0.96, 1.2]
    assert shown(nearest_pictures(iter(pictures), times, 0.05)) == [0.0, 0.1, 0.1, 1.0, 1.0]


def test_next_is_never_earlier_and_ends_with_the_pictures() -> None:
    pictures = [Picture(0.0), Picture(0.1), Picture(1.0)]
    assert shown(next_pictures(iter(pictures), [0.0, 0.01, 0.5, 0.96, 1.2])) == [0.0, 0.1, 1.0, 1.0]


def test_no_pictures_give_none() -> None:
    assert not shown(nearest_pictures(iter([]), [0.0], 1.0)) and not shown(next_pictures(iter([]), [0.0]))


def test_summed_times_round_as_repeated_addition_does() -> None:
    times = list(itertools.islice(summed_times(25.0), 7))
    assert times[6] != 6 / 25 and abs(times[6] - 6 / 25) < 1e-15
