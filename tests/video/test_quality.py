"""What is wrong with pictures is seen, and nothing is seen where nothing is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from foleykit.video.quality import QualityReport, QualityWatch, edge_width, luma_of

HEIGHT, WIDTH = 270, 480


def smooth(picture: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Return `picture` (H, W) under a circular Gaussian."""
    rows, columns = np.fft.fftfreq(picture.shape[0]), np.fft.rfftfreq(picture.shape[1])
    bell = np.exp(-2 * (np.pi * deviation) ** 2 * (rows[:, None] ** 2 + columns[None] ** 2))
    return np.fft.irfft2(np.fft.rfft2(picture) * bell, picture.shape)


def scene(*, scale: int = 1, seed: int = 0) -> NDArray[np.float64]:
    """Return a picture of hard-edged rectangles, 0 to 255, twice as wide as it is shown."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT * scale, 2 * WIDTH * scale), 120.0)
    for _ in range(150):
        top, left = (int(rng.integers(0, size - 40 * scale)) for size in picture.shape)
        height, width = (int(size) for size in rng.integers(8 * scale, 60 * scale, 2))
        picture[top : top + height, left : left + width] = rng.uniform(30, 220)
    return picture


def moving(picture: NDArray[np.float64], speed: int, count: int = 60) -> Iterator[NDArray[np.float64]]:
    """Yield views of a picture that slide along it, forwards and backwards."""
    room = picture.shape[1] // 2
    for index in range(count):
        offset = abs((index * speed + room) % (2 * room) - room)
        yield picture[:, offset : offset + room]


def watched(pictures: Iterator[NDArray[np.float64]], fps: float = 30.0) -> QualityReport:
    watch = QualityWatch(fps)
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="gray")
        watch(frame, index / fps)
    report = watch.report()
    assert report is not None
    return report


def test_a_clear_moving_picture_has_no_problem() -> None:
    report = watched(moving(scene(), 3))
    assert report.problems == ()
    assert report.brightness == pytest.approx(0.47, abs=0.1)
    assert (report.duplicate_share, report.frame_rate) == (0.0, 30.0)


def test_a_still_picture_with_grain_says_nothing_of_motion() -> None:
    rng = np.random.default_rng(1)
    still = next(moving(scene(), 0))
    report = watched(still + rng.normal(0, 6, still.shape) for _ in range(60))
    assert (report.duplicate_share, report.jump, report.problems) == (None, None, ())


@pytest.mark.parametrize("deviation", [1.5, 3.0, 6.0])
def test_the_width_of_blurred_edges_is_found(deviation: float) -> None:
    blurred = np.clip(smooth(scene(), deviation), 0, 255).astype(np.uint8)[:, :WIDTH]
    assert edge_width(blurred) == pytest.approx(deviation, rel=0.15)


def test_blur_is_relative_to_the_size_of_the_picture() -> None:
    large = np.clip(smooth(scene(scale=4), 12.0), 0, 255).astype(np.uint8)[:, : 4 * WIDTH]
    assert edge_width(large) == pytest.approx(3.0, rel=0.15)
    assert edge_width(np.full((HEIGHT, WIDTH), 90, np.uint8)) is None


def test_blur_darkness_repeats_and_jumps_are_named() -> None:
    (blurred,) = watched(moving(smooth(scene(), 5.0), 3)).problems
    assert blurred.startswith("the pictures are blurred")
    (dark,) = watched(moving(0.15 * scene(), 6)).problems
    assert dark.startswith("the pictures are dark (mean")
    pairs = (view for view in moving(scene(), 6, 30) for _ in range(2))
    report = watched(pairs)
    assert report.duplicate_share == pytest.approx(0.5, abs=0.03) and report.frame_rate == pytest.approx(15, abs=1)
    assert report.problems == ("51 % of the pictures repeat the one before",)
    (fast,) = watched(moving(scene(), 97)).problems
    assert fast == "30 pictures per second are too few for the motion"
    (slow,) = watched(moving(scene(), 6), fps=8.0).problems
    assert slow == "8 pictures per second are too few for the motion"


def test_ten_bits_and_eight_look_alike_and_colours_without_luma_are_left() -> None:
    picture = np.clip(next(moving(scene(), 0)), 0, 255).astype(np.uint8)
    eight = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuv420p")
    ten = eight.reformat(format="yuv420p10le")
    first, second = (luma_of(frame) for frame in (eight, ten))
    assert first is not None and second is not None
    assert (first.dtype, second.dtype) == (np.uint8, np.uint16)
    assert edge_width(first) == pytest.approx(edge_width(second), rel=0.02)
    assert luma_of(eight.reformat(format="rgb24")) is None


def test_nothing_seen_is_no_report() -> None:
    watch = QualityWatch(25.0)
    for time in repeat(0.0, 2):
        watch(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24"), time)
    assert watch.report() is None
