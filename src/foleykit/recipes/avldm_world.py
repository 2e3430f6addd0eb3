"""Training tiny-avldm on the procedural world, stage by stage, each one command that can be killed and resumed.

codec -> video -> vocoder -> generator -> similarity -> bundle. Every stage writes to its own folder under `output`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.codecs.istft_vocoder import IstftVocoder
from foleykit.codecs.mel_vae import MelVae
from foleykit.core.checkpoint import Module, frozen, load_weights, save_weights, with_weights
from foleykit.core.types import IGNORED, AudioBatch, Batch, BatchSource, Objective
from foleykit.encoders.similarity import AvSimilarity
from foleykit.encoders.visual.two_rate import TwoRateEncoder
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.network import Denoiser
from foleykit.models.avldm.objective import (
    CodecObjective,
    GeneratorObjective,
    SimilarityObjective,
    SupervisedEncoder,
    VideoObjective,
    VocoderObjective,
    surface_error,
)
from foleykit.models.avldm.presets import debug, tiny_avldm
from foleykit.recipes.avldm_batches import (
    AudioBatches,
    EncodedVideo,
    GeneratorBatches,
    SimilarityBatches,
    SurveyedVideo,
)
from foleykit.recipes.avldm_video_batches import VideoBatches
from foleykit.recipes.run_args import RunArgs
from foleykit.recipes.stage_defaults import StageDefaults
from foleykit.recipes.world_data import (
    action_latents,
    encoded_videos,
    open_world,
    single_backgrounds,
    surveyed_videos,
)
from foleykit.training.loop import Run, TrainingConfig, fit, step_generator, write_settings
from foleykit.training.processes import join_processes
from foleykit.world.types import Split

Stage = Literal["codec", "video", "vocoder", "generator", "similarity"]
STAGES: tuple[Stage, ...] = ("codec", "video", "vocoder", "generator", "similarity")

DEFAULTS: Mapping[Stage, StageDefaults] = {
    "codec": StageDefaults(num_steps=2200, batch_size=24, learning_rate=1e-3),
    "video": StageDefaults(num_steps=4700, batch_size=16, learning_rate=2e-3),
    "vocoder": StageDefaults(num_steps=2000, batch_size=16, learning_rate=1e-3),
    "generator": StageDefaults(num_steps=10_000, batch_size=32, learning_rate=1e-3),
    "similarity": StageDefaults(num_steps=1000, batch_size=64, learning_rate=3e-3),
}
"""The settings of the shipped weights; their generator came to its steps in two runs, as the model card says."""


@dataclass(frozen=True, kw_only=True)
class TrainArgs(RunArgs):
    """One stage of one model."""

    preset: Literal["tiny-avldm", "debug"] = "tiny-avldm"
    stage: Stage
    uses_ambient: bool = True
    """False trains the generator without its neighbour: the ablation."""
    is_denoised: bool = False
    """True trains the generator on sound behind a denoiser: the other ablation."""
    start: Path | None = None
    """Run folder from whose weights a stage starts, instead of from random ones."""
    bf16: bool = False
    """Compute in bfloat16 where that is safe: twice as fast on processors and GPUs that know it."""


def config_of(args: TrainArgs) -> AvLdmConfig:
    match args.preset:
        case "tiny-avldm":
            config = tiny_avldm()
        case "debug":
            config = debug()
        case _:
            assert_never(args.preset)
    return replace(config, denoiser=replace(config.denoiser, uses_ambient=args.uses_ambient))


def train(args: TrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train `args.stage` and return its folder; raises ModelError when a stage it builds on has not been trained."""
    match args.stage:
        case "codec":
            return train_codec(args, on_step)
        case "video":
            return train_video(args, on_step)
        case "vocoder":
            return train_vocoder(args, on_step)
        case "generator":
            return train_generator(args, on_step)
        case "similarity":
            return train_similarity(args, on_step)
        case _:
            assert_never(args.stage)


