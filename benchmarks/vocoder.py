"""A vocoder's table: spectral errors on held-out sound beside those of Griffin-Lim, and patterns at the frame rate.

    python benchmarks/vocoder.py FOLDER RECORDINGS [--data CACHE] [--split test] [--seconds 5] [--num-clips 96]

FOLDER is what `foley train vocoder-128x16k` wrote. RECORDINGS holds metadata.csv files as the training takes them; rows
of the split named, which training does not hear, go to a mel and back. With CACHE, mixtures of held-out places of the
world do too. The pattern is the modulation of a clip's power at the rate of the mel's frames over that at rates beside
it: what is heard as a buzz in steady sound, near 0 dB in the original.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.codecs.griffin_lim import GriffinLim
from foleykit.codecs.unit_mel_vocoder import load_vocoder
from foleykit.evaluation.metrics.frame_pattern import frame_pattern_db
from foleykit.evaluation.vocoder import VocoderScore, score_vocoder
from foleykit.recipes.unit_mel_vocoder import recorded, world_clips
from foleykit.world.cache import open_cache

SHORTEST = 1600
"""Samples of a recording that is compared; shorter ones hold hardly a frame."""
Vocoder = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description="Spectral errors of a vocoder and of Griffin-Lim.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("recordings", type=Path, metavar="RECORDINGS")
    parser.add_argument("--data", type=Path, metavar="CACHE", help="cache of long videos with held-out places")
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    parser.add_argument("--seconds", type=float, default=5.0, help="longest part of a recording that is used")
    parser.add_argument("--num-clips", type=int, default=96, help="clips of the world")
    args = parser.parse_args()
    config = UnitMelConfig()
    longest = round(args.seconds * config.sample_rate)
    sounds = recorded(args.recordings, args.split, config.sample_rate)
    sets = {f"recordings, split {args.split}": [sound[:longest] for sound in sounds if len(sound) >= SHORTEST]}
    if args.data is not None:
        sets["world, held-out places"] = world_clips(open_cache(args.data, "valid"), num_clips=args.num_clips)
    vocoders: dict[str, Vocoder] = {
        args.folder.name: load_vocoder(args.folder).sound,
        "Griffin-Lim": GriffinLim(config),
    }
    for name, clips in sets.items():
        report(name, [torch.from_numpy(np.ascontiguousarray(clip)) for clip in clips], vocoders, UnitMel(config))


def report(name: str, clips: Sequence[Tensor], vocoders: dict[str, Vocoder], mel: UnitMel) -> None:
    """Print the table of one set of clips, each (S,); of two vocoders, how often the first wins."""
    seconds = sum(len(clip) for clip in clips) / mel.config.sample_rate
    print(f"\n{len(clips)} clips, {name}, {seconds:.0f} s; lower is better\n")
    print("| vocoder | log-spectral distance | multi-resolution STFT error | level | pattern | s per s of sound |")
    print("|---|---|---|---|---|---|")
    scores: list[VocoderScore] = []
    pattern_db = partial(frame_pattern_db, sample_rate=mel.config.sample_rate, hop_length=mel.config.hop_length)
    for vocoder_name, vocoder in vocoders.items():
        made: list[Tensor] = []

        def keeping(log_mel: Tensor, vocoder: Vocoder = vocoder, made: list[Tensor] = made) -> Tensor:
            made.append(vocoder(log_mel))
            return made[-1]

        started = time.process_time()
        scores.append(score_vocoder(keeping, mel, clips))
        cost = (time.process_time() - started) / seconds
        distance, error = scores[-1].means().values()
        sounds = [sound[0, 0, : len(clip)] for sound, clip in zip(made, clips, strict=True)]
        levels = [20 * float((sound.std() / clip.std()).log10()) for sound, clip in zip(sounds, clips, strict=True)]
        print(
            f"| {vocoder_name} | {distance:.2f} dB | {error:.3f} | {np.median(levels):+.1f} dB | "
            f"{pattern_db(sounds):+.1f} dB | {cost:.3f} |"
        )
    print(f"| the original | 0 | 0 | 0 | {pattern_db(clips):+.1f} dB | |")
    ours, theirs = scores
    for what, mine, other in (
        ("log-spectral distance", ours.distances_db, theirs.distances_db),
        ("multi-resolution STFT error", ours.stft_errors, theirs.stft_errors),
    ):
        wins = sum(one < two for one, two in zip(mine, other, strict=True))
        print(f"\nThe {what} is lower than Griffin-Lim's on {wins} of {len(clips)} clips.")


if __name__ == "__main__":
    main()
