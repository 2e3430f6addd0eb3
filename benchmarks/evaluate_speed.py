"""Clips per second of the figures that need no network, hashes, intervals and report included.

    python benchmarks/evaluate_speed.py [--clips 1000] [--seconds 3] [--workers 2]
    python benchmarks/evaluate_speed.py --clips 100 --workers 0
    python benchmarks/evaluate_speed.py --clips 100 --workers 0 --pictures

Writes synthetic pairs of 48 kHz sounds to a temporary folder and scores them with protocol v2a. With `--pictures` the
references are videos of 96 x 96 pixels, so that the sync classifier has something to judge. With `--workers 0` one
process does everything, and its time on a core is printed beside the wall time: others on the machine change it little.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from foleykit.audio.files import write_waveform
from foleykit.evaluation.protocols import MediaProtocol
from foleykit.jobs.evaluate import EvaluateRequest, evaluate
from foleykit.video.encode import SoundEncoder, encode_video, fit_frame

RATE = 48_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of foley evaluate on folders.")
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pictures", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for side, seed in (("reference", 0), ("generated", 1)):
            (root / side).mkdir()
            for index in range(args.clips):
                waveform = sound(seed, index, args.seconds)
                if args.pictures and side == "reference":
                    write_video(root / side / f"{index:04d}.mp4", waveform, index)
                else:
                    write_waveform(root / side / f"{index:04d}.wav", waveform, RATE)
        request = EvaluateRequest(
            generated=root / "generated",
            reference=root / "reference",
            protocol=MediaProtocol(),
            num_workers=args.workers,
        )
        started, busy_since = time.perf_counter(), time.process_time()
        report = evaluate(request)
        wall, busy = time.perf_counter() - started, time.process_time() - busy_since
        num = len(report.clip_ids)
        print(f"{num} clips of {args.seconds:g} s, workers {args.workers}: {wall:.1f} s, {num / wall:.1f} clips/s")
        if args.workers == 0:
            print(f"on a core: {busy:.1f} s, {1000 * busy / num:.0f} ms per clip")


def sound(seed: int, index: int, seconds: float) -> np.ndarray:
    """Return bursts over noise (1, S)."""
    rng = np.random.default_rng([seed, index])
    waveform = 1e-3 * rng.standard_normal(round(seconds * RATE))
    for start in rng.integers(0, max(1, len(waveform) - 9600), 5):
        waveform[start : start + 9600] += 0.4 * rng.standard_normal(9600) * np.exp(-np.arange(9600) / 1500)
    return np.clip(waveform, -1, 1)[None].astype(np.float32)


def write_video(path: Path, waveform: np.ndarray, index: int) -> None:
    """Write moving noise with `waveform` (1, S) as its sound track."""
    pixels = np.random.default_rng(index).integers(0, 255, (96 + 75, 96, 3), np.uint8)
    with av.open(str(path), "w") as container:
        pictures = encode_video(container, width=96, height=96, rate=Fraction(25), time_base=Fraction(1, 25))
        sounds = SoundEncoder(container, waveform, RATE, codec="aac")
        for number in range(round(25 * waveform.shape[1] / RATE)):
            frame = av.VideoFrame.from_ndarray(pixels[number : number + 96], format="rgb24")
            frame = fit_frame(frame, pictures)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        for packet in sounds.packets():
            container.mux(packet)


if __name__ == "__main__":
    main()