def run_stage(
    args: TrainArgs,
    objective: Objective[Batch],
    batches: BatchSource[Batch],
    on_step: Callable[[int, float], None] | None,
    validate: Callable[[nn.Module], Mapping[str, float]],
) -> nn.Module:
    """Fit one stage with its defaults, leaving the settings beside the weights, and return the averaged model."""
    defaults = DEFAULTS[args.stage]
    training = TrainingConfig(
        num_steps=args.num_steps or defaults.num_steps,
        learning_rate=args.learning_rate or defaults.learning_rate,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.checkpoint_every,
        bf16=args.bf16,
        seed=args.seed,
    )
    folder = stage_folder(args)
    write_settings(folder, training, batch_size(args))
    if args.start is not None:
        load_weights(objective.model, args.start / folder.name / "model.safetensors")
    run = Run(
        objective=objective,
        batches=batches,
        config=training,
        output=folder,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    return fit(run, resume=args.resume)


def stage_folder(args: TrainArgs) -> Path:
    ablation = ("" if args.uses_ambient else "-no-neighbour") + ("-denoised" if args.is_denoised else "")
    return args.output / f"{args.stage}{ablation}"


def batch_size(args: TrainArgs) -> int:
    return args.batch_size or DEFAULTS[args.stage].batch_size


def trained(module: Module, args: TrainArgs, stage: Stage) -> Module:
    """Return `module` with the weights of a finished stage of the same run, frozen on the device."""
    return frozen(with_weights(module, args.output / stage / "model.safetensors"), args.device)


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


def train_video(args: TrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the video encoder on what the world knows of its events."""
    config = config_of(args)
    codec = trained(MelVae(config.codec), args, "codec")
    encoder = TwoRateEncoder(config.video).to(args.device)
    objective = VideoObjective(encoder).to(args.device)

    def sounds(split: Split) -> Sequence[NDArray[np.float16]]:
        return action_latents(args.data, split, codec, args.output / "encoded", args.device)

    batches = VideoBatches(
        videos=open_world(args.data, "train"),
        sounds=sounds("train"),
        config=config,
        batch_size=batch_size(args),
        device=args.device,
        seed=args.seed,
    )
    held_out = replace(batches, videos=open_world(args.data, "valid"), sounds=sounds("valid"), seed=1, augment=False)
    fixed = [held_out(step) for step in range(10)]

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, SupervisedEncoder)
        predictions = [model(batch.frames) for batch in fixed]
        onset = torch.cat([prediction.onset for prediction in predictions])
        truth = torch.cat([batch.onset for batch in fixed])
        scores = {"onset_f1": best_onset_f1(onset, truth)}
        for name in ("material", "action"):
            logits = torch.cat([getattr(prediction, name) for prediction in predictions]).flatten(0, 1)
            target = torch.cat([getattr(batch, name) for batch in fixed]).flatten()
            seen = target != IGNORED
            scores[f"{name}_accuracy"] = (logits[seen].argmax(1) == target[seen]).float().mean().item()
        sounds = [
            (prediction.sound - batch.sound).abs().mean() for prediction, batch in zip(predictions, fixed, strict=True)
        ]
        surfaces = [
            surface_error(prediction.surface, batch.surface)
            for prediction, batch in zip(predictions, fixed, strict=True)
        ]
        return scores | {
            "sound": torch.stack(sounds).mean().item(),
            "surface": torch.stack(surfaces).mean().item(),
        }

    run_stage(args, objective, batches, on_step, validate)
    return stage_folder(args)


def best_onset_f1(logits: Tensor, truth: Tensor) -> float:
    """Return the best F1 over thresholds of frame-level peaks (B, T) against onset frames, one frame of tolerance."""
    peak = logits >= nn.functional.max_pool1d(logits[:, None], 3, stride=1, padding=1)[:, 0]
    onset = truth == 1
    near_onset = nn.functional.max_pool1d(onset[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
    best = 0.0
    for threshold in torch.linspace(-3, 4, 15).tolist():
        found = peak & (logits > threshold)
        near_found = nn.functional.max_pool1d(found[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
        precision = (found & near_onset).sum() / found.sum().clamp(min=1)
        recall = (onset & near_found).sum() / onset.sum().clamp(min=1)
        best = max(best, float(2 * precision * recall / (precision + recall).clamp(min=1e-6)))
    return best


def frozen_stages(args: TrainArgs, config: AvLdmConfig) -> tuple[MelVae, TwoRateEncoder]:
    """Return the trained codec and video encoder of this run."""
    codec = trained(MelVae(config.codec), args, "codec")
    encoder = TwoRateEncoder(config.video)
    trained(VideoObjective(encoder).model, args, "video")
    return codec, encoder


def encoded(args: TrainArgs, split: Split, codec: MelVae, encoder: TwoRateEncoder) -> Sequence[EncodedVideo]:
    """Return the split's long videos as the frozen stages see them."""
    return encoded_videos(
        args.data,
        split,
        codec,
        encoder,
        args.output / "encoded",
        args.device,
        is_denoised=args.is_denoised,
    )


def train_generator(args: TrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the denoiser on mixtures, with the neighbour as ambient condition."""
    config = config_of(args)
    codec, encoder = frozen_stages(args, config)
    denoiser = Denoiser(config.denoiser).to(args.device)

    batches = GeneratorBatches(
        videos=encoded(args, "train", codec, encoder),
        window_frames=config.window_frames,
        batch_size=batch_size(args),
        device=args.device,
        seed=args.seed,
    )
    held_out = encoded(args, "valid", codec, encoder)
    fixed = [replace(batches, videos=held_out, seed=1, batch_size=32)(step) for step in range(4)]

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, Denoiser)
        objective = GeneratorObjective(model, video_dropout=0.0)

        def loss(shift_video: int, shift_ambient: int) -> float:
            values = [
                objective(
                    replace(
                        batch, video=batch.video.roll(shift_video, 0), ambient=batch.ambient.roll(shift_ambient, 0)
                    ),
                    step_generator(1, step),
                ).total.item()
                for step, batch in enumerate(fixed)
            ]
            return float(np.mean(values))

        return {"loss": loss(0, 0), "loss_other_video": loss(1, 0), "loss_other_ambience": loss(0, 1)}

    run_stage(args, GeneratorObjective(denoiser), batches, on_step, validate)
    return stage_folder(args)


def train_similarity(args: TrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the two towers of AV-Sim on what codec and video encoder already compute."""
    config = config_of(args)
    codec, encoder = frozen_stages(args, config)
    towers = AvSimilarity(config.similarity)

    def surveyed(split: Split) -> Sequence[SurveyedVideo]:
        return surveyed_videos(args.data, split, codec, encoder, args.output / "encoded", args.device)

    batches = SimilarityBatches(
        videos=surveyed("train"),
        backgrounds=single_backgrounds(
            codec, args.output / "encoded", args.device, window_samples=config.window_samples, seed=args.seed
        ),
        window_frames=config.window_frames,
        batch_size=batch_size(args),
        device=args.device,
        seed=args.seed,
    )
    held_out = surveyed("valid")
    fixed = [replace(batches, videos=held_out, seed=1, batch_size=min(32, len(held_out)))(step) for step in range(4)]

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, AvSimilarity)
        scores: dict[str, list[Tensor]] = {"mean_rank": [], "nearest_fits": [], "pictures": [], "sounds": []}
        for batch in fixed:
            pictures, sounds = model.embed_video(model.survey(batch.maps)), model.embed_audio(batch.latents)
            cosines = pictures @ sounds.T
            scores["mean_rank"].append((cosines > cosines.diagonal()[:, None]).sum(dim=1) / (len(cosines) - 1))
            scores["nearest_fits"].append((batch.seen * batch.seen[cosines.argmax(dim=1)]).sum(dim=1) > 0)
            for name, side in (("pictures", pictures), ("sounds", sounds)):
                scores[name].append(batch.seen.gather(1, model.nearness(side).argmax(dim=1, keepdim=True))[:, 0])
        return {name: torch.cat(parts).float().mean().item() for name, parts in scores.items()}

    run_stage(args, SimilarityObjective(towers.to(args.device)), batches, on_step, validate)
    return stage_folder(args)
