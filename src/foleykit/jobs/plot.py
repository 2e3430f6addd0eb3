"""A picture of a soundtrack: what is seen on a strip, when sounds begin, and what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from foleykit.evaluation.onsets import detect_onsets
from foleykit.jobs.soundtrack import Soundtrack
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader

WIDTH, MARGIN_LEFT, MARGIN_RIGHT = 1200, 64, 16
PLOT_WIDTH = WIDTH - MARGIN_LEFT - MARGIN_RIGHT
TITLE_HEIGHT, STRIP_HEIGHT, WAVE_HEIGHT, SPECTRUM_HEIGHT, AXIS_HEIGHT, GAP = 34, 130, 110, 240, 30, 10
HEIGHT = TITLE_HEIGHT + STRIP_HEIGHT + WAVE_HEIGHT + SPECTRUM_HEIGHT + AXIS_HEIGHT + 3 * GAP

INK, WAVE, ONSET, FAINT_ONSET = (40, 40, 48), (60, 90, 140), (205, 70, 50), (245, 195, 185)
# Dark violet over red to pale yellow, rising evenly in lightness.
COLOURS = np.array([(6, 4, 24), (60, 16, 98), (140, 40, 110), (215, 75, 72), (250, 150, 60), (252, 240, 180)], float)

NUM_FFT = 2048
FRAMES_PER_COLUMN = 4
"""Spectra looked at for one column of pixels; a long soundtrack has more, of which these are evenly spaced."""
DYNAMIC_RANGE_DB = 75.0
TICKS_HZ = (100, 300, 1000, 3000, 8000)


def plot(soundtrack: Soundtrack, path: Path) -> None:
    """Write a PNG: frames of the video, the waveform with detected onsets, and a mel-scaled spectrogram."""
    mono = soundtrack.waveform.mean(axis=0)
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    video = soundtrack.video
    seed = soundtrack.settings.seed
    title = f"{video.path.name}   ambience: {soundtrack.ambience}   seed: {seed}   {soundtrack.seconds:.2f} s"
    draw.text((MARGIN_LEFT, 9), title, INK, _font(15))
    top = TITLE_HEIGHT
    _paste_strip(image, video, top)
    top += STRIP_HEIGHT + GAP
    _draw_waveform(draw, mono, detect_onsets(mono, soundtrack.sample_rate), soundtrack.seconds, top)
    top += WAVE_HEIGHT + GAP
    highest_hz = soundtrack.sample_rate / 2 if soundtrack.original is not None else soundtrack.model_rate / 2
    spectrum = mel_picture(mono, soundtrack.sample_rate, min(highest_hz, 16_000), (SPECTRUM_HEIGHT, PLOT_WIDTH))
    image.paste(Image.fromarray(spectrum), (MARGIN_LEFT, top))
    _draw_axes(draw, soundtrack.seconds, min(highest_hz, 16_000), top)
    image.save(path, format="PNG", optimize=True)


def mel_picture(
    mono: NDArray[np.float32], sample_rate: int, highest_hz: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return a coloured spectrogram (H, W, 3) of `mono` (S,): time to the right, mel-scaled frequency upwards."""
    height, width = size
    padded = np.pad(mono, NUM_FFT // 2)
    window = np.hanning(NUM_FFT).astype(np.float32)
    columns = np.empty((width, NUM_FFT // 2 + 1), np.float32)
    positions = np.linspace(0, len(mono) - 1, width * FRAMES_PER_COLUMN).astype(int).reshape(width, FRAMES_PER_COLUMN)
    for column, starts in enumerate(positions):
        frames = np.stack([padded[start : start + NUM_FFT] for start in starts]) * window
        columns[column] = np.abs(np.fft.rfft(frames)).max(axis=0)
    hz = hz_at(np.linspace(1, 0, height), highest_hz)
    bins = hz / (sample_rate / NUM_FFT)
    low = np.floor(bins).astype(int).clip(0, NUM_FFT // 2 - 1)
    share = (bins - low)[:, None]
    picture = (1 - share) * columns.T[low] + share * columns.T[low + 1]
    level = 20 * np.log10(picture + 1e-9)
    top = max(float(np.percentile(level, 99.9)), -30.0)
    return colour(np.clip(1 + (level - top) / DYNAMIC_RANGE_DB, 0, 1))


def hz_at(share: NDArray[np.float64], highest_hz: float) -> NDArray[np.float64]:
    """Return frequencies at heights `share` in [0, 1] of an axis that is even in mel up to `highest_hz`."""
    return np.asarray(700 * (10 ** (share * np.log10(1 + highest_hz / 700)) - 1))


def share_of(hz: float, highest_hz: float) -> float:
    """Return the height in [0, 1] of a frequency on that axis."""
    return float(np.log10(1 + hz / 700) / np.log10(1 + highest_hz / 700))


def colour(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return RGB (..., 3) of values in [0, 1]."""
    stops = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(values, stops, COLOURS[:, channel]) for channel in range(3)], axis=-1).astype(np.uint8)


def time_ticks(seconds: float, most: int = 12) -> Sequence[float]:
    """Return round times from 0 to `seconds`, at most about `most` of them."""
    steps = [base * 10.0**power for power in range(-2, 4) for base in (1, 2, 5)]
    step = next(step for step in steps if seconds / step <= most)
    return [index * step for index in range(int(seconds / step + 1e-9) + 1)]


def _paste_strip(image: Image.Image, video: VideoInfo, top: int) -> None:
    """Fill the strip with frames that are evenly spaced in time, each in its own proportions."""
    width = round(STRIP_HEIGHT * video.width / video.height)
    count = max(1, min(PLOT_WIDTH // max(1, width + 2), 24))
    # The reader shows the frame at the start of each interval; half an interval later is the middle.
    half = video.duration / (2 * count)
    reader = VideoReader(
        video, fps=count / video.duration, size=(STRIP_HEIGHT, width), start=half if count > 1 else None
    )
    frames = np.concatenate(list(reader))[:count]
    step = PLOT_WIDTH / count
    for index, frame in enumerate(frames):
        left = MARGIN_LEFT + round(index * step + (step - width) / 2)
        visible = Image.fromarray(frame)
        if width > PLOT_WIDTH:
            left, visible = MARGIN_LEFT, visible.resize((PLOT_WIDTH, STRIP_HEIGHT))
        image.paste(visible, (left, top))


def _draw_waveform(
    draw: ImageDraw.ImageDraw, mono: NDArray[np.float32], onsets: NDArray[np.float64], seconds: float, top: int
) -> None:
    middle = top + WAVE_HEIGHT // 2
    marks = [MARGIN_LEFT + round(onset / seconds * PLOT_WIDTH) for onset in onsets]
    for x in marks:
        draw.line([(x, top), (x, top + WAVE_HEIGHT)], FAINT_ONSET)
    peak = max(float(np.abs(mono).max()), 1e-6)
    edges = np.linspace(0, len(mono), PLOT_WIDTH + 1).astype(int)
    for column, (start, stop) in enumerate(pairwise(edges)):
        part = mono[start : max(stop, start + 1)]
        high, low = (round(float(value) / peak * (WAVE_HEIGHT // 2 - 8)) for value in (part.max(), part.min()))
        draw.line([(MARGIN_LEFT + column, middle - high), (MARGIN_LEFT + column, middle - low)], WAVE)
    for x in marks:
        draw.polygon([(x - 4, top), (x + 4, top), (x, top + 7)], ONSET)
    draw.text((8, middle - 16), f"{len(onsets)}\nonsets", ONSET, _font(13))


def _draw_axes(draw: ImageDraw.ImageDraw, seconds: float, highest_hz: float, top: int) -> None:
    for hz in TICKS_HZ:
        if hz <= highest_hz:
            y = top + round((1 - share_of(hz, highest_hz)) * (SPECTRUM_HEIGHT - 1))
            label = f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz"
            draw.line([(MARGIN_LEFT - 5, y), (MARGIN_LEFT - 1, y)], INK)
            draw.text((MARGIN_LEFT - 8, y), label, INK, _font(12), anchor="rm")
    bottom = top + SPECTRUM_HEIGHT
    for time in time_ticks(seconds):
        x = MARGIN_LEFT + round(time / seconds * (PLOT_WIDTH - 1))
        draw.line([(x, bottom), (x, bottom + 5)], INK)
        draw.text((x, bottom + 7), f"{time:g} s", INK, _font(12), anchor="ma" if x < WIDTH - 40 else "ra")


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
