"""Training tiny-foleygen on the procedural world: codec -> decoder, lm -> bundle, each resumed where it was killed.

The pictures are seen by the frozen encoder of a trained tiny-avldm, from whose vocoder the codec starts too. The first
stage settles what the codes mean; then decoder and language model can be trained side by side.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from foleykit.codecs.hifigan_discriminators import (
    HifiGanDiscriminators,
    HifiGanDiscriminatorsConfig,
    small_discriminators,
)
from foleykit.codecs.mel_rvq import MelRvqCodec, MelRvqConfig
from foleykit.codecs.mel_rvq_objective import MelRvqObjective, MelRvqObjectiveConfig
from foleykit.core.checkpoint import frozen, load_weights, save_weights, weights_digest, with_weights
from foleykit.core.config import load_config, save_config
from foleykit.core.errors import ModelError, UsageError
from foleykit.encoders.visual.steering import FILE_NAME as STEERING
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder
from foleykit.evaluation.vocoder import reconstruction_scores
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.foleygen.config import FoleyGenConfig, Mechanism
from foleykit.models.foleygen.network import LanguageModel
from foleykit.models.foleygen.objective import LanguageObjective
from foleykit.models.foleygen.presets import debug, tiny_foleygen
from foleykit.recipes.foleygen_batches import CodedVideo, CodesBatches, code_video
from foleykit.recipes.foleygen_shards import held_out_losses
from foleykit.recipes.run_args import RunArgs
from foleykit.recipes.stage_defaults import StageDefaults
from foleykit.recipes.unit_mel_vocoder import SoundBatches, sound_batches, world_clips
from foleykit.recipes.world_data import once_per_video, open_world
from foleykit.training.adversarial import AdversarialConfig, AdversarialRun, fit_adversarial
from foleykit.training.loop import Run, TrainingConfig, fit, step_generator, write_settings
from foleykit.training.processes import join_processes
from foleykit.world.types import Split

Stage = Literal["codec", "decoder", "lm"]
STAGES: tuple[Stage, ...] = ("codec", "decoder", "lm")
CROP_FRAMES = 40
"""Frames of codes in a training crop of the codec."""
START_BATCHES = 16
"""Batches that the codec's linear part and codebooks start from: twenty frames to an entry at the default size."""


DEFAULTS: Mapping[Stage, StageDefaults] = {
    "codec": StageDefaults(num_steps=2400, batch_size=16, learning_rate=1e-3),
    "decoder": StageDefaults(num_steps=1200, batch_size=16, learning_rate=5e-4),
    "lm": StageDefaults(num_steps=5000, batch_size=16, learning_rate=1e-3),
}


@dataclass(frozen=True, kw_only=True)
class FoleyGenTrainArgs(RunArgs):
    """One stage of one model."""

    preset: Literal["tiny-foleygen", "debug"] = "tiny-foleygen"
    stage: Stage
    base: Path
    """Model folder of a trained AV-LDM: its video encoder, its ambient library, and the vocoder to start from."""
    mechanism: Mechanism | None = None
    """How the language model sees the video; None is the preset's way. The three of the paper see one vector a second,
    "aligned" all of them."""
    bf16: bool = False
    """Compute the language model in bfloat16."""
    recording_share: float = 0.3
    """Share of the codec's crops that are cut from recordings where there are some."""
    discriminators: HifiGanDiscriminatorsConfig = field(default_factory=small_discriminators)

    @property
    def defaults(self) -> StageDefaults:
        return DEFAULTS[self.stage]


def config_of(args: FoleyGenTrainArgs) -> FoleyGenConfig:
    """Return the model that is trained."""
    match args.preset:
        case "tiny-foleygen":
            config = tiny_foleygen()
        case "debug":
            config = debug()
        case _:
            assert_never(args.preset)
    if args.mechanism is None:
        return config
    rate = config.video.feature_rate if args.mechanism == "aligned" else 1.0
    visual = replace(config.lm.visual, mechanism=args.mechanism, rate=rate)
    return replace(config, lm=replace(config.lm, visual=visual))


