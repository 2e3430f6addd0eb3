"""The 48 kHz codec's table: what its latents keep of held-out sound, up to which frequency, and at what cost.

    python benchmarks/wave_codec.py WEIGHTS CACHE RECORDINGS [--num-clips 96]

WEIGHTS is a codec.safetensors of a model folder, or a stage's model.safetensors. CACHE is the 48 kHz cache of long
videos that it was trained on: mixtures of held-out places are coded. RECORDINGS holds metadata.csv files as training
takes them; rows of the split `test`, which no training hears, are coded too, those that reach above 16 kHz also apart.
Beside the codec stands its vocoder alone, which is given the mels as they are. Bandwidth is measured, not read from a
header. The pattern is the pulse of power at the rate of the mel's frames, beside the original's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.core.checkpoint import frozen, with_weights
from foleykit.evaluation.metrics.effective_bandwidth import effective_bandwidth
from foleykit.evaluation.metrics.frame_pattern import frame_pattern_db
from foleykit.evaluation.vocoder import reconstruction_scores
from foleykit.recipes.unit_mel_vocoder import recorded, world_clips
from foleykit.world.cache import open_cache

SECONDS = 3.0
"""Longest part of a recording that is used."""
WIDE_HZ = 16_000.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Reconstruction and bandwidth of the 48 kHz codec.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--num-clips", type=int, default=96, help="clips of the world")
    args = parser.parse_args()
    codec = frozen(with_weights(WaveVae(WaveVaeConfig()), args.weights), "cpu")
    config = codec.config
    longest = round(SECONDS * config.sample_rate)
    recordings = [sound[:longest] for sound in recorded(args.recordings, "test", config.sample_rate)]
    recordings = [sound for sound in recordings if len(sound) >= config.sample_rate // 4]
    wide = [sound for sound in recordings if effective_bandwidth(sound, config.sample_rate) > WIDE_HZ]
    sets = {
        "world, held-out places": world_clips(open_cache(args.cache, "valid"), num_clips=args.num_clips),
        "recordings, split test": recordings,
        "those above 16 kHz": wide,
    }
    print(
        f"{args.weights.stat().st_size / 1e6:.1f} MB, {config.sample_rate} Hz, {config.frame_rate:g} latents/s of "
        f"{config.latent_width} channels; {torch.get_num_threads()} threads\n"
    )
    print("| sound | clips | through | mel L1 | level | log-spectral distance | bandwidth | original | pattern | s/s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, clips in sets.items():
        waveforms = [torch.from_numpy(np.ascontiguousarray(clip)) for clip in clips]
        for through in ("latents", "vocoder alone"):
            if waveforms:
                report(name, through, codec, waveforms)


@torch.inference_mode()
def given_back(codec: WaveVae, waveform: Tensor, through: str, seed: int) -> Tensor:
    """Return `waveform` (S,) after latents, or after the vocoder with nothing lost before it."""
    generator = torch.Generator().manual_seed(seed)
    if through == "latents":
        latents = codec.encode(waveform[None, None])
        made = codec.decode(latents, torch.randn(codec.noise_shape(latents), generator=generator))[0, 0]
        return made[: len(waveform)]
    padded = torch.nn.functional.pad(waveform, (0, -len(waveform) % codec.config.hop_length))
    mel = codec.mel_vae.log_mel(padded[None])
    return codec.vocoder(mel, torch.randn(codec.vocoder.noise_shape(mel), generator=generator))[0, : len(waveform)]


def report(name: str, through: str, codec: WaveVae, waveforms: Sequence[Tensor]) -> None:
    """Print a row of the table."""
    rate, started = codec.config.sample_rate, time.perf_counter()
    made = [given_back(codec, waveform, through, seed) for seed, waveform in enumerate(waveforms)]
    cost = (time.perf_counter() - started) / sum(len(waveform) / rate for waveform in waveforms)
    scores = reconstruction_scores(codec.mel_vae.log_mel, waveforms, made)
    pattern_db = partial(frame_pattern_db, sample_rate=rate, hop_length=codec.config.vocoder.mel.hop_length)
    heard, true = (
        np.mean([effective_bandwidth(sound.numpy(), rate) for sound in sounds]) for sounds in (made, waveforms)
    )
    print(
        f"| {name} | {len(waveforms)} | {through} | {scores['mel_l1_db']:.2f} dB | {scores['level_db']:+.2f} dB | "
        f"{scores['log_spectral_distance_db']:.2f} dB | {heard:.0f} Hz | {true:.0f} Hz | "
        f"{pattern_db(made):+.1f} of {pattern_db(waveforms):+.1f} dB | {cost:.3f} |"
    )


if __name__ == "__main__":
    main()
