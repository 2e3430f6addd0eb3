"""A vocoder's table: spectral errors on held-out recordings beside those of Griffin-Lim.

    python benchmarks/vocoder.py FOLDER RECORDINGS [--split test] [--seconds 5]

FOLDER is what `foley train vocoder-128x16k` wrote. RECORDINGS holds metadata.csv files as the training takes them; rows
of the split named, which training does not hear, go to a mel and back.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.codecs.griffin_lim import GriffinLim
from foleykit.codecs.unit_mel_vocoder import load_vocoder
from foleykit.evaluation.vocoder import score_vocoder
from foleykit.recipes.unit_mel_vocoder import recorded

SHORTEST = 1600
"""Samples of a recording that is compared; shorter ones hold hardly a frame."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Spectral errors of a vocoder and of Griffin-Lim.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("recordings", type=Path, metavar="RECORDINGS")
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    parser.add_argument("--seconds", type=float, default=5.0, help="longest part of a recording that is used")
    args = parser.parse_args()
    config = UnitMelConfig()
    longest = round(args.seconds * config.sample_rate)
    clips = [
        torch.from_numpy(np.ascontiguousarray(sound[:longest]))
        for sound in recorded(args.recordings, args.split, config.sample_rate)
        if len(sound) >= SHORTEST
    ]
    mel = UnitMel(config)
    vocoders: dict[str, nn.Module] = {args.folder.name: load_vocoder(args.folder), "Griffin-Lim": GriffinLim(config)}
    seconds = sum(len(clip) for clip in clips) / config.sample_rate
    print(f"{len(clips)} recordings of the {args.split} split, {seconds:.0f} s; lower is better\n")
    print("| vocoder | log-spectral distance | multi-resolution STFT error | s per s of sound |")
    print("|---|---|---|---|")
    scores = {}
    for name, vocoder in vocoders.items():
        started = time.perf_counter()
        scores[name] = score_vocoder(vocoder, mel, clips)
        cost = (time.perf_counter() - started) / seconds
        distance, error = scores[name].means().values()
        print(f"| {name} | {distance:.2f} dB | {error:.3f} | {cost:.2f} |")
    ours, griffin_lim = scores.values()
    wins = sum(mine < other for mine, other in zip(ours.distances_db, griffin_lim.distances_db, strict=True))
    print(f"\nThe log-spectral distance is lower than Griffin-Lim's on {wins} of {len(clips)} recordings.")


if __name__ == "__main__":
    main()
