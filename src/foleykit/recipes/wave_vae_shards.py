"""Training textvideo's waveform codec on the sound of prepared clips, before the network that makes its latents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminatorsConfig
from foleykit.codecs.wave_vae import WaveVaeConfig
from foleykit.core.errors import InputError
from foleykit.core.types import AudioBatch
from foleykit.data.shards import ClipShards
from foleykit.models.textvideo.presets import textvideo_codec
from foleykit.recipes.avldm_batches import step_rng
from foleykit.recipes.stage_defaults import StageDefaults
from foleykit.recipes.unit_mel_vocoder import crop_of
from foleykit.recipes.wave_vae import CROP_FRAMES, Stage, WaveVaeRun, fit_wave_vae, stage_training

DEFAULTS: Mapping[Stage, StageDefaults] = {
    "codec": StageDefaults(num_steps=100_000, batch_size=32, learning_rate=3e-4),
    "decoder": StageDefaults(num_steps=200_000, batch_size=16, learning_rate=2e-4),
}
"""Ours; nothing published trains such a codec."""
HELD_OUT_CLIPS = 24
HELD_OUT_SECONDS = 3


@dataclass(frozen=True, kw_only=True)
class ShardCodecArgs:
    """One stage of one codec; where a number is None the stage has its own."""

    stage: Stage
    shards: Path
    """Prepared clips to train on."""
    held_out: Path
    """Prepared clips to validate on."""
    output: Path
    """Holds a folder for each stage, with its model.safetensors."""
    codec: WaveVaeConfig = field(default_factory=textvideo_codec)
    discriminators: HifiGanDiscriminatorsConfig = field(default_factory=HifiGanDiscriminatorsConfig)
    num_steps: int | None = None
    batch_size: int | None = None
    """Crops per step and process."""
    learning_rate: float | None = None
    checkpoint_every: int = 1000
    """Steps between checkpoints, and between validations."""
    seed: int = 0
    device: str = "cpu"
    resume: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardSounds:
    """Crops of the sound of clips drawn anew in every step."""

    shards: ClipShards
    num_samples: int
    sample_rate: int
    batch_size: int
    device: str
    seed: int

    def __call__(self, step: int) -> AudioBatch:
        rng = step_rng(self.seed, step)
        drawn = rng.integers(len(self.shards), size=self.batch_size).tolist()
        crops = [crop_of(self.waveform(position), self.num_samples, rng) for position in drawn]
        return AudioBatch(waveform=torch.from_numpy(np.stack(crops)).to(self.device))

    def waveform(self, position: int) -> NDArray[np.float32]:
        """Return the sound (S,) of a clip; raises InputError for another rate than the codec's."""
        waveform, sample_rate = self.shards.waveform(position)
        if sample_rate != self.sample_rate:
            raise InputError(f"clips are at {sample_rate} Hz, the codec at {self.sample_rate} Hz; prepare them anew")
        return waveform


def train_wave_vae_on_shards(args: ShardCodecArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train a stage and return its folder, as `fit_wave_vae` does."""
    defaults = DEFAULTS[args.stage]
    batch_size = args.batch_size or defaults.batch_size

    def sounds(folder: Path, seed: int) -> ShardSounds:
        return ShardSounds(
            shards=ClipShards(folder),
            num_samples=CROP_FRAMES * args.codec.hop_length,
            sample_rate=args.codec.sample_rate,
            batch_size=batch_size,
            device=args.device,
            seed=seed,
        )

    held_out = sounds(args.held_out, args.seed)
    longest = HELD_OUT_SECONDS * args.codec.sample_rate
    fixed = [held_out.waveform(position)[:longest] for position in range(min(HELD_OUT_CLIPS, len(held_out.shards)))]
    return fit_wave_vae(
        WaveVaeRun(
            stage=args.stage,
            codec=args.codec,
            discriminators=args.discriminators,
            training=stage_training(
                args.stage,
                num_steps=args.num_steps or defaults.num_steps,
                learning_rate=args.learning_rate or defaults.learning_rate,
                every=args.checkpoint_every,
                seed=args.seed,
            ),
            batch_size=batch_size,
            batches=sounds(args.shards, args.seed),
            unseen=sounds(args.shards, args.seed + 1),
            held_out={"clips": [torch.from_numpy(clip).to(args.device) for clip in fixed]},
            output=args.output,
            device=args.device,
            resume=args.resume,
            on_step=on_step,
        )
    )
