"""The token codec's table: what four codes of 512 keep of held-out sound, and how many of their entries are used.

    python benchmarks/token_codec.py WEIGHTS CACHE RECORDINGS [--num-clips 160]

WEIGHTS is a codec.safetensors of a model folder, or a stage's model.safetensors. CACHE is the cache of long videos that
it was trained on: mixtures of held-out places are coded. RECORDINGS holds metadata.csv files as training takes them;
rows of the split `test`, which no training hears, are coded too. The published codec's figures are those of its design.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleykit.codecs.encodec import EncodecConfig
from foleykit.codecs.mel_rvq import MelRvqCodec, MelRvqConfig
from foleykit.core.checkpoint import frozen, with_weights
from foleykit.evaluation.metrics.spectral_error import log_spectral_distance, multi_resolution_stft_error
from foleykit.recipes.unit_mel_vocoder import recorded, world_clips
from foleykit.world.cache import open_cache

SECONDS = 3.0
"""Longest part of a recording that is used."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Reconstruction and use of codes of the small token codec.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--num-clips", type=int, default=160, help="clips of the world")
    args = parser.parse_args()
    codec = frozen(with_weights(MelRvqCodec(MelRvqConfig()), args.weights), "cpu")
    config = codec.config
    longest = round(SECONDS * config.sample_rate) // config.hop_length * config.hop_length
    recordings = [sound[:longest] for sound in recorded(args.recordings, "test", config.sample_rate)]
    sets = {
        "world, held-out places": world_clips(open_cache(args.cache, "valid"), num_clips=args.num_clips),
        "recordings, split test": [sound for sound in recordings if len(sound) >= 4 * config.hop_length],
    }
    size = args.weights.stat().st_size / 1e6
    print(f"{size:.1f} MB, {design(config)}")
    print(f"EnCodec as AudioGen uses it, by design: {design(EncodecConfig(pad_mode='reflect'))}\n")
    print("| sound | clips | through | mel L1 | level | log-spectral distance | multi-resolution STFT | s per s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, clips in sets.items():
        waveforms = [torch.from_numpy(np.ascontiguousarray(clip)) for clip in clips]
        for through in ("codes", "mel and vocoder alone"):
            report(name, through, codec, waveforms)
    videos = open_cache(args.cache, "valid")
    # Whole videos under each of their backgrounds: an entry may stand for one room's hum.
    whole = world_clips(videos, num_clips=len(videos) * len(videos[0].ambient), seconds=videos[0].seconds)
    used = torch.cat([coded(codec, torch.from_numpy(clip)) for clip in whole], dim=1)
    print(f"\n{used.shape[1]} frames of {len(videos)} held-out long videos")
    print("\n| codebook | unused entries | perplexity |\n|---|---|---|")
    for index, row in enumerate(used):
        share = torch.bincount(row, minlength=config.codebook_size) / len(row)
        perplexity = (-(share * (share + 1e-12).log()).sum()).exp().item()
        print(f"| {index} | {(share == 0).float().mean().item():.3f} | {perplexity:.0f} |")


def design(config: MelRvqConfig | EncodecConfig) -> str:
    rate = config.frame_rate * config.num_codebooks * np.log2(config.codebook_size) / 1000
    return f"{config.frame_rate:g} frames/s of {config.num_codebooks} x {config.codebook_size}, {rate:.2f} kbit/s"


@torch.inference_mode()
def coded(codec: MelRvqCodec, waveform: Tensor) -> Tensor:
    return codec.encode(waveform[None, None])[0]


@torch.inference_mode()
def given_back(codec: MelRvqCodec, waveform: Tensor, through: str) -> Tensor:
    """Return `waveform` (S,) after codes, or after the vocoder with nothing lost before it."""
    if through == "codes":
        return codec.decode(codec.encode(waveform[None, None]))[0, 0, : len(waveform)]
    missing = -len(waveform) % codec.config.hop_length
    mel = codec.log_mel(torch.nn.functional.pad(waveform, (0, missing))[None])
    noise = torch.randn(codec.vocoder.noise_shape(mel), generator=torch.Generator().manual_seed(0))
    return codec.vocoder(mel, noise)[0, : len(waveform)]


def report(name: str, through: str, codec: MelRvqCodec, waveforms: Sequence[Tensor]) -> None:
    """Print a row of the table."""
    rows, started = [], time.perf_counter()
    made = [given_back(codec, waveform, through) for waveform in waveforms]
    cost = (time.perf_counter() - started) / sum(len(waveform) / codec.config.sample_rate for waveform in waveforms)
    for waveform, other in zip(waveforms, made, strict=True):
        whole = len(waveform) // codec.config.hop_length * codec.config.hop_length
        reference, generated = (codec.log_mel(part[None, :whole]) for part in (waveform, other))
        difference = (reference - generated).abs().mean().item() * codec.config.vocoder.mel.deviation
        power, reference_power = (part.square().mean().item() + 1e-12 for part in (other, waveform))
        level = 10 * np.log10(power / reference_power)
        spectra = log_spectral_distance(waveform, other), multi_resolution_stft_error(waveform, other)
        rows.append((difference * 20 / np.log(10), level, *spectra))
    mel, level, distance, error = np.mean(rows, axis=0)
    print(f"| {name} | {len(rows)} | {through} | {mel:.2f} dB | {level:+.2f} dB | ", end="")
    print(f"{distance:.2f} dB | {error:.3f} | {cost:.3f} |")


if __name__ == "__main__":
    main()
