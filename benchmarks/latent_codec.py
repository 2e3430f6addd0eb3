"""The table of tiny-avldm's codec and vocoder: what its latents keep of held-out sound, and what is heard of frames.

    python benchmarks/latent_codec.py CACHE RECORDINGS MODEL [MODEL ...] [--num-clips 160]

CACHE is the cache of long videos that a model was trained on: mixtures of held-out places go to latents and back.
RECORDINGS holds metadata.csv files as training takes them; rows of the split `test`, which no training hears, do too.
Beside the way through latents stands the vocoder alone, which is given the mels as they are. The pattern is the
modulation of power at the rate of the mel's frames over that at rates beside it, near 0 dB in the original.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleykit.evaluation.metrics.frame_pattern import frame_pattern_db
from foleykit.evaluation.metrics.spectral_error import multi_resolution_stft_error
from foleykit.evaluation.vocoder import reconstruction_scores
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.recipes.unit_mel_vocoder import recorded, world_clips
from foleykit.world.cache import open_cache

SECONDS = 3.0
"""Longest part of a recording that is used."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Reconstruction by tiny-avldm's codec and vocoder.")
    parser.add_argument("cache", type=Path)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="model folders")
    parser.add_argument("--num-clips", type=int, default=160, help="clips of the world")
    args = parser.parse_args()
    models = {folder.name: AvLdmPipeline.load(folder) for folder in args.models}
    config = next(iter(models.values())).config
    longest, hop = round(SECONDS * config.sample_rate), config.hop_length
    recordings = [sound[:longest] for sound in recorded(args.recordings, "test", config.sample_rate)]
    sets = {
        "world, held-out places": world_clips(open_cache(args.cache, "valid"), num_clips=args.num_clips),
        "recordings, split test": [sound for sound in recordings if len(sound) >= 4 * hop],
    }
    print("| sound | clips | model | through | mel L1 | level | log-spectral distance | STFT error | pattern |")
    print("|---|---|---|---|---|---|---|---|---|")
    pattern_db = partial(frame_pattern_db, sample_rate=config.sample_rate, hop_length=config.vocoder.mel.hop_length)
    for name, clips in sets.items():
        waveforms = [torch.from_numpy(np.ascontiguousarray(clip[: len(clip) // hop * hop])) for clip in clips]
        for model_name, model in models.items():
            for through in ("latents", "vocoder alone"):
                made = [given_back(model, waveform, through, seed) for seed, waveform in enumerate(waveforms)]
                print(f"| {name} | {len(clips)} | {model_name} | {through} | {row(model, waveforms, made)} | ", end="")
                print(f"{pattern_db(made):+.1f} dB |")
        print(f"| {name} | {len(clips)} | the original | | 0 | 0 | 0 | 0 | {pattern_db(waveforms):+.1f} dB |")


@torch.inference_mode()
def given_back(model: AvLdmPipeline, waveform: Tensor, through: str, seed: int) -> Tensor:
    """Return `waveform` (S,) after latents, or after the vocoder with nothing lost before it."""
    codec = model.codec
    mel = codec.decode(codec.encode(waveform[None])) if through == "latents" else codec.log_mel(waveform[None])
    shape = (1, model.config.vocoder.num_noise_channels, mel.shape[2])
    made: Tensor = model.vocoder(mel, torch.randn(shape, generator=torch.Generator().manual_seed(seed)))
    return made[0]


def row(model: AvLdmPipeline, waveforms: Sequence[Tensor], made: Sequence[Tensor]) -> str:
    """Return the columns of one row."""
    scores = reconstruction_scores(model.codec.log_mel, waveforms, made)
    error = np.mean([multi_resolution_stft_error(*pair) for pair in zip(waveforms, made, strict=True)])
    return (
        f"{scores['mel_l1_db']:.2f} dB | {scores['level_db']:+.2f} dB | "
        f"{scores['log_spectral_distance_db']:.2f} dB | {error:.3f}"
    )


if __name__ == "__main__":
    main()
