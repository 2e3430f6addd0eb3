"""`foley train MODEL`: train a model on the simulated world, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Generic, Literal, Protocol, TypeVar

import typer

from foleykit.cli.show import print_json, progress

if TYPE_CHECKING:
    from foleykit.core.progress import Report
    from foleykit.recipes.run_args import RunArgs
    from foleykit.recipes.world_data import WorldDataArgs

Option = typer.Option
RunT = TypeVar("RunT", bound="RunArgs")
RunT_contra = TypeVar("RunT_contra", bound="RunArgs", contravariant=True)


@dataclass(frozen=True, kw_only=True)
class WorldArgs:
    """What every training is told: the long videos that it sees, where it writes, how long it runs."""

    data: Annotated[Path, Option(metavar="DIR", help="Cache of rendered long videos; missing ones are rendered.")] = (
        Path("cache/world")
    )
    num_videos: Annotated[int, Option(metavar="N", min=1, help="Long videos to train on.")] = 1000
    world_seed: Annotated[
        int, Option(metavar="N", min=0, help="Draws the long videos; a cache holds those of one seed.")
    ] = 0
    recordings: Annotated[
        Path | None,
        Option(metavar="DIR", help="Folder with actions/ and ambient/ recordings to voice part of the events."),
    ] = None
    workers: Annotated[int, Option(metavar="N", min=1, help="Processes that render missing videos.")] = 2
    output: Annotated[
        Path | None,
        Option("-o", "--output", metavar="DIR", help="Run folder: checkpoints, logs, weights; default: runs/MODEL."),
    ] = None
    num_steps: Annotated[int | None, Option(metavar="N", min=1, help="Training steps; default: the recipe's.")] = None
    seed: Annotated[int, Option(help="Draws weights, batches and noise.")] = 0
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print errors and warnings only.")] = False


@dataclass(frozen=True, kw_only=True)
class CommonArgs(WorldArgs):
    """What is told to a training that can be killed and go on."""

    batch_size: Annotated[int | None, Option(metavar="N", min=1, help="Clips per step; default: the recipe's.")] = None
    learning_rate: Annotated[float | None, Option(metavar="X", help="Peak learning rate; default: the recipe's.")] = (
        None
    )
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    resume: Annotated[
        bool, Option("--resume/--no-resume", help="Go on from the last checkpoint where there is one.")
    ] = True
    checkpoint_every: Annotated[int, Option(metavar="N", min=1, help="Steps between checkpoints and validations.")] = (
        200
    )


@dataclass(frozen=True, kw_only=True)
class StagedArgs(CommonArgs):
    """What the training of a whole model is told besides."""

    bf16: Annotated[
        bool, Option("--bf16", help="Compute in bfloat16: about twice as fast where the processor knows it.")
    ] = False
    bundle: Annotated[
        Path | None, Option(metavar="DIR", help="At the end write a model folder that foley generate --model takes.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class StartedArgs(StagedArgs):
    """What a training is told besides that may go on from other weights."""

    init_from: Annotated[
        Path | None, Option(metavar="DIR", help="Start from the weights of the same stage of this run folder.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class AvLdmArgs(StartedArgs):
    stage: Annotated[
        Literal["codec", "video", "vocoder", "decoder", "generator", "similarity", "all"],
        Option(help="A stage builds on those before it; all runs them in turn."),
    ] = "all"
    ambient: Annotated[
        bool, Option("--ambient/--no-ambient", help="Condition the generator on a neighbouring clip's sound.")
    ] = True
    denoise: Annotated[bool, Option("--denoise", help="Train the generator on sound behind a spectral gate.")] = False


@dataclass(frozen=True, kw_only=True)
class FoleyGenArgs(StagedArgs):
    stage: Annotated[
        Literal["codec", "decoder", "lm", "all"],
        Option(help="decoder and lm need the codec and may run side by side; all trains one after another."),
    ] = "all"
    base: Annotated[
        str, Option(help="The model whose video encoder is used and whose vocoder the codec starts from.")
    ] = "tiny-avldm"
    mechanism: Annotated[
        Literal["all_frame", "causal", "frame_wise", "aligned"] | None,
        Option(help="How the language model sees the video; default: the preset's way."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class TextVideoArgs(StartedArgs):
    data: Annotated[
        Path, Option(metavar="DIR", help="Cache of long videos with 48 kHz sound; missing ones are rendered.")
    ] = Path("cache/world-48k")
    stage: Annotated[
        Literal["codec", "decoder", "text", "generator", "all"],
        Option(help="decoder and generator need the codec, the generator also text; all trains one after another."),
    ] = "all"
    base: Annotated[str, Option(metavar="MODEL", help="The model whose video encoder sees the pictures.")] = (
        "tiny-avldm"
    )
    num_revoicings: Annotated[
        int, Option(metavar="N", min=0, help="Times that each video is voiced in other materials than are seen.")
    ] = 1


@dataclass(frozen=True, kw_only=True)
class SyncArgs(CommonArgs):
    encoder: Annotated[
        str, Option(metavar="MODEL", help="The model whose video encoder the classifier looks through.")
    ] = "tiny-avldm"


@dataclass(frozen=True)
class _Stage(Generic[RunT]):
    """One stage of a training."""

    name: str
    run: RunT
    """What is its own; what every training is told is filled in."""
    num_steps: int
    """Of the recipe."""


class _Train(Protocol[RunT_contra]):
    def __call__(self, run: RunT_contra, /, *, on_step: Callable[[int, float], None]) -> Path: ...


def run_tiny_avldm(args: AvLdmArgs) -> None:
    """Train tiny-avldm; a killed run goes on where it was. Under torchrun several processes train together."""
    _train_avldm(args, "tiny-avldm")


def run_debug(args: AvLdmArgs) -> None:
    """Train a model of tiny-avldm's kind that is small enough to see every stage run in a minute."""
    _train_avldm(args, "debug")


