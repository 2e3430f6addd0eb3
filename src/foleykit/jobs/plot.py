"""A picture of a soundtrack: what is seen on a strip, when sounds begin, and what they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.plot import Mark, Row, envelope, frame_strip, sheet, spectrogram, spectrogram_ticks
from foleykit.evaluation.onsets import detect_onsets
from foleykit.jobs.soundtrack import Soundtrack
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader

WIDTH, STRIP_HEIGHT, WAVE_HEIGHT, SPECTRUM_HEIGHT = 1120, 120, 90, 240
ONSET = (205, 70, 50)


def plot(soundtrack: Soundtrack, path: Path) -> None:
    """Write a PNG: frames of the video, the waveform with its detected onsets, and a log-frequency spectrogram."""
    mono = soundtrack.waveform.mean(axis=0)
    rate = soundtrack.sample_rate
    # The generated sound ends at the model's own band edge; only an original may go on above it.
    max_hz = min(16_000.0, (soundtrack.model_rate if soundtrack.original is None else rate) / 2)
    onsets = detect_onsets(mono, rate)
    peak = max(float(np.abs(mono).max()), 1e-6)
    rows = [
        Row(label="seen, each frame at its left edge", picture=strip(soundtrack.video)),
        Row(
            label=f"heard, scaled to its peak of {20 * np.log10(peak):.1f} dBFS; {len(onsets)} onsets",
            picture=envelope(mono / peak, width=WIDTH, height=WAVE_HEIGHT),
            marks=tuple(Mark(time=float(onset), colour=ONSET) for onset in onsets),
        ),
        Row(
            label=f"spectrogram, Hz; ambience: {soundtrack.ambience}; seed {soundtrack.settings.seed}",
            picture=spectrogram(mono, rate, width=WIDTH, height=SPECTRUM_HEIGHT, max_hz=max_hz),
            ticks=spectrogram_ticks(rate, max_hz=max_hz),
        ),
    ]
    sheet(soundtrack.video.path.name, rows, soundtrack.seconds).save(path, format="PNG", optimize=True)


def strip(video: VideoInfo) -> NDArray[np.uint8]:
    """Return frames of a video side by side (H, W, 3); only those that are shown are kept in memory."""
    frame_width = max(1, round(STRIP_HEIGHT * video.width / video.height))
    count = -(-WIDTH // (frame_width + 2))
    step = video.duration * (frame_width + 2) / WIDTH
    reader = VideoReader(video, fps=1 / step, size=(STRIP_HEIGHT, frame_width))
    frames = np.concatenate(list(reader))[:count]
    times = np.arange(len(frames)) * float(step)
    return frame_strip(frames, times, float(video.duration), width=WIDTH, height=STRIP_HEIGHT)
