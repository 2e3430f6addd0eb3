from __future__ import annotations

import numpy as np
import pytest

from foleykit.audio.plot import Mark, Row, colours, envelope, frame_strip, sheet, spectrogram, spectrogram_ticks
from foleykit.core.errors import InputError

RATE = 16_000


def lightness(picture: np.ndarray) -> np.ndarray:
    return picture.astype(float).sum(-1)


@pytest.mark.parametrize("hz", [200.0, 1000.0, 5000.0])
def test_a_tone_is_a_line_at_its_frequency(hz):
    tone = 0.1 * np.sin(2 * np.pi * hz * np.arange(2 * RATE) / RATE).astype(np.float32)
    picture = spectrogram(tone, RATE, width=100, height=120)
    assert picture.shape == (120, 100, 3)
    line = int(lightness(picture)[:, 50].argmax())
    expected = 120 * (1 - np.log(hz / 50) / np.log(RATE / 2 / 50))
    assert line == pytest.approx(expected, abs=3)


@pytest.mark.parametrize("seconds", [0.05, 3.0, 200.0])
def test_a_click_is_seen_at_its_column_however_long_the_sound(seconds):
    sound = np.zeros(round(seconds * RATE), np.float32)
    sound[round(0.7 * sound.size)] = 1
    columns = lightness(spectrogram(sound, RATE, width=200, height=40)).sum(0)
    assert columns.argmax() == pytest.approx(140, abs=1 + 0.02 / seconds * 200)


def test_colours_get_lighter_with_the_value():
    scale = colours(np.linspace(0, 1, 50)).astype(float) @ (0.3, 0.6, 0.1)
    assert (np.diff(scale) > 0).all()
    np.testing.assert_array_equal(colours(np.array([-1.0, 2.0])), colours(np.array([0.0, 1.0])))


def test_ticks_lie_inside_the_picture():
    ticks = spectrogram_ticks(48_000)
    assert [text for _, text in ticks] == ["100", "300", "1k", "3k", "10k"]
    shares = [share for share, _ in ticks]
    assert shares == sorted(shares, reverse=True) and 0 < min(shares) < max(shares) < 1


def test_the_strip_shows_the_frame_of_its_time():
    frames = np.repeat(np.arange(0, 250, 10, dtype=np.uint8), 8 * 8 * 3).reshape(25, 8, 8, 3)
    strip = frame_strip(frames, np.arange(25) / 25, 1.0, width=200, height=8)
    for left in range(0, 190, 10):
        assert strip[4, left + 4, 0] == frames[min(24, int(left / 200 * 25 + 1e-6)), 0, 0, 0]


def test_the_envelope_reaches_its_extremes():
    sound = np.zeros(1000, np.float32)
    sound[500], sound[700] = 1, -0.5
    picture = envelope(sound, width=100, height=41, colour=(0, 0, 0))
    drawn = (picture == 0).all(-1).sum(0)
    assert drawn[50] == 21 and drawn[70] == 11 and drawn[10] == 1


def test_a_sheet_holds_all_rows_under_each_other():
    rows = [
        Row(label="one", picture=np.full((30, 300, 3), 200, np.uint8), ticks=((0.5, "1k"),)),
        Row(
            label="two", picture=np.full((50, 300, 3), 10, np.uint8), marks=(Mark(time=0.5, label="hit", duration=0.1),)
        ),
    ]
    page = np.asarray(sheet("A title", rows, 2.0))
    assert (page == 200).all(-1).sum() >= 30 * 300 * 0.99
    assert (page == 10).all(-1).sum() >= 0.9 * 50 * 300
    assert (page == (20, 150, 90)).all(-1).any()
    with pytest.raises(InputError, match="share one time axis"):
        sheet("A title", [*rows, Row(label="three", picture=np.zeros((5, 10, 3), np.uint8))], 2.0)