def _train_avldm(args: AvLdmArgs, preset: Literal["tiny-avldm", "debug"]) -> None:
    from foleykit.models.avldm.presets import debug, tiny_avldm
    from foleykit.recipes.avldm_bundle import bundle
    from foleykit.recipes.avldm_run import DEFAULTS, STAGES, TrainArgs
    from foleykit.recipes.avldm_world import train

    model = debug() if preset == "debug" else tiny_avldm()
    stages = [
        _Stage(
            stage,
            TrainArgs(
                preset=preset,
                stage=stage,
                data=_world(args, frame_size=model.frame_size, video_fps=model.video_fps),
                output=args.output or Path("runs") / preset,
                uses_ambient=args.ambient,
                is_denoised=args.denoise,
                start=args.init_from,
                bf16=args.bf16,
            ),
            DEFAULTS[stage].num_steps,
        )
        for stage in STAGES
        if args.stage in (stage, "all")
    ]
    _run(args, stages, train, bundle)


def run_tiny_foleygen(args: FoleyGenArgs) -> None:
    """Train tiny-foleygen, its codec and then its language model; a killed run goes on where it was."""
    from foleykit.jobs.models import model_folder
    from foleykit.models.foleygen.presets import tiny_foleygen
    from foleykit.recipes.foleygen_world import DEFAULTS, STAGES, FoleyGenTrainArgs, bundle, train

    model = tiny_foleygen()
    stages = [
        _Stage(
            stage,
            FoleyGenTrainArgs(
                stage=stage,
                data=_world(args, frame_size=model.frame_size, video_fps=model.video_fps),
                base=model_folder(args.base),
                output=args.output or Path("runs/tiny-foleygen"),
                mechanism=args.mechanism,
                bf16=args.bf16,
            ),
            DEFAULTS[stage].num_steps,
        )
        for stage in STAGES
        if args.stage in (stage, "all")
    ]
    _run(args, stages, train, bundle)


def run_tiny_textvideo(args: TextVideoArgs) -> None:
    """Train tiny-textvideo: codec, reader of prompts, network; a killed run goes on where it was."""
    _train_textvideo(args, "tiny-textvideo")


def run_debug_textvideo(args: TextVideoArgs) -> None:
    """Train a model of tiny-textvideo's kind that is small enough to see every stage run in a minute."""
    _train_textvideo(args, "debug")


def _train_textvideo(args: TextVideoArgs, preset: Literal["tiny-textvideo", "debug"]) -> None:
    from foleykit.jobs.models import model_folder
    from foleykit.models.textvideo.presets import debug_tiny, tiny_textvideo
    from foleykit.recipes.textvideo_world import DEFAULTS, STAGES, TextVideoTrainArgs, bundle, train

    model = debug_tiny() if preset == "debug" else tiny_textvideo()
    data = replace(
        _world(args, frame_size=model.frame_size, video_fps=model.video_fps),
        sample_rate=model.sample_rate,
        num_revoicings=args.num_revoicings,
    )
    stages = [
        _Stage(
            stage,
            TextVideoTrainArgs(
                preset=preset,
                stage=stage,
                data=data,
                base=model_folder(args.base),
                start=args.init_from,
                output=args.output or Path("runs") / ("debug-textvideo" if preset == "debug" else preset),
                bf16=args.bf16,
            ),
            DEFAULTS[stage].num_steps,
        )
        for stage in STAGES
        if args.stage in (stage, "all")
    ]
    _run(args, stages, train, bundle)


