"""The stages of tiny-avldm that turn sound to latents and back: codec, vocoder, and both once more together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from foleykit.audio.spectral_loss import RESOLUTIONS
from foleykit.codecs.istft_vocoder import IstftVocoder
from foleykit.codecs.mel_vae import MelVae
from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.codecs.wave_vae_objective import WaveVaeObjectiveConfig
from foleykit.core.checkpoint import load_weights, save_weights
from foleykit.core.types import AudioBatch
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.objective import CodecObjective, VocoderObjective
from foleykit.recipes.avldm_batches import AudioBatches
from foleykit.recipes.avldm_run import DEFAULTS, TrainArgs, batch_size, config_of, run_stage, stage_folder, trained
from foleykit.recipes.unit_mel_vocoder import held_out_clips, sound_batches
from foleykit.recipes.wave_vae import WaveVaeRun, fit_wave_vae, stage_training
from foleykit.recipes.world_data import open_world
from foleykit.training.loop import step_generator
from foleykit.training.processes import join_processes

CROP_FRAMES = 20
"""Latent frames in a training crop of the decoder."""
RECORDING_SHARE = 0.3
"""Of the decoder's crops, that are cut from recordings where there are some."""


def held_out_sound(args: TrainArgs, batches: AudioBatches) -> list[AudioBatch]:
    """Return the fixed batches of held-out places that codec and vocoder are validated on."""
    held_out = replace(batches, videos=open_world(args.data, "valid"), seed=1)
    return [held_out(step) for step in range(4)]


def train_codec(args: TrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the mel autoencoder, then measure the means and the common deviation that centre and scale its latents."""
    config = config_of(args)
    codec = MelVae(config.codec).to(args.device)
    crop = 40 * config.hop_length
    batches = AudioBatches(
        videos=open_world(args.data, "train"),
        num_samples=crop,
        batch_size=batch_size(args),
        device=args.device,
        seed=args.seed,
    )
    fixed = held_out_sound(args, batches)
    unseen = replace(batches, seed=args.seed + 1)
    codec.fit_linear(torch.cat([codec.log_mel(unseen(step).waveform) for step in range(32)]))

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, MelVae)
        errors, biases = [], []
        for batch in fixed:
            mel = model.log_mel(batch.waveform)
            decoded = model.decode_raw(model.posterior(mel)[0])
            errors.append((decoded - mel).abs().mean() * config.codec.mel.deviation)
            energies = [model.log_mel.magnitude(part).square().mean(dim=(1, 2)) for part in (decoded, mel)]
            biases.append(((energies[0] + 1e-12) / (energies[1] + 1e-12)).log10().mean() * 10)
        return {"mel_l1_db": torch.stack(errors).mean().item() * 8.686, "level_db": torch.stack(biases).mean().item()}

    averaged = run_stage(args, CodecObjective(codec), batches, on_step, validate)
    assert isinstance(averaged, MelVae)
    if not join_processes(args.device).is_main:
        return stage_folder(args)
    with torch.no_grad():
        means = torch.cat([averaged.posterior(averaged.log_mel(unseen(step).waveform))[0] for step in range(8)])
    averaged.latent_mean.copy_(means.mean(dim=(0, 2))[:, None])
    averaged.latent_deviation.fill_((means - averaged.latent_mean).square().mean().sqrt())
    save_weights(averaged, stage_folder(args) / "model.safetensors")
    return stage_folder(args)


def train_vocoder(args: TrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the vocoder on mels before and after the trained codec."""
    config = config_of(args)
    codec = trained(MelVae(config.codec), args, "codec")
    vocoder = IstftVocoder(config.vocoder).to(args.device)
    batches = AudioBatches(
        videos=open_world(args.data, "train"),
        num_samples=24 * config.hop_length,
        batch_size=batch_size(args),
        device=args.device,
        seed=args.seed,
    )
    fixed = held_out_sound(args, batches)

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, IstftVocoder)
        objective = VocoderObjective(model, codec)
        losses = [objective(batch, step_generator(1, step)) for step, batch in enumerate(fixed)]
        return {name: float(np.mean([loss.parts[name].item() for loss in losses])) for name in ("magnitude", "energy")}

    run_stage(args, VocoderObjective(vocoder, codec), batches, on_step, validate)
    return stage_folder(args)


def waveform_codec(config: AvLdmConfig) -> WaveVae:
    """Return codec and vocoder as one, untrained."""
    return WaveVae(WaveVaeConfig(mel_vae=config.codec, vocoder=config.vocoder))


def trained_apart(args: TrainArgs) -> WaveVae:
    """Return codec and vocoder as their own stages left them; raises ModelError when one has not been trained."""
    codec = waveform_codec(config_of(args))
    load_weights(codec.mel_vae, args.output / "codec" / "model.safetensors")
    load_weights(codec.vocoder, args.output / "vocoder" / "model.safetensors")
    return codec


def train_decoder(args: TrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the codec's decoder and the vocoder on together, against discriminators; latents keep their meaning."""
    codec = trained_apart(args)
    if args.start is not None:
        load_weights(codec, args.start / "decoder" / "model.safetensors")
    batches = sound_batches(
        args,
        num_samples=CROP_FRAMES * codec.config.hop_length,
        sample_rate=codec.config.sample_rate,
        batch_size=batch_size(args),
        recording_share=RECORDING_SHARE,
    )
    run = WaveVaeRun(
        stage="decoder",
        codec=codec.config,
        discriminators=args.discriminators,
        training=stage_training(
            "decoder",
            num_steps=args.num_steps or DEFAULTS["decoder"].num_steps,
            learning_rate=args.learning_rate or DEFAULTS["decoder"].learning_rate,
            every=args.checkpoint_every,
            seed=args.seed,
        ),
        batch_size=batch_size(args),
        batches=batches,
        unseen=replace(batches, world=replace(batches.world, seed=args.seed + 1)),
        held_out=held_out_clips(args, codec.config.sample_rate),
        output=args.output,
        trained=codec,
        objective=WaveVaeObjectiveConfig(energy_weight=1.0, resolutions=RESOLUTIONS),
        settings={"num_recordings": len(batches.recordings)},
        device=args.device,
        resume=args.resume,
        on_step=on_step,
    )
    return fit_wave_vae(run)
