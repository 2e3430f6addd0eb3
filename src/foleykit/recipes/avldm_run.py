"""What the stages of tiny-avldm share: their settings, their folders, one loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, assert_never

from torch import nn

from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminatorsConfig, small_discriminators
from foleykit.core.checkpoint import Module, frozen, load_weights, with_weights
from foleykit.core.types import Batch, BatchSource, Objective
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.presets import debug, tiny_avldm
from foleykit.recipes.run_args import RunArgs
from foleykit.recipes.stage_defaults import StageDefaults
from foleykit.training.loop import Run, TrainingConfig, fit, write_settings

Stage = Literal["codec", "video", "vocoder", "decoder", "generator", "similarity"]
STAGES: tuple[Stage, ...] = ("codec", "video", "vocoder", "decoder", "generator", "similarity")

DEFAULTS: Mapping[Stage, StageDefaults] = {
    "codec": StageDefaults(num_steps=2200, batch_size=24, learning_rate=1e-3),
    "video": StageDefaults(num_steps=4700, batch_size=16, learning_rate=2e-3),
    "vocoder": StageDefaults(num_steps=2000, batch_size=16, learning_rate=1e-3),
    "decoder": StageDefaults(num_steps=1200, batch_size=16, learning_rate=5e-4),
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
    discriminators: HifiGanDiscriminatorsConfig = field(default_factory=small_discriminators)
    """Of the decoder's stage."""


def config_of(args: TrainArgs) -> AvLdmConfig:
    match args.preset:
        case "tiny-avldm":
            config = tiny_avldm()
        case "debug":
            config = debug()
        case _:
            assert_never(args.preset)
    return replace(config, denoiser=replace(config.denoiser, uses_ambient=args.uses_ambient))


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
