"""Pictures of sound: log-frequency spectrograms, waveforms and frame strips on one time axis, as a labelled sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]

# Black through violet and orange to pale yellow, with rising lightness, so that grey prints read the same.
_STOPS = np.array(
    [(4, 4, 16), (38, 14, 84), (102, 24, 110), (166, 44, 92),
     (222, 82, 52), (248, 142, 22), (250, 205, 70), (252, 252, 190)],
    np.float32,
)  # fmt: skip
_INK: Colour = (40, 40, 46)
_PAPER: Colour = (250, 250, 247)
_GRID: Colour = (190, 190, 186)
_MARGIN_LEFT, _MARGIN_RIGHT, _GAP, _LABEL_HEIGHT, _AXIS_HEIGHT, _TITLE_HEIGHT = 56, 16, 8, 18, 26, 34


@dataclass(frozen=True, kw_only=True)
class Mark:
    """An instant, or a span when `duration` is positive."""

    time: float
    """Seconds."""
    label: str = ""
    colour: Colour = (20, 150, 90)
    duration: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture whose width is the whole time axis."""

    label: str
    picture: NDArray[np.uint8]
    """(H, W, 3)"""
    marks: tuple[Mark, ...] = ()
    """Drawn over the picture as ticks at its top and bottom edge."""
    ticks: tuple[tuple[float, str], ...] = ()
    """(share of the height from the top, text) beside the picture."""


def spectrogram(
    waveform: NDArray[np.float32],
    sample_rate: int,
    *,
    width: int,
    height: int,
    min_hz: float = 50.0,
    max_hz: float | None = None,
    range_db: tuple[float, float] = (-90.0, -20.0),
) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3) of `waveform` (S,): time to the right, log frequency up, level as brightness.

    `range_db` are the levels, as of a sine in dBFS, that are drawn black and brightest.
    """
    if waveform.ndim != 1 or waveform.size == 0:
        raise InputError(f"a spectrogram is drawn of one channel (S,), got shape {waveform.shape}")
    top_hz = min(sample_rate / 2, max_hz or sample_rate / 2)
    window_size = 1 << max(6, round(np.log2(0.04 * sample_rate)))
    window = np.hanning(window_size).astype(np.float32)
    # Several windows share a column when the sound is long: the loudest counts, so that no click is lost.
    num_windows = max(width, min(8 * width, waveform.size // (window_size // 4)))
    starts = np.linspace(0, waveform.size, num_windows, endpoint=False).astype(int)
    padded = np.pad(waveform.astype(np.float32), (window_size // 2, window_size))
    edges = np.geomspace(min_hz, top_hz, height + 1)
    column_of = np.arange(num_windows) * width // num_windows
    picture_db = np.full((width, height), -300.0, np.float32)
    for first in range(0, num_windows, 512):
        part = starts[first : first + 512]
        pieces = np.stack([padded[start : start + window_size] for start in part]) * window
        level_db = 20 * np.log10(np.abs(np.fft.rfft(pieces, axis=1)) / (window.sum() / 2) + 1e-9)
        np.maximum.at(picture_db, column_of[first : first + 512], _rows_of_bins(level_db, edges, sample_rate))
    low, high = range_db
    return colours(((picture_db - low) / (high - low)).T[::-1])


def spectrogram_ticks(
    sample_rate: int, *, min_hz: float = 50.0, max_hz: float | None = None
) -> tuple[tuple[float, str], ...]:
    """Return the frequency ticks of a `spectrogram` with the same limits."""
    top_hz = min(sample_rate / 2, max_hz or sample_rate / 2)
    wanted = [hz for hz in (100, 300, 1000, 3000, 10000) if min_hz <= hz <= 0.95 * top_hz]
    span = np.log(top_hz / min_hz)
    return tuple((float(1 - np.log(hz / min_hz) / span), f"{hz // 1000}k" if hz >= 1000 else str(hz)) for hz in wanted)


def envelope(
    waveform: NDArray[np.float32], *, width: int, height: int, colour: Colour = (60, 90, 160)
) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3) of the extremes of `waveform` (S,) in every column, -1 to 1."""
    picture = np.full((height, width, 3), _PAPER, np.uint8)
    bounds = np.linspace(0, waveform.size, width + 1).astype(int)
    middle = (height - 1) / 2
    for column in range(width):
        piece = waveform[bounds[column] : max(bounds[column] + 1, bounds[column + 1])]
        high, low = (float(np.clip(value, -1, 1)) for value in (piece.max(initial=0), piece.min(initial=0)))
        picture[int(middle - high * middle) : int(np.ceil(middle - low * middle)) + 1, column] = colour
    return picture


def histogram(
    values: NDArray[np.floating],
    edges: NDArray[np.floating],
    *,
    width: int,
    height: int,
    colour: Colour = (60, 90, 160),
) -> tuple[NDArray[np.uint8], int]:
    """Return bars (height, width, 3) of how many `values` (N,) lie between `edges` (K,), and the count at the top.

    A dashed line is where all bars would end if the values were spread evenly.
    """
    counts, _ = np.histogram(values, edges)
    most = max(1, int(counts.max()))
    picture = np.full((height, width, 3), _PAPER, np.uint8)
    bounds = np.linspace(0, width, len(counts) + 1).astype(int)
    for count, left, right in zip(counts, bounds[:-1], bounds[1:], strict=True):
        picture[height - round(height * count / most) :, left + 1 : right - 1] = colour
    even = min(height - 1, max(0, height - round(height * float(counts.mean()) / most)))
    picture[even, np.arange(width) % 12 < 6] = _INK
    return picture, most


