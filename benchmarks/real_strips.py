"""Strips of real videos for docs/real-footage.md: what was recorded above what was generated, with the onsets of both.

    python benchmarks/real_strips.py VIDEOS SOUNDS [-o docs/images/real-footage]

VIDEOS is a folder with the videos named below, SOUNDS the output folder of `foley reproduce real-footage VIDEOS`; what
is missing there is generated with its settings. Frames are shown of the one video whose licence allows it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.audio.plot import Mark, Row, frame_strip, sheet, spectrogram, spectrogram_ticks
from foleykit.evaluation.metrics.onset_f1 import onset_counts
from foleykit.evaluation.onsets import detect_onsets
from foleykit.evaluation.real import recorded_onsets
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.soundtrack import Settings
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe

NAMES = (
    "hits_wood_logs.mp4",
    "axe_split_log.mp4",
    "hits_mugs_in_sink.mp4",
    "hits_wooden_chair.mp4",
    "silent_ego_fold_clothes.mp4",
    "silent_bottles_table.mp4",
)
SHOWN = {"silent_bottles_table.mp4": "pictures: intel-iot-devkit/sample-videos, CC BY 4.0"}
"""Videos whose frames may be shown, and the credit that this asks for."""
SECONDS, WIDTH, HEIGHT, FRAME_HEIGHT = 10.0, 800, 84, 72
MAX_HZ = 8000.0
RECORDED, GENERATED = (205, 70, 50), (20, 150, 90)


def main() -> None:
    parser = argparse.ArgumentParser(description="Strips of recorded and generated sound.")
    parser.add_argument("videos", type=Path, metavar="VIDEOS")
    parser.add_argument("sounds", type=Path, metavar="SOUNDS")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images/real-footage"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        path = args.output / f"{Path(name).stem}.jpg"
        draw(args.videos / name, args.sounds / f"{Path(name).stem}.wav", path)
        print(path, path.stat().st_size)


def draw(video: Path, sound: Path, path: Path) -> None:
    """Write the strip of the first seconds of `video`, whose generated sound is or will be `sound`."""
    if not sound.is_file():
        generate(GenerateRequest(video=video, output=sound, settings=Settings(ambient="quiet", end=SECONDS)))
    info = probe(video)
    seconds = min(SECONDS, float(info.duration))
    own = read_waveform(video, seconds=seconds, mono=True) if info.has_audio else None
    made, rate = read_waveform(sound, seconds=seconds, mono=True)
    onsets = detect_onsets(made[0], rate)
    rows, words = [], f"generated, {len(onsets)} onsets"
    if video.name in SHOWN:
        width = round(FRAME_HEIGHT * info.width / info.height)
        fps = WIDTH / (width + 2) / seconds
        frames = np.concatenate(list(VideoReader(info, fps=fps, size=(FRAME_HEIGHT, width), end=seconds)))
        strip = frame_strip(frames, np.arange(len(frames)) / fps, seconds, width=WIDTH, height=FRAME_HEIGHT)
        rows.append(Row(label=SHOWN[video.name], picture=strip))
    if own is not None:
        reference = recorded_onsets(video, own[0][0], own[1])
        counts = onset_counts(reference, onsets, tolerance=0.1)
        rows.append(row(f"recorded, {len(reference)} onsets", *own, reference, RECORDED))
        words += f", {counts.num_matched} within 100 ms of one recorded (F1 {counts.f1:.2f})"
    rows.append(row(words, made, rate, onsets, GENERATED))
    sheet(video.name, rows, seconds).save(path, quality=80, optimize=True)


def row(
    label: str,
    waveform: NDArray[np.float32],
    rate: int,
    onsets: NDArray[np.float64],
    colour: tuple[int, int, int],
) -> Row:
    """Return the spectrogram of a mono `waveform` (1, S), scaled to its peak, with its onsets as ticks."""
    scaled = waveform[0] / max(float(np.abs(waveform).max()), 1e-6)
    return Row(
        label=label,
        picture=spectrogram(scaled, rate, width=WIDTH, height=HEIGHT, max_hz=MAX_HZ),
        ticks=spectrogram_ticks(rate, max_hz=MAX_HZ),
        marks=tuple(Mark(time=float(onset), colour=colour) for onset in onsets),
    )


if __name__ == "__main__":
    main()
