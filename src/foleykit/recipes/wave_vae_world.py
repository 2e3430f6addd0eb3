"""Training a waveform autoencoder on the world's sound and on recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminatorsConfig, small_discriminators
from foleykit.codecs.wave_vae import WaveVaeConfig
from foleykit.core.errors import ConfigError
from foleykit.recipes.run_args import RunArgs
from foleykit.recipes.stage_defaults import StageDefaults
from foleykit.recipes.unit_mel_vocoder import held_out_clips, sound_batches
from foleykit.recipes.wave_vae import CROP_FRAMES, Stage, WaveVaeRun, fit_wave_vae, stage_training

DEFAULTS: Mapping[Stage, StageDefaults] = {
    "codec": StageDefaults(num_steps=3000, batch_size=8, learning_rate=1e-3),
    "decoder": StageDefaults(num_steps=500, batch_size=8, learning_rate=5e-4),
}


@dataclass(frozen=True, kw_only=True)
class WaveVaeTrainArgs(RunArgs):
    """One stage of one codec."""

    stage: Stage
    codec: WaveVaeConfig
    recording_share: float = 0.3
    """Share of crops that are cut from recordings where there are some."""
    discriminators: HifiGanDiscriminatorsConfig = field(default_factory=small_discriminators)

    def __post_init__(self) -> None:
        if self.data.sample_rate != self.codec.sample_rate:
            raise ConfigError(
                f"the codec is of {self.codec.sample_rate} Hz, the long videos of {self.data.sample_rate} Hz; "
                "render them at the codec's rate"
            )
        if not 0 <= self.recording_share <= 1:
            raise ConfigError(f"recording_share must be from 0 to 1, not {self.recording_share}")

    @property
    def defaults(self) -> StageDefaults:
        return DEFAULTS[self.stage]


def train_wave_vae(args: WaveVaeTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train a stage and return its folder, as `fit_wave_vae` does."""
    batches = sound_batches(
        args,
        num_samples=CROP_FRAMES * args.codec.hop_length,
        sample_rate=args.codec.sample_rate,
        batch_size=args.batch_size or args.defaults.batch_size,
        recording_share=args.recording_share,
    )
    return fit_wave_vae(
        WaveVaeRun(
            stage=args.stage,
            codec=args.codec,
            discriminators=args.discriminators,
            training=stage_training(
                args.stage,
                num_steps=args.num_steps or args.defaults.num_steps,
                learning_rate=args.learning_rate or args.defaults.learning_rate,
                every=args.checkpoint_every,
                seed=args.seed,
            ),
            batch_size=batches.world.batch_size,
            batches=batches,
            unseen=replace(batches, world=replace(batches.world, seed=args.seed + 1)),
            held_out=held_out_clips(args, args.codec.sample_rate),
            output=args.output,
            settings={"num_recordings": len(batches.recordings)},
            device=args.device,
            resume=args.resume,
            on_step=on_step,
        )
    )
