"""Training a waveform autoencoder on the world's sound and on recordings: all of it alone, then its decoder again.

The second stage sharpens what is heard of latents, against discriminators that make a step cost five times as much. It
leaves the latents as they are, so that a generator of latents can be trained beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from foleykit.codecs.hifigan_discriminators import (
    HifiGanDiscriminators,
    HifiGanDiscriminatorsConfig,
    small_discriminators,
)
from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.codecs.wave_vae_objective import WaveVaeObjective, WaveVaeObjectiveConfig
from foleykit.core.checkpoint import load_weights, save_weights
from foleykit.core.errors import ConfigError
from foleykit.evaluation.metrics.effective_bandwidth import effective_bandwidth
from foleykit.evaluation.vocoder import reconstruction_scores
from foleykit.recipes.run_args import RunArgs
from foleykit.recipes.stage_defaults import StageDefaults
from foleykit.recipes.unit_mel_vocoder import SoundBatches, held_out_clips, sound_batches
from foleykit.training.adversarial import AdversarialConfig, AdversarialRun, fit_adversarial
from foleykit.training.loop import step_generator
from foleykit.training.processes import join_processes

Stage = Literal["codec", "decoder"]
DEFAULTS: Mapping[Stage, StageDefaults] = {
    "codec": StageDefaults(num_steps=3000, batch_size=8, learning_rate=1e-3),
    "decoder": StageDefaults(num_steps=500, batch_size=8, learning_rate=5e-4),
}
CROP_FRAMES = 24
"""Latent frames of a training crop."""
START_BATCHES = 64
"""Batches whose principal components the autoencoder starts from."""
STATISTICS_BATCHES = 16
"""Batches over which the mean and the deviation of latents are measured at the end."""


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

    @property
    def folder(self) -> Path:
        return self.output / self.stage


def train_wave_vae(args: WaveVaeTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train the codec, centre and scale its latents, or in the stage after it train its decoder; return the folder.

    Raises ModelError when the stage before has not been trained.
    """
    num_steps = args.num_steps or args.defaults.num_steps
    training = AdversarialConfig(
        num_steps=num_steps,
        learning_rate=args.learning_rate or args.defaults.learning_rate,
        adversarial_start=num_steps if args.stage == "codec" else 0,
        max_gradient_norm=5.0,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.checkpoint_every,
        seed=args.seed,
    )
    batches = sound_batches(
        args,
        num_samples=CROP_FRAMES * args.codec.hop_length,
        sample_rate=args.codec.sample_rate,
        batch_size=args.batch_size or args.defaults.batch_size,
        recording_share=args.recording_share,
    )
    unseen = replace(batches, world=replace(batches.world, seed=args.seed + 1))
    objective = objective_of(args).to(args.device)
    if args.stage == "codec":
        start_(objective.generator, unseen)
    held_out = held_out_clips(args, args.codec.sample_rate)

    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, WaveVae)
        return {
            f"{source}/{name}": value
            for source, clips in held_out.items()
            for name, value in score_wave_vae(model, clips).items()
        }

    args.folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "batch_size": batches.world.batch_size,
        "num_recordings": len(batches.recordings),
        "training": asdict(training),
        "torch": torch.__version__,
    }
    (args.folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
    run = AdversarialRun(
        objective=objective,
        batches=batches,
        config=training,
        output=args.folder,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    averaged = fit_adversarial(run, resume=args.resume)
    assert isinstance(averaged, WaveVae)
    if args.stage == "codec" and join_processes(args.device).is_main:
        normalise_(averaged, unseen)
        save_weights(averaged, args.folder / "model.safetensors")
    join_processes(args.device).wait()
    return args.folder


def objective_of(args: WaveVaeTrainArgs) -> WaveVaeObjective:
    """Return both sides as they start; raises ModelError when the stage before has not been trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        codec, discriminators = WaveVae(args.codec), HifiGanDiscriminators(args.discriminators)
    if args.stage == "decoder":
        load_weights(codec, args.output / "codec" / "model.safetensors")
    return WaveVaeObjective(codec, discriminators, WaveVaeObjectiveConfig(is_latent_fixed=args.stage == "decoder"))


@torch.no_grad()
def start_(codec: WaveVae, unseen: SoundBatches) -> None:
    """Set the codec's linear part to the principal components of batches that training does not begin with."""
    log_mel = codec.mel_vae.log_mel
    codec.mel_vae.fit_linear(torch.cat([log_mel(unseen(step).waveform) for step in range(START_BATCHES)]))


@torch.no_grad()
def normalise_(codec: WaveVae, unseen: SoundBatches) -> None:
    """Centre every channel of the latents, and scale them all alike to unit mean square."""
    vae = codec.mel_vae
    means = torch.cat([vae.posterior(vae.log_mel(unseen(step).waveform))[0] for step in range(STATISTICS_BATCHES)])
    vae.latent_mean.copy_(means.mean(dim=(0, 2))[:, None])
    vae.latent_deviation.fill_((means - vae.latent_mean).square().mean().sqrt())


@torch.inference_mode()
def score_wave_vae(codec: WaveVae, waveforms: Sequence[Tensor]) -> dict[str, float]:
    """Return how well `codec` gives back `waveforms`, each (S,), and the effective bandwidth of both in the mean."""
    generated: list[Tensor] = []
    for waveform in waveforms:
        latents = codec.encode(waveform[None, None])
        noise = torch.randn(codec.noise_shape(latents), generator=step_generator(0, len(generated)))
        generated.append(codec.decode(latents, noise.to(latents.device))[0, 0, : len(waveform)])

    def bandwidth_hz(parts: Sequence[Tensor]) -> float:
        rate = codec.config.sample_rate
        return sum(effective_bandwidth(part.float().cpu().numpy(), rate) for part in parts) / len(parts)

    scores = reconstruction_scores(codec.mel_vae.log_mel, waveforms, generated)
    return scores | {"bandwidth_hz": bandwidth_hz(generated), "reference_bandwidth_hz": bandwidth_hz(waveforms)}
