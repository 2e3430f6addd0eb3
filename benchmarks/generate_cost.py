"""Wall time and peak memory of `foley generate` as a whole process: 10 s and 10 min of 1080p.

    python benchmarks/generate_cost.py [--minutes 10] [--runs 3] [--model tiny-avldm]

Prints a table for benchmarks/results. Each run is a fresh process from shell to file, with default settings.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from foleykit.video.encode import write_video

FPS = 30
SIZE = (1080, 1920)


def moving_pictures(seconds: float) -> Iterator[NDArray[np.uint8]]:
    """Yield frames of a textured background, drifting, with a bar that swings twice a second."""
    height, width = SIZE
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (height // 8, width // 8 + 80, 3), dtype=np.uint8)
    background = coarse.repeat(8, axis=0).repeat(8, axis=1)
    for index in range(round(seconds * FPS)):
        shift = index * 2 % 600
        frame = background[:, shift : shift + width].copy()
        swing = round((0.5 + 0.4 * np.sin(2 * np.pi * 2 * index / FPS)) * height)
        frame[max(0, swing - 40) : swing + 40, width // 3 : 2 * width // 3] = (230, 120, 30)
        yield frame


def repeat_pictures(source: Path, output: Path, times: int) -> None:
    """Write `source` `times` over by copying its packets: encoding minutes of pictures would outlast the run."""
    with av.open(str(output), "w") as target:
        stream = None
        for turn in range(times):
            with av.open(str(source)) as container:
                pictures = container.streams.video[0]
                stream = stream or target.add_stream_from_template(pictures, opaque=True)
                for packet in container.demux(pictures):
                    if packet.dts is None:
                        continue
                    packet.pts += turn * pictures.duration
                    packet.dts += turn * pictures.duration
                    packet.stream = stream
                    target.mux(packet)


def measure(video: Path, output: Path, model: str) -> tuple[float, float]:
    """Return wall seconds and peak resident MB of one run."""
    started = time.monotonic()
    command = [sys.executable, "-m", "foleykit", "generate", str(video), "--model", model]
    command += ["-o", str(output), "--overwrite", "-q"]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"generate failed with status {status}")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", default="tiny-avldm")
    options = parser.parse_args()
    print("| video | wall s (median) | wall s (min) | peak MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        write_video(short, moving_pictures(10.0), FPS)
        repeat_pictures(short, long, round(6 * options.minutes))
        for video, seconds, runs in ((short, 10.0, options.runs), (long, 60 * options.minutes, 1)):
            measured = [measure(video, video.with_suffix(".foley.mp4"), options.model) for _ in range(runs)]
            walls = [wall for wall, _ in measured]
            print(
                f"| {seconds:g} s of 1080p{FPS} | {statistics.median(walls):.1f} | {min(walls):.1f} "
                f"| {max(peak for _, peak in measured):.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