def train(args: FoleyGenTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train `args.stage` and return its folder.

    Raises ModelError when the stage before has not been trained or `args.base` is of other sizes.
    """
    match args.stage:
        case "codec" | "decoder":
            return train_codec(args, on_step)
        case "lm":
            return train_lm(args, on_step)
        case _:
            assert_never(args.stage)


def stage_folder(args: FoleyGenTrainArgs) -> Path:
    """Return the folder of a stage; a language model that sees the video in another way than the preset has its own."""
    is_variant = args.stage == "lm" and args.mechanism is not None
    return args.output / (f"{args.stage}-{args.mechanism}" if is_variant else args.stage)


def train_codec(args: FoleyGenTrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the codec alone, or in the stage after it its decoder against discriminators, which triple a step's cost.

    Raises UsageError under several processes.
    """
    if join_processes(args.device).count > 1:
        raise UsageError("the codec's codebooks follow one process's batches; train this stage without torchrun")
    config = codec_config(args)
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
        num_samples=CROP_FRAMES * config.hop_length,
        sample_rate=config.sample_rate,
        batch_size=args.batch_size or args.defaults.batch_size,
        recording_share=args.recording_share,
    )
    held_out = [torch.from_numpy(clip).to(args.device) for clip in world_clips(open_world(args.data, "valid"))]

    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, MelRvqCodec)
        return score_codec(model, held_out)

    objective = codec_objective(args, config).to(args.device)
    if args.stage == "codec":
        start_codec_(objective.generator, batches, args.seed)
    write_settings(stage_folder(args), training, args.batch_size or args.defaults.batch_size)
    run = AdversarialRun(
        objective=objective,
        batches=batches,
        config=training,
        output=stage_folder(args),
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    fit_adversarial(run, resume=args.resume)
    return stage_folder(args)


def codec_config(args: FoleyGenTrainArgs) -> MelRvqConfig:
    codec = config_of(args).codec
    assert isinstance(codec, MelRvqConfig)
    return codec


def codec_objective(args: FoleyGenTrainArgs, config: MelRvqConfig) -> MelRvqObjective:
    """Return both sides as they start.

    Raises ModelError when the base model's vocoder is of another size, or the stage before has not been trained.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        codec = MelRvqCodec(config)
        discriminators = HifiGanDiscriminators(args.discriminators)
    if args.stage == "decoder":
        load_weights(codec, args.output / "codec" / "model.safetensors")
        return MelRvqObjective(codec, discriminators, MelRvqObjectiveConfig(is_code_fixed=True, energy_weight=1.0))
    if base_config(args).vocoder != config.vocoder:
        raise ModelError(f"the vocoder of {args.base} is of another size than that of {args.preset}")
    load_weights(codec.vocoder, args.base / "vocoder.safetensors")
    return MelRvqObjective(codec, discriminators, MelRvqObjectiveConfig())


@torch.no_grad()
def start_codec_(codec: MelRvqCodec, batches: SoundBatches, seed: int) -> None:
    """Fit the linear part, and the codebooks to what it makes of them, to batches that training does not begin with."""
    unseen = replace(batches, world=replace(batches.world, seed=seed + 1))
    mels = [codec.log_mel(unseen(step).waveform) for step in range(START_BATCHES)]
    codec.fit_linear(torch.cat(mels))
    latents = torch.cat([codec.latents(mel) for mel in mels])
    codec.quantizer.start_(latents, step_generator(seed, 0), batch_frames=len(mels[0]) * CROP_FRAMES)


@torch.no_grad()
def score_codec(codec: MelRvqCodec, waveforms: Sequence[Tensor]) -> dict[str, float]:
    """Return how well `codec` gives back `waveforms`, each (S,), and how it uses its codebooks.

    Mel error and level in dB, log-spectral distance in dB, and, over all clips together, the share of entries that no
    frame is coded with and the perplexity of each codebook.
    """
    generated, used = [], []
    for waveform in waveforms:
        codes = codec.encode(waveform[None, None])
        generated.append(codec.decode(codes)[0, 0, : len(waveform)])
        used.append(codes[0])
    every = torch.cat(used, dim=1)
    counts = torch.stack([torch.bincount(row, minlength=codec.config.codebook_size) for row in every]).float()
    shares = counts / counts.sum(dim=1, keepdim=True)
    perplexity = (-(shares * (shares + 1e-12).log()).sum(dim=1)).exp()
    scores = reconstruction_scores(codec.log_mel, waveforms, generated)
    scores["unused_share"] = (counts == 0).float().mean().item()
    return scores | {f"perplexity_{index}": value.item() for index, value in enumerate(perplexity)}


def trained_codec(args: FoleyGenTrainArgs, stage: Stage = "codec") -> MelRvqCodec:
    """Return the codec of this run as `stage` left it, frozen; raises ModelError when that has not been trained."""
    weights = args.output / stage / "model.safetensors"
    return frozen(with_weights(MelRvqCodec(codec_config(args)), weights), args.device)


def base_config(args: FoleyGenTrainArgs) -> AvLdmConfig:
    return load_config(AvLdmConfig, args.base / "config.json")


def base_encoder(args: FoleyGenTrainArgs) -> TwoRateEncoder:
    """Return the base model's video encoder, frozen; raises ModelError when it is of another size than the preset's."""
    video = config_of(args).video
    if not isinstance(video, TwoRateConfig) or base_config(args).video != video:
        raise ModelError(f"the video encoder of {args.base} is of another size than that of {args.preset}")
    return frozen(with_weights(TwoRateEncoder(video), args.base / "video.safetensors"), args.device)


def coded_videos(
    args: FoleyGenTrainArgs, split: Split, codec: MelRvqCodec, encoder: TwoRateEncoder
) -> Sequence[CodedVideo]:
    """Return codes and features of every long video, computed once per pair of codec and encoder weights."""
    folder = args.output / "coded" / f"{args.data.name_of(split)}-{weights_digest(codec, encoder)}"
    stored = once_per_video(
        open_world(args.data, split),
        lambda video: code_video(video, codec, encoder, args.device),
        folder,
        args.device,
    )
    return [CodedVideo(features=arrays["features"], codes=arrays["codes"]) for arrays in stored]


def train_lm(args: FoleyGenTrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the language model on codes of mixtures, with the paper's optimiser and a cosine after the warm-up."""
    config = config_of(args)
    codec, encoder = trained_codec(args), base_encoder(args)
    num_steps = args.num_steps or args.defaults.num_steps
    training = TrainingConfig(
        num_steps=num_steps,
        learning_rate=args.learning_rate or args.defaults.learning_rate,
        warmup_steps=num_steps // 20,
        schedule="cosine",
        weight_decay=0.1,
        second_beta=0.95,
        ema_decay=0.99,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.checkpoint_every,
        bf16=args.bf16,
        seed=args.seed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        model = LanguageModel(config.lm).to(args.device)
    batches = CodesBatches(
        videos=coded_videos(args, "train", codec, encoder),
        config=config,
        batch_size=args.batch_size or args.defaults.batch_size,
        device=args.device,
        seed=args.seed,
    )
    fixed = [
        replace(batches, videos=coded_videos(args, "valid", codec, encoder), seed=1, batch_size=16)(step)
        for step in range(4)
    ]

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, LanguageModel)
        return held_out_losses(model, fixed)

    write_settings(stage_folder(args), training, args.batch_size or args.defaults.batch_size)
    run = Run(
        objective=LanguageObjective(model),
        batches=batches,
        config=training,
        output=stage_folder(args),
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    fit(run, resume=args.resume)
    return stage_folder(args)


def bundle(args: FoleyGenTrainArgs, destination: Path) -> None:
    """Write the trained stages as one model folder: config.json, one fp16 file per part, the base's ambient library.

    Raises UsageError when `destination` already holds a model.
    """
    if (destination / "config.json").exists():
        raise UsageError(f"{destination} already holds a model; choose another folder or remove it first")
    config = config_of(args)
    lm_args = replace(args, stage="lm")
    parts: dict[str, nn.Module] = {
        "codec": trained_codec(args, "decoder"),
        "video": base_encoder(args),
        "lm": with_weights(LanguageModel(config.lm), stage_folder(lm_args) / "model.safetensors"),
    }
    destination.mkdir(parents=True, exist_ok=True)
    for name, module in parts.items():
        save_weights(module, destination / f"{name}.safetensors", half=True)
    if (args.base / "ambient").is_dir():
        shutil.copytree(args.base / "ambient", destination / "ambient")
    if (args.base / STEERING).is_file():
        shutil.copy(args.base / STEERING, destination)
    save_config(config, destination / "config.json")
