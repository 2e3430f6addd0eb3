"""Hits where nothing hits: onsets of generated sound in stretches of real videos that show no impact.

    python benchmarks/false_hits.py VIDEOS [--model tiny-avldm] [--ambient quiet] [--sensitivity 0]

VIDEOS is a folder with the videos that `still_stretches.csv` names beside this script. The stretches were found by eye,
frame by frame; each row says what is seen in it instead.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

from foleykit.audio.files import read_waveform
from foleykit.evaluation.onsets import OnsetConfig, detect_onsets
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.soundtrack import Settings

STRETCHES = Path(__file__).with_name("still_stretches.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description="Onsets per second where a video shows no impact.")
    parser.add_argument("videos", type=Path, metavar="VIDEOS")
    parser.add_argument("--model", default="tiny-avldm")
    parser.add_argument("--ambient", default="quiet")
    parser.add_argument("--sensitivity", type=float, default=0.0)
    args = parser.parse_args()
    settings = Settings(ambient=args.ambient, sensitivity=args.sensitivity)
    with STRETCHES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    pipeline = load(args.model)
    print("| video | from | to | what is seen | onsets | per second |\n|---|---|---|---|---|---|")
    total, seconds = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in dict.fromkeys(row["file"] for row in rows):
            sound = Path(folder) / f"{Path(name).stem}.wav"
            request = GenerateRequest(video=args.videos / name, output=sound, model=args.model, settings=settings)
            generate(request, pipeline=pipeline)
            waveform, rate = read_waveform(sound, mono=True)
            onsets = detect_onsets(waveform[0], rate, OnsetConfig())
            for row in (row for row in rows if row["file"] == name):
                start, end = float(row["start"]), float(row["end"])
                count = int(((onsets >= start) & (onsets < end)).sum())
                total, seconds = total + count, seconds + end - start
                print(f"| {name} | {start:g} | {end:g} | {row['seen']} | {count} | {count / (end - start):.2f} |")
    print(f"| all | | {seconds:g} s | | {total} | {total / seconds:.2f} |")


if __name__ == "__main__":
    main()
