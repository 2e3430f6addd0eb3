"""MMAudio at its published size on random weights: convert, then generate, each as a whole process.

    python benchmarks/mmaudio_cost.py small-16k [--seconds 2] [--steps 25] [--dtypes float32 bfloat16] [--folder DIR]

Writes files laid out as the published ones are (12 to 20 GB with the converted folder, deleted at the end), and prints
a table for benchmarks/results: wall time and peak memory of both commands, and the seconds of every stage.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from foleykit.models.textvideo.presets import mmaudio
from foleykit.video.encode import write_video
from generate_cost import moving_pictures

ROOT = Path(__file__).parents[1]
FPS = 30


def measured(words: list[str]) -> tuple[dict, float, float]:
    """Run `foley` and return what it printed as JSON, its wall seconds and its peak resident GB."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen([sys.executable, "-m", "foleykit", *words, "--json", "-q"], stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"foley {words[0]} failed with status {status}")
        printed.seek(0)
        return json.load(printed), time.monotonic() - started, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    sys.path.append(str(ROOT / "tests"))
    from fixtures.mmaudio import write_published

    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        files, model, video = folder / "files", folder / "model", folder / "clip.mp4"
        files.mkdir()
        write_video(video, moving_pictures(options.seconds), FPS)
        write_published(mmaudio(options.size), files)
        converted, wall, peak = measured(["models", "convert", "mmaudio", str(files), str(model)])
        print("| command | wall s | peak GB |\n|---|---|---|")
        print(
            f"| convert {converted['size']}, {converted['num_bytes'] / 1e9:.2f} GB | {wall:.0f} | {peak:.1f} |",
            flush=True,
        )
        for path in files.iterdir():
            path.unlink()
        for dtype in options.dtypes:
            generated(video, model, folder / f"{dtype}.mp4", dtype, options.steps)


def generated(video: Path, model: Path, output: Path, dtype: str, num_steps: int) -> None:
    """Generate once and print the table's row and its stages."""
    words = ["generate", str(video), "--model", str(model), "--num-steps", str(num_steps), "--dtype", dtype]
    words += ["--prompt", "a bar swings", "--negative-prompt", "music", "-o", str(output)]
    made, wall, peak = measured(words)
    print(f"| generate {made['seconds']:g} s, {num_steps} steps, {dtype} | {wall:.0f} | {peak:.1f} |")
    print("stages:", ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in made["timings"].items()))
    print(f"samples: {made['num_samples']} at {made['sample_rate']} Hz", flush=True)


if __name__ == "__main__":
    main()
