"""Whether what is said to be struck in real videos rings on, as metal, glass and ceramic do, where the real thing does.

    python benchmarks/struck.py VIDEOS [--model tiny-avldm]

VIDEOS is a folder with the videos that `struck.csv` names beside this script; what is struck in them was told by eye.
Each is read as it is, and once more as if its pictures looked familiar: then the likeliest material is always said.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from foleykit.jobs.load import load
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.events import SeenEvent
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe

TABLE = Path(__file__).with_name("struck.csv")
RINGING = {"metal", "glass", "ceramic"}


def ringing_share(events: tuple[SeenEvent, ...]) -> float:
    return sum(event.material in RINGING for event in events) / max(1, len(events))


def main() -> None:
    parser = argparse.ArgumentParser(description="Events that are said to ring on, by what is struck.")
    parser.add_argument("videos", type=Path, metavar="VIDEOS")
    parser.add_argument("--model", default="tiny-avldm")
    args = parser.parse_args()
    model = load(args.model).model
    assert isinstance(model, AvLdmPipeline), "only models that read events by themselves"
    print("| video | struck | rings | strangeness | events | said to ring | if it looked familiar |")
    print("|---|---|---|---|---|---|---|")
    shares: dict[str, list[tuple[float, float]]] = {"yes": [], "no": []}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            config = model.config.video
            reader = VideoReader(probe(args.videos / row["file"]), fps=config.fps, size=(config.size, config.size))
            seen = model.encode(reader)
            events, likeliest = (model.read_events(each) for each in (seen, replace(seen, strangeness=0.0)))
            told, plain = ringing_share(events), ringing_share(likeliest)
            shares[row["rings"]].append((told, plain))
            cells = (row["file"], row["struck"], row["rings"], f"{seen.strangeness:.2f}", len(events))
            print("|", " | ".join(map(str, cells)), f"| {told:.2f} | {plain:.2f} |")
    for rings, pairs in shares.items():
        told, plain = (sum(column) / len(column) for column in zip(*pairs, strict=True))
        print(f"| mean of {len(pairs)} | | {rings} | | | {told:.2f} | {plain:.2f} |")


if __name__ == "__main__":
    main()
