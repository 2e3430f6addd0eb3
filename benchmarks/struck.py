"""Whether what is said to be struck in real videos rings on, as metal, glass and ceramic do, where the real thing does.

    python benchmarks/struck.py VIDEOS [--model tiny-avldm]
    python benchmarks/struck.py SOUNDS --classifier FOLDER

VIDEOS is a folder with the videos that `struck.csv` names beside this script; what is struck in them was told by eye.
Each is read as it is, and once more as if its pictures looked familiar: then the likeliest material is always said.

The second form asks a material classifier (`foley train material-classifier`) what one WAV per video sounds like
at each of its onsets; `foley reproduce real-footage` leaves such a folder.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from foleykit.audio.files import read_waveform
from foleykit.audio.resample import fit_length, resample
from foleykit.evaluation.material_classifier import MaterialClassifier
from foleykit.evaluation.onsets import detect_onsets
from foleykit.jobs.load import load
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.events import SeenEvent
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe
from foleykit.world.types import MATERIALS

TABLE = Path(__file__).with_name("struck.csv")
RINGING = {"metal", "glass", "ceramic"}


def ringing_share(events: tuple[SeenEvent, ...]) -> float:
    return sum(event.material in RINGING for event in events) / max(1, len(events))


def heard_to_ring(path: Path, classifier: MaterialClassifier) -> tuple[int, float]:
    """Return how many onsets a sound has, and the share of them that sound like what rings on."""
    waveform, rate, *_ = read_waveform(path, mono=True)
    config = classifier.config
    samples = resample(waveform, rate, config.sample_rate)[0]
    firsts = [round((time - config.seconds_before) * config.sample_rate) for time in detect_onsets(waveform[0], rate)]
    if not firsts:
        return 0, 0.0
    windows = [fit_length(samples[max(0, first) :][: config.num_samples], config.num_samples) for first in firsts]
    materials = classifier.judge(torch.from_numpy(np.stack(windows))).material.argmax(1).tolist()
    return len(firsts), sum(MATERIALS[material] in RINGING for material in materials) / len(firsts)


def listen(sounds: Path, classifier: MaterialClassifier) -> None:
    """Print what is heard at the onsets of generated sounds."""
    print("| video | struck | rings | onsets | heard to ring |\n|---|---|---|---|---|")
    shares: dict[str, list[float]] = {"yes": [], "no": []}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            count, share = heard_to_ring(sounds / f"{Path(row['file']).stem}.wav", classifier)
            print(f"| {row['file']} | {row['struck']} | {row['rings']} | {count} | {share:.2f} |")
            if count:
                shares[row["rings"]].append(share)
    for rings, values in shares.items():
        print(f"| mean of {len(values)} | | {rings} | | {sum(values) / len(values):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Events that are said to ring on, by what is struck.")
    parser.add_argument("folder", type=Path, help="Of the videos or, with --classifier, of one WAV for each.")
    parser.add_argument("--model", default="tiny-avldm")
    parser.add_argument("--classifier", type=Path, help="Folder of a material classifier that listens to sounds.")
    args = parser.parse_args()
    if args.classifier is not None:
        listen(args.folder, MaterialClassifier.load(args.classifier))
        return
    model = load(args.model).model
    assert isinstance(model, AvLdmPipeline), "only models that read events by themselves"
    print("| video | struck | rings | strangeness | events | said to ring | if it looked familiar |")
    print("|---|---|---|---|---|---|---|")
    shares: dict[str, list[tuple[float, float]]] = {"yes": [], "no": []}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            config = model.config.video
            reader = VideoReader(probe(args.folder / row["file"]), fps=config.fps, size=(config.size, config.size))
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
