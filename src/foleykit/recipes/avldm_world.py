"""Training tiny-avldm on the procedural world, stage by stage, each one command that can be killed and resumed.

codec -> video -> vocoder -> decoder -> generator -> similarity -> bundle. Every stage writes to its own folder under
`output`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.codecs.mel_vae import MelVae
from foleykit.core.types import IGNORED
from foleykit.encoders.similarity import AvSimilarity
from foleykit.encoders.visual.two_rate import TwoRateEncoder
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.network import Denoiser
from foleykit.models.avldm.objective import (
    GeneratorObjective,
    SimilarityObjective,
    SupervisedEncoder,
    VideoObjective,
    surface_error,
)
from foleykit.recipes.avldm_batches import EncodedVideo, GeneratorBatches, SimilarityBatches, SurveyedVideo
from foleykit.recipes.avldm_run import TrainArgs, batch_size, config_of, run_stage, stage_folder, trained
from foleykit.recipes.avldm_sound import train_codec, train_decoder, train_vocoder
from foleykit.recipes.avldm_video_batches import VideoBatches
from foleykit.recipes.world_data import action_latents, encoded_videos, open_world, single_backgrounds, surveyed_videos
from foleykit.training.loop import step_generator
from foleykit.world.types import Split


def train(args: TrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train `args.stage` and return its folder; raises ModelError when a stage it builds on has not been trained."""
    match args.stage:
        case "codec":
            return train_codec(args, on_step)
        case "video":
            return train_video(args, on_step)
        case "vocoder":
            return train_vocoder(args, on_step)
        case "decoder":
            return train_decoder(args, on_step)
        case "generator":
            return train_generator(args, on_step)
        case "similarity":
            return train_similarity(args, on_step)
        case _:
            assert_never(args.stage)


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
