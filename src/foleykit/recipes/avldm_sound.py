"""The stages of tiny-avldm that turn sound to latents and back: codec, vocoder, and both once more together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from foleykit.codecs.codec_objective import CodecObjectiveConfig
from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminators
from foleykit.codecs.istft_vocoder import IstftVocoder
from foleykit.codecs.mel_vae import MelVae
from foleykit.codecs.mel_vae_objective import VoicedVae, VoicedVaeObjective
from foleykit.core.checkpoint import load_weights, save_weights, with_weights
from foleykit.core.types import AudioBatch, BatchSource
from foleykit.evaluation.vocoder import level_error_db, reconstruction_scores
from foleykit.models.avldm.objective import CodecObjective, VocoderObjective
from foleykit.recipes.avldm_batches import AudioBatches
from foleykit.recipes.avldm_run import DEFAULTS, TrainArgs, batch_size, config_of, run_stage, stage_folder, trained
from foleykit.recipes.unit_mel_vocoder import sound_batches, world_clips
from foleykit.recipes.world_data import open_world
from foleykit.training.adversarial import AdversarialConfig, AdversarialRun, fit_adversarial
from foleykit.training.loop import step_generator, write_settings
from foleykit.training.processes import join_processes

CROP_FRAMES = 20
"""Latent frames in a training crop of the decoder."""
RECORDING_SHARE = 0.3
"""Of the decoder's crops, that are cut from recordings where there are some."""
LEVEL_BATCHES = 8
"""Of training, that the level is set by."""
DECODER_WEIGHTS = CodecObjectiveConfig(energy_weight=1.0)


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


def voiced_vae(args: TrainArgs) -> VoicedVae:
    """Return codec and vocoder as their own stages left them; raises ModelError when one has not been trained."""
    config = config_of(args)
    return VoicedVae(
        with_weights(MelVae(config.codec), args.output / "codec" / "model.safetensors"),
        with_weights(IstftVocoder(config.vocoder), args.output / "vocoder" / "model.safetensors"),
    )


def train_decoder(args: TrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the codec's decoder and the vocoder on together, against discriminators; latents keep their meaning."""
    folder, hop_length = stage_folder(args), config_of(args).hop_length
    training = AdversarialConfig(
        num_steps=args.num_steps or DEFAULTS["decoder"].num_steps,
        learning_rate=args.learning_rate or DEFAULTS["decoder"].learning_rate,
        max_gradient_norm=5.0,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.checkpoint_every,
        seed=args.seed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        discriminators = HifiGanDiscriminators(args.discriminators)
    voiced = voiced_vae(args).to(args.device)
    if args.start is not None:
        load_weights(voiced, args.start / folder.name / "model.safetensors")
    held_out = [
        torch.from_numpy(clip[: len(clip) // hop_length * hop_length]).to(args.device)
        for clip in world_clips(open_world(args.data, "valid"))
    ]

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, VoicedVae)
        made = [model.reconstructed(waveform[None])[0] for waveform in held_out]
        return reconstruction_scores(model.codec.log_mel, held_out, made)

    write_settings(folder, training, batch_size(args))
    batches = sound_batches(
        args,
        num_samples=CROP_FRAMES * hop_length,
        sample_rate=voiced.codec.config.mel.sample_rate,
        batch_size=batch_size(args),
        recording_share=RECORDING_SHARE,
    )
    run = AdversarialRun(
        objective=VoicedVaeObjective(voiced, discriminators.to(args.device), DECODER_WEIGHTS),
        batches=batches,
        config=training,
        output=folder,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    averaged = fit_adversarial(run, resume=args.resume)
    assert isinstance(averaged, VoicedVae)
    if join_processes(args.device).is_main:
        level_(averaged, replace(batches, world=replace(batches.world, seed=args.seed + 1)))
        save_weights(averaged, folder / "model.safetensors")
    join_processes(args.device).wait()
    return folder


@torch.no_grad()
def level_(model: VoicedVae, batches: BatchSource[AudioBatch]) -> None:
    """Make sound that went through latents as loud as it was, in the mean over some of `batches`."""
    sounds = torch.cat([batches(step).waveform for step in range(LEVEL_BATCHES)])
    model.codec.louder_(-level_error_db(sounds, model.reconstructed(sounds)))
