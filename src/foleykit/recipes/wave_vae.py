"""Training a waveform autoencoder on any sound: all of it alone, then its decoder again.

The second stage sharpens what is heard of latents, against discriminators that make a step cost five times as much. It
leaves the latents as they are, so that a generator of latents can be trained beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators, HifiGanDiscriminatorsConfig
from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.codecs.wave_vae_objective import WaveVaeObjective, WaveVaeObjectiveConfig
from foleykit.core.checkpoint import load_weights, save_weights
from foleykit.core.types import AudioBatch, BatchSource
from foleykit.evaluation.metrics.effective_bandwidth import effective_bandwidth
from foleykit.evaluation.vocoder import level_error_db, reconstruction_scores
from foleykit.training.adversarial import AdversarialConfig, AdversarialRun, fit_adversarial
from foleykit.training.loop import step_generator, write_settings
from foleykit.training.processes import join_processes

Stage = Literal["codec", "decoder"]
CROP_FRAMES = 24
"""Latent frames of a training crop."""
START_BATCHES = 64
"""Batches whose principal components the autoencoder starts from."""
STATISTICS_BATCHES = 16
"""Batches over which the mean and the deviation of latents are measured at the end."""


@dataclass(frozen=True, kw_only=True)
class WaveVaeRun:
    """One stage of one codec."""

    stage: Stage
    codec: WaveVaeConfig
    discriminators: HifiGanDiscriminatorsConfig
    training: AdversarialConfig
    batch_size: int
    """Crops per step and process."""
    batches: BatchSource[AudioBatch]
    """Crops of CROP_FRAMES."""
    unseen: BatchSource[AudioBatch]
    """The same of batches that training does not begin with, for what is measured of latents."""
    held_out: Mapping[str, Sequence[Tensor]]
    """Waveforms (S,) to validate on, by where they come from."""
    output: Path
    """Holds a folder for each stage."""
    trained: WaveVae | None = None
    """What the decoder's stage starts from; None is what the codec's left in `output`."""
    objective: WaveVaeObjectiveConfig = field(default_factory=WaveVaeObjectiveConfig)
    """Weights of the losses; whether latents are fixed is the stage's to say."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What else settings.json says."""
    device: str = "cpu"
    resume: bool = True
    on_step: Callable[[int, float], None] | None = None

    @property
    def folder(self) -> Path:
        return self.output / self.stage


def stage_training(stage: Stage, *, num_steps: int, learning_rate: float, every: int, seed: int) -> AdversarialConfig:
    """Return the optimiser of a stage, saved and validated `every` so many steps: the codec has no adversary."""
    return AdversarialConfig(
        num_steps=num_steps,
        learning_rate=learning_rate,
        adversarial_start=num_steps if stage == "codec" else 0,
        max_gradient_norm=5.0,
        checkpoint_every=every,
        validate_every=every,
        seed=seed,
    )


def fit_wave_vae(run: WaveVaeRun) -> Path:
    """Train the codec, centre and scale its latents, or in the stage after it train its decoder; return the folder.

    Raises ModelError when the stage before has not been trained.
    """
    objective = objective_of(run).to(run.device)
    if run.stage == "codec":
        start_(objective.generator, run.unseen)

    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, WaveVae)
        return {
            f"{source}/{name}": value
            for source, clips in run.held_out.items()
            for name, value in score_wave_vae(model, clips).items()
        }

    write_settings(run.folder, run.training, run.batch_size, run.settings)
    adversarial = AdversarialRun(
        objective=objective,
        batches=run.batches,
        config=run.training,
        output=run.folder,
        device=run.device,
        validate=validate,
        on_step=run.on_step,
    )
    averaged = fit_adversarial(adversarial, resume=run.resume)
    assert isinstance(averaged, WaveVae)
    if join_processes(run.device).is_main:
        if run.stage == "codec":
            normalise_(averaged, run.unseen)
        else:
            set_level_(averaged, run.unseen)
        save_weights(averaged, run.folder / "model.safetensors")
    join_processes(run.device).wait()
    return run.folder


def objective_of(run: WaveVaeRun) -> WaveVaeObjective:
    """Return both sides as they start; raises ModelError when the stage before has not been trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.training.seed)
        codec, discriminators = WaveVae(run.codec), HifiGanDiscriminators(run.discriminators)
    if run.stage == "decoder" and run.trained is None:
        load_weights(codec, run.output / "codec" / "model.safetensors")
    config = replace(run.objective, is_latent_fixed=run.stage == "decoder")
    return WaveVaeObjective(run.trained or codec, discriminators, config)


@torch.no_grad()
def start_(codec: WaveVae, unseen: BatchSource[AudioBatch]) -> None:
    """Set the codec's linear part to the principal components of batches that training does not begin with."""
    log_mel = codec.mel_vae.log_mel
    codec.mel_vae.fit_linear(torch.cat([log_mel(unseen(step).waveform) for step in range(START_BATCHES)]))


@torch.no_grad()
def normalise_(codec: WaveVae, unseen: BatchSource[AudioBatch]) -> None:
    """Centre every channel of the latents, and scale them all alike to unit mean square."""
    vae = codec.mel_vae
    means = torch.cat([vae.posterior(vae.log_mel(unseen(step).waveform))[0] for step in range(STATISTICS_BATCHES)])
    vae.latent_mean.copy_(means.mean(dim=(0, 2))[:, None])
    vae.latent_deviation.fill_((means - vae.latent_mean).square().mean().sqrt())


@torch.no_grad()
def set_level_(codec: WaveVae, unseen: BatchSource[AudioBatch]) -> None:
    """Make sound that went through latents as loud as it was, in the mean over some batches."""
    errors = []
    for step in range(STATISTICS_BATCHES):
        sounds = unseen(step).waveform
        latents = codec.encode(sounds[:, None])
        noise = torch.randn(codec.noise_shape(latents), generator=step_generator(0, step)).to(latents.device)
        errors.append(level_error_db(sounds, codec.decode(latents, noise)[:, 0, : sounds.shape[1]]))
    codec.mel_vae.louder_(-sum(errors) / len(errors))


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
