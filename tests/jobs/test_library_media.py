"""Files become clips at known times, whatever their length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from foleykit.audio.files import read_waveform, write_waveform
from foleykit.jobs.library_media import cut_clips

RATE = 16_000


def noise(seconds: float) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((1, round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize(("seconds", "num_clips"), [(1.0, 1), (3.0, 1), (4.9, 1), (5.0, 2), (11.0, 5)])
def test_a_long_file_gives_a_clip_every_so_often(tmp_path: Path, seconds: float, num_clips: int) -> None:
    path = tmp_path / "long.wav"
    write_waveform(path, noise(seconds), RATE)
    cuts = list(cut_clips(path, sample_rate=RATE, num_samples=3 * RATE, every=2.0))
    assert [start for start, _ in cuts] == [number * 2 * RATE for number in range(num_clips)]
    whole, _ = read_waveform(path)
    for start, waveform in cuts:
        np.testing.assert_array_equal(waveform, whole[:, start : start + 3 * RATE])


def test_clips_go_on_where_ten_minutes_end(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    ramp = np.linspace(-0.9, 0.9, round(1234.5 * 1000), dtype=np.float32)
    soundfile.write(path, ramp, 1000)
    whole, _ = read_waveform(path)
    cuts = list(cut_clips(path, sample_rate=1000, num_samples=3000, every=4.0))
    assert [start for start, _ in cuts] == list(range(0, len(ramp) - 3000 + 1, 4000))
    for start, waveform in cuts:
        np.testing.assert_array_equal(waveform, whole[:, start : start + 3000])