def run_vocoder(args: CommonArgs) -> None:
    """Train the vocoder of published-size models; its folder comes to lie in the run folder."""
    from foleykit.recipes.unit_mel_vocoder import VocoderTrainArgs, train_vocoder, vocoder_128x16k

    run = VocoderTrainArgs(data=_world(args), output=args.output or Path("runs/vocoder-128x16k"))
    _run(args, [_Stage("spectra", run, vocoder_128x16k().num_steps)], train_vocoder)


def run_sync(args: SyncArgs) -> None:
    """Train the classifier of evaluations that says whether sound is in time; it comes to lie in the run folder."""
    from foleykit.evaluation.sync_network import load_encoder
    from foleykit.jobs.models import model_folder
    from foleykit.recipes.sync_classifier import SyncTrainArgs, train_sync_classifier

    encoder = load_encoder(model_folder(args.encoder))
    size = encoder.config.size
    run = SyncTrainArgs(
        data=_world(args, frame_size=(size, size), video_fps=encoder.config.fps),
        output=args.output or Path("runs/sync"),
    )

    def train(run: SyncTrainArgs, *, on_step: Callable[[int, float], None]) -> Path:
        return train_sync_classifier(run, encoder, on_step=on_step)

    _run(args, [_Stage("sync", run, run.num_steps)], train)


def run_material_classifier(args: WorldArgs) -> None:
    """Train the classifier of evaluations that says which material an impact sounds like; a matter of minutes."""
    from foleykit.recipes.material_classifier import NUM_STEPS, train_material_classifier

    with progress(quiet=args.quiet) as report:
        folder = train_material_classifier(
            _world(args),
            args.output or Path("runs/material-classifier"),
            num_steps=args.num_steps or NUM_STEPS,
            seed=args.seed,
            report=report,
        )
    _show([folder], args)


def _world(
    args: WorldArgs, *, frame_size: tuple[int, int] | None = None, video_fps: float | None = None
) -> WorldDataArgs:
    """Return which long videos to train on, filmed as an encoder wants them, or as the world does by itself."""
    from foleykit.recipes.world_data import WorldDataArgs
    from foleykit.world.config import WorldConfig

    world = WorldConfig()
    if frame_size is not None and video_fps is not None:
        world = WorldConfig(frame_size=frame_size, video_fps=video_fps)
    return WorldDataArgs(
        cache=args.data,
        num_videos=args.num_videos,
        seed=args.world_seed,
        recordings=args.recordings,
        workers=args.workers,
        world=world,
    )


def _run(
    args: CommonArgs,
    stages: Sequence[_Stage[RunT]],
    train: _Train[RunT],
    bundle: Callable[[RunT, Path], None] | None = None,
) -> None:
    """Train one stage after another, write the bundle where one is asked for, and show the folders.

    Of processes that train together, only the first speaks.
    """
    from foleykit.jobs.load import choose_device
    from foleykit.training.processes import join_processes

    device = choose_device(args.device)
    is_main = join_processes(device).is_main
    folders = []
    with progress(quiet=args.quiet or not is_main) as report:
        for stage in stages:
            on_step = _steps(report, stage.name, args.num_steps or stage.num_steps)
            folders.append(train(_told(stage.run, args, device), on_step=on_step))
    if is_main and bundle is not None and isinstance(args, StagedArgs) and args.bundle is not None:
        bundle(_told(stages[-1].run, args, device), args.bundle)
        folders.append(args.bundle)
    if is_main:
        _show(folders, args)


def _show(folders: Sequence[Path], args: WorldArgs) -> None:
    """Print what was written: one JSON object, or a path per line."""
    if args.json:
        print_json({"folders": [str(folder) for folder in folders]})
    elif not args.quiet:
        for folder in folders:
            print(folder)


def _told(run: RunT, args: CommonArgs, device: str) -> RunT:
    """Return `run` with what every training is told."""
    return replace(
        run,
        num_steps=args.num_steps or run.num_steps,
        batch_size=args.batch_size or run.batch_size,
        learning_rate=run.learning_rate if args.learning_rate is None else args.learning_rate,
        seed=args.seed,
        device=device,
        resume=args.resume,
        checkpoint_every=args.checkpoint_every,
    )


def _steps(report: Report, stage: str, total: int) -> Callable[[int, float], None]:
    """Return what a training tells of every step: the number done and the smoothed loss."""
    return lambda step, loss: report(f"{stage}, loss {loss:.3f}", step / total)
