"""Cutting clips out of long videos: one pass per video against decoding each clip from the start of its video.

python benchmarks/prepare.py [--minutes 20] [--videos 1] [--clips 190] [--slow-clips 8] [--workers 1]

Both ways run the same decoder, scaler and encoder on one core, one after the other in this process. The slow way is
timed on `--slow-clips` clips spread evenly over the video: its cost per clip grows with the clip's place alone.
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

from foleykit.data.manifest import ClipRecord, Manifest
from foleykit.data.prepare import PrepareConfig, prepare
from foleykit.data.span_pictures import encode_clip
from foleykit.data.span_types import CutConfig
from foleykit.video.encode import ColorTags, write_video

FPS = 30
SIZE = (256, 340)
SEGMENT_SECONDS = 10


def write_segment(path: Path) -> None:
    """Write some seconds of shapes that move, in the size of Ego4D's small videos, with noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    shapes = (120 + 60 * np.sin(columns / 23) + 50 * np.cos(rows / 31)).astype(np.uint8)
    grain = rng.integers(0, 12, (8, *SIZE, 3), dtype=np.uint8)
    pictures = (
        np.stack([np.roll(shapes, index, 1), np.roll(shapes, 2 * index, 0), shapes], axis=-1) + grain[index % 8]
        for index in range(SEGMENT_SECONDS * FPS)
    )
    sound = 0.1 * rng.standard_normal((1, SEGMENT_SECONDS * 48_000)).astype(np.float32)
    write_video(path, pictures, FPS, sound, 48_000)


def repeat(source: Path, path: Path, count: int) -> None:
    """Write `count` copies of a video after another, packet for packet."""
    with av.open(str(path), "w") as out, av.open(str(source)) as first:
        streams = [out.add_stream_from_template(stream, opaque=True) for stream in first.streams]
        latest = dict.fromkeys(range(len(streams)), -1e9)
        for turn in range(count):
            with av.open(str(source)) as container:
                for packet in container.demux():
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(turn * SEGMENT_SECONDS / Fraction(packet.time_base))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    # The encoder's run-up at the start of the sound lies under the end of the copy before.
                    if packet.dts <= latest[packet.stream_index]:
                        continue
                    latest[packet.stream_index] = packet.dts
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)


def cut_from_start(path: Path, start: float, end: float) -> tuple[bytes, np.ndarray]:
    """Return an mp4 and 16 kHz sound of a span, decoding all before it, as `ffmpeg -i VIDEO -ss START` does."""
    frames, times, sound = [], [], []
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=16_000)
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.AudioFrame):
                if start - 0.1 <= frame.time < end + 0.1:
                    sound += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            elif start <= frame.time < end:
                frames.append(frame.reformat(width=224, height=224, format="yuv420p", interpolation="AREA"))
                times.append(frame.time - start)
            elif frame.time >= end + 0.1:
                break
    return encode_clip(frames, times, end - start, Fraction(FPS), ColorTags()), np.concatenate(sound)[:48_000]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--videos", type=int, default=1)
    parser.add_argument("--clips", type=int, default=190, help="of each video; Ego4D-Sounds has 190 in 20 minutes")
    parser.add_argument("--slow-clips", type=int, default=8)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    seconds = 60.0 * options.minutes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_segment(folder / "part.mp4")
        for number in range(options.videos):
            repeat(folder / "part.mp4", folder / f"long{number}.mp4", 60 * options.minutes // SEGMENT_SECONDS)
        starts = np.linspace(0.3, seconds - 3.3, options.clips)
        records = tuple(
            ClipRecord(
                clip_id=f"c{video}_{index}",
                video_id=f"long{video}",
                path=f"long{video}.mp4",
                start=start,
                end=start + 3,
            )
            for video in range(options.videos)
            for index, start in enumerate(map(float, starts))
        )
        wall, cpu = time.perf_counter(), time.process_time()
        result = prepare(
            Manifest(records=records), folder, folder / "out", PrepareConfig(cut=CutConfig()), workers=options.workers
        )
        fast_wall, fast_cpu = time.perf_counter() - wall, time.process_time() - cpu
        assert result.num_clips == len(records), result.counts()

        wall, cpu = time.perf_counter(), time.process_time()
        middle = np.linspace(0, seconds - 3, 2 * options.slow_clips + 1)[1::2]
        for start in map(float, middle):
            movie, sound = cut_from_start(folder / "long0.mp4", start, start + 3)
            assert movie and sound.shape == (48_000,)
        slow_wall, slow_cpu = time.perf_counter() - wall, time.process_time() - cpu

    one_pass, from_start = len(records) / fast_wall, options.slow_clips / slow_wall
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, PyAV {av.__version__}; {options.minutes} min, {SIZE}, {FPS} fps"
    )
    print("| way | clips | wall s | CPU s | clips/s (wall) | clips/s (CPU) |")
    print("|---|---|---|---|---|---|")
    for label, count, spent, worked in (
        ("one pass per video", len(records), fast_wall, fast_cpu),
        ("each clip from the start", options.slow_clips, slow_wall, slow_cpu),
    ):
        print(f"| {label} | {count} | {spent:.1f} | {worked:.1f} | {count / spent:.2f} | {count / worked:.2f} |")
    by_cpu = (len(records) / fast_cpu) / (options.slow_clips / slow_cpu)
    print(f"ratio: {one_pass / from_start:.1f} by wall time, {by_cpu:.1f} by CPU time")


if __name__ == "__main__":
    main()