def curve(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    limits: tuple[float, float],
    width: int,
    height: int,
    colour: Colour = (60, 90, 160),
) -> NDArray[np.uint8]:
    """Return points `x`, `y` (N,) joined in order (height, width, 3), both axes within `limits`, over the diagonal."""
    from PIL import Image, ImageDraw

    low, high = limits
    page = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.line((0, height - 1, width - 1, 0), fill=_GRID, width=2)
    points = [
        (float((a - low) / (high - low) * (width - 1)), float((high - b) / (high - low) * (height - 1)))
        for a, b in zip(x, y, strict=True)
    ]
    draw.line(points, fill=colour, width=3)
    for left, top in points:
        draw.ellipse((left - 5, top - 5, left + 5, top + 5), fill=colour)
    return np.asarray(page)


def frame_strip(
    frames: NDArray[np.uint8], frame_times: NDArray[np.floating], seconds: float, *, width: int, height: int
) -> NDArray[np.uint8]:
    """Return `frames` (T, H, W, 3) side by side (height, width, 3), each the one shown at its left edge."""
    from PIL import Image

    frame_width = max(1, round(height * frames.shape[2] / frames.shape[1]))
    strip = np.full((height, width, 3), _PAPER, np.uint8)
    for left in range(0, width, frame_width + 2):
        shown = int(np.searchsorted(frame_times, left / width * seconds + 1e-6, side="right")) - 1
        picture = Image.fromarray(np.asarray(frames[max(0, shown)])).resize((frame_width, height))
        part = np.asarray(picture)[:, : width - left]
        strip[:, left : left + part.shape[1]] = part
    return strip


def colours(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return `values` (..., ) in [0, 1] as colours (..., 3)."""
    position = np.clip(values, 0, 1) * (len(_STOPS) - 1)
    below = np.minimum(position.astype(int), len(_STOPS) - 2)
    share = (position - below)[..., None]
    return np.rint(_STOPS[below] * (1 - share) + _STOPS[below + 1] * share).astype(np.uint8)


def sheet(
    title: str, rows: Sequence[Row], seconds: float = 1.0, *, axis_ticks: Sequence[tuple[float, str]] | None = None
) -> Image:
    """Return one picture with all rows under each other over a time axis of `seconds`.

    `axis_ticks`, (share of the width from the left, text), make it another axis than time. Raises InputError when the
    rows are not equally wide.
    """
    from PIL import Image, ImageDraw, ImageFont

    widths = {row.picture.shape[1] for row in rows}
    if len(widths) != 1:
        raise InputError(f"all rows of a sheet share one time axis and width; got widths {sorted(widths)}")
    width = widths.pop()
    height = _TITLE_HEIGHT + sum(row.picture.shape[0] + _LABEL_HEIGHT + _GAP for row in rows) + _AXIS_HEIGHT
    page = Image.new("RGB", (_MARGIN_LEFT + width + _MARGIN_RIGHT, height), _PAPER)
    draw = ImageDraw.Draw(page)
    small, large = ImageFont.load_default(12), ImageFont.load_default(17)
    draw.text((_MARGIN_LEFT, 8), title, _INK, large)
    top = _TITLE_HEIGHT
    for row in rows:
        draw.text((_MARGIN_LEFT, top), row.label, _INK, small)
        top += _LABEL_HEIGHT
        bottom = top + row.picture.shape[0]
        page.paste(Image.fromarray(row.picture), (_MARGIN_LEFT, top))
        draw.rectangle((_MARGIN_LEFT - 1, top - 1, _MARGIN_LEFT + width, bottom), outline=_GRID)
        for share, text in row.ticks:
            y = top + share * row.picture.shape[0]
            draw.text((_MARGIN_LEFT - 6, y), text, _INK, small, anchor="rm")
        for mark in row.marks:
            left = _MARGIN_LEFT + mark.time / seconds * width
            right = max(left + 1, left + mark.duration / seconds * width)
            # Two colours keep a tick visible on bright and on dark pictures.
            for y in (top, bottom - 9):
                draw.rectangle((left - 1, y, right + 1, y + 8), fill=mark.colour, outline=(255, 255, 255))
            if mark.label:
                draw.text(
                    (left + 4, top + 8), mark.label, (255, 255, 255), small, stroke_width=1, stroke_fill=(0, 0, 0)
                )
        top = bottom + _GAP
    if axis_ticks is None:
        axis_ticks = [(second / seconds, text) for second, text in _time_ticks(seconds, width)]
    for share, text in axis_ticks:
        x = _MARGIN_LEFT + share * width
        draw.line((x, top - _GAP + 1, x, top - _GAP + 6), fill=_INK)
        draw.text((x, top), text, _INK, small, anchor="mt")
    return page


def _rows_of_bins(level_db: NDArray[np.floating], edges: NDArray[np.floating], sample_rate: int) -> NDArray[np.float32]:
    """Return levels (N, height) of the log-spaced rows: the loudest bin of a row, or the nearest where it has none."""
    bins = np.clip(edges / (sample_rate / 2) * (level_db.shape[1] - 1), 0, level_db.shape[1] - 1)
    low = np.rint(bins[:-1]).astype(int)
    high = np.maximum(np.rint(bins[1:]).astype(int), low + 1)
    rows = np.empty((level_db.shape[0], low.size), np.float32)
    for row in range(low.size):
        rows[:, row] = level_db[:, low[row] : high[row]].max(1)
    return rows


def _time_ticks(seconds: float, width: int) -> list[tuple[float, str]]:
    step = next((step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300) if seconds / step <= width / 60), 600)
    times = np.arange(0, seconds + 1e-6, step)
    return [(float(time), f"{time:g} s" if step >= 1 else f"{time:.1f} s") for time in times]
