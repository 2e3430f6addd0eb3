"""Long videos of the world per second of one core, and where the time goes.

python benchmarks/world_speed.py [--videos 8]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time

from foleykit.world.config import WorldConfig
from foleykit.world.stream import make_take
from foleykit.world.voice import voice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=8)
    options = parser.parse_args()
    config = WorldConfig()
    make_take(config, seed=0, index=0, split="train")
    seen, heard = [], []
    profile = cProfile.Profile()
    for index in range(1, options.videos + 1):
        started = time.process_time()
        profile.enable()
        take = make_take(config, seed=0, index=index, split="train")
        profile.disable()
        seen.append(time.process_time() - started)
        started = time.process_time()
        voice(take, sample_rate=16_000, seed=index)
        heard.append(time.process_time() - started)
    total = statistics.median(seen) + statistics.median(heard)
    clips = config.seconds / 3
    print(f"{config.seconds:g} s at {config.frame_size} and {config.video_fps:g} frames/s, medians of {options.videos}")
    print(f"pictures {statistics.median(seen):.2f} CPU s, sound {statistics.median(heard):.2f} CPU s")
    print(f"{clips / total:.1f} clips of 3 s per second of one core")
    pstats.Stats(profile).sort_stats("tottime").print_stats(8)


if __name__ == "__main__":
    main()
