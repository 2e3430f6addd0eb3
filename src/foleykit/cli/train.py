"""`foley train`: train a model on the simulated world, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress
from foleykit.core.errors import UsageError

Option = typer.Option


@dataclass(frozen=True, kw_only=True)
class Args:
    preset: Annotated[
        Literal["tiny-avldm", "tiny-foleygen", "debug", "vocoder-128x16k", "sync"], typer.Argument(help="Which model.")
    ] = "tiny-avldm"
    stage: Annotated[
        Literal["codec", "video", "vocoder", "generator", "similarity", "lm", "all"],
        Option(help="A stage builds on those before it; all runs them in turn. tiny-foleygen has codec and lm."),
    ] = "all"
    data: Annotated[Path, Option(metavar="DIR", help="Cache of rendered long videos; missing ones are rendered.")] = (
        Path("cache/world")
    )
    num_videos: Annotated[int, Option(metavar="N", min=1, help="Long videos to train on.")] = 1000
    recordings: Annotated[
        Path | None,
        Option(metavar="DIR", help="Folder with actions/ and ambient/ recordings to voice part of the events."),
    ] = None
    workers: Annotated[int, Option(metavar="N", min=1, help="Processes that render missing videos.")] = 2
    output: Annotated[
        Path | None,
        Option("-o", "--output", metavar="DIR", help="Run folder: checkpoints, logs, weights; default: runs/PRESET."),
    ] = None
    num_steps: Annotated[int | None, Option(metavar="N", min=1, help="Training steps; default: the stage's.")] = None
    batch_size: Annotated[int | None, Option(metavar="N", min=1, help="Clips per step; default: the stage's.")] = None
    learning_rate: Annotated[float | None, Option(metavar="X", help="Peak learning rate; default: the stage's.")] = None
    seed: Annotated[int, Option(help="Draws weights, batches and noise.")] = 0
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    resume: Annotated[
        bool, Option("--resume/--no-resume", help="Go on from the last checkpoint where there is one.")
    ] = True
    ambient: Annotated[
        bool, Option("--ambient/--no-ambient", help="Condition the generator on a neighbouring clip's sound.")
    ] = True
    denoise: Annotated[bool, Option("--denoise", help="Train the generator on sound behind a spectral gate.")] = False
    checkpoint_every: Annotated[int, Option(metavar="N", min=1, help="Steps between checkpoints and validations.")] = (
        200
    )
    bf16: Annotated[
        bool, Option("--bf16", help="Compute in bfloat16: about twice as fast where the processor knows it.")
    ] = False
    base: Annotated[
        str,
        Option(help="Of tiny-foleygen: the model whose video encoder is used and whose vocoder the codec starts from."),
    ] = "tiny-avldm"
    mechanism: Annotated[
        Literal["all_frame", "causal", "frame_wise", "aligned"] | None,
        Option(help="Of tiny-foleygen: how the language model sees the video; default: the preset's way."),
    ] = None
    bundle: Annotated[
        Path | None, Option(metavar="DIR", help="At the end write a model folder that foley generate --model takes.")
    ] = None
    encoder: Annotated[
        str, Option(metavar="MODEL", help="sync only: the model whose video encoder the classifier looks through.")
    ] = "tiny-avldm"
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print errors and warnings only.")] = False


def run(args: Args) -> None:
    """Train a model on the simulated world; a killed run goes on where it was when started again.

    Under torchrun several processes train together; the first of them speaks.
    """
    if args.preset == "vocoder-128x16k":
        run_vocoder(args)
        return
    if args.preset == "tiny-foleygen":
        run_foleygen(args)
        return
    if args.stage == "lm" or args.mechanism is not None:
        raise UsageError("a language model is a stage of tiny-foleygen alone; leave out --stage lm and --mechanism")
    if args.preset == "sync":
        run_sync(args)
        return
    from foleykit.jobs.load import choose_device
    from foleykit.models.avldm.presets import debug, tiny_avldm
    from foleykit.recipes.avldm_world import DEFAULTS, STAGES, TrainArgs, bundle, train
    from foleykit.recipes.world_data import WorldDataArgs
    from foleykit.training.processes import join_processes
    from foleykit.world.config import WorldConfig

    device = choose_device(args.device)
    is_main = join_processes(device).is_main
    model = debug() if args.preset == "debug" else tiny_avldm()
    data = WorldDataArgs(
        cache=args.data,
        num_videos=args.num_videos,
        recordings=args.recordings,
        workers=args.workers,
        world=WorldConfig(frame_size=model.frame_size, video_fps=model.video_fps),
    )
    folders = []
    with progress(quiet=args.quiet or not is_main) as report:
        for stage in STAGES if args.stage == "all" else (args.stage,):
            recipe = TrainArgs(
                preset=args.preset,
                stage=stage,
                data=data,
                output=args.output or Path("runs") / args.preset,
                num_steps=args.num_steps,
                batch_size=args.batch_size,
                learning_rate=args.learning_rate,
                seed=args.seed,
                device=device,
                resume=args.resume,
                uses_ambient=args.ambient,
                is_denoised=args.denoise,
                checkpoint_every=args.checkpoint_every,
                bf16=args.bf16,
            )
            total = args.num_steps or DEFAULTS[stage].num_steps

            def on_step(step: int, loss: float, *, stage: str = stage, total: int = total) -> None:
                report(f"{stage}, loss {loss:.3f}", step / total)

            folders.append(train(recipe, on_step=on_step))
    if not is_main:
        return
    if args.bundle is not None:
        bundle(recipe, args.bundle)
        folders.append(args.bundle)
    if args.json:
        print_json({"folders": [str(folder) for folder in folders]})
    elif not args.quiet:
        for folder in folders:
            print(folder)


def run_vocoder(args: Args) -> None:
    """Train the vocoder of published-size models; its folder comes to lie in the run folder."""
    from foleykit.jobs.load import choose_device
    from foleykit.recipes.hifigan_vocoder import VocoderTrainArgs, train_vocoder, vocoder_128x16k
    from foleykit.recipes.world_data import WorldDataArgs
    from foleykit.training.processes import join_processes

    if args.stage != "all" or args.bundle is not None or not args.ambient or args.denoise or args.bf16:
        raise UsageError(
            "vocoder-128x16k is trained in one stage, in fp32, and writes its own folder: leave out --stage, "
            "--bundle, --no-ambient, --denoise and --bf16"
        )
    device = choose_device(args.device)
    is_main = join_processes(device).is_main
    recipe = VocoderTrainArgs(
        data=WorldDataArgs(
            cache=args.data, num_videos=args.num_videos, recordings=args.recordings, workers=args.workers
        ),
        output=args.output or Path("runs") / args.preset,
        num_steps=args.num_steps,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        seed=args.seed,
        device=device,
        resume=args.resume,
        checkpoint_every=args.checkpoint_every,
    )
    total = args.num_steps or vocoder_128x16k().num_steps
    with progress(quiet=args.quiet or not is_main) as report:
        folder = train_vocoder(recipe, on_step=lambda step, loss: report(f"mel loss {loss:.2f}", step / total))
    if is_main and args.json:
        print_json({"folders": [str(folder)]})
    elif is_main and not args.quiet:
        print(folder)


def run_foleygen(args: Args) -> None:
    """Train tiny-foleygen: its codec, then its language model."""
    from foleykit.jobs.load import choose_device
    from foleykit.jobs.models import model_folder
    from foleykit.models.foleygen.presets import tiny_foleygen
    from foleykit.recipes.foleygen_world import DEFAULTS, STAGES, FoleyGenTrainArgs, bundle, train
    from foleykit.recipes.world_data import WorldDataArgs
    from foleykit.training.processes import join_processes
    from foleykit.world.config import WorldConfig

    match args.stage:
        case "all":
            stages = STAGES
        case "codec" | "lm":
            stages = (args.stage,)
        case _:
            raise UsageError(f"tiny-foleygen has the stages {', '.join(STAGES)}, not {args.stage}")
    if not args.ambient:
        raise UsageError("tiny-foleygen has no ambient condition to leave out with --no-ambient")
    device = choose_device(args.device)
    is_main = join_processes(device).is_main
    model = tiny_foleygen()
    data = WorldDataArgs(
        cache=args.data,
        num_videos=args.num_videos,
        recordings=args.recordings,
        workers=args.workers,
        world=WorldConfig(frame_size=model.frame_size, video_fps=model.video_fps),
    )
    folders = []
    with progress(quiet=args.quiet or not is_main) as report:
        for stage in stages:
            recipe = FoleyGenTrainArgs(
                stage=stage,
                data=data,
                base=model_folder(args.base),
                output=args.output or Path("runs") / args.preset,
                mechanism=args.mechanism,
                num_steps=args.num_steps,
                batch_size=args.batch_size,
                learning_rate=args.learning_rate,
                seed=args.seed,
                device=device,
                resume=args.resume,
                checkpoint_every=args.checkpoint_every,
                bf16=args.bf16,
            )
            total = args.num_steps or DEFAULTS[stage].num_steps

            def on_step(step: int, loss: float, *, stage: str = stage, total: int = total) -> None:
                report(f"{stage}, loss {loss:.3f}", step / total)

            folders.append(train(recipe, on_step=on_step))
    if not is_main:
        return
    if args.bundle is not None:
        bundle(recipe, args.bundle)
        folders.append(args.bundle)
    if args.json:
        print_json({"folders": [str(folder) for folder in folders]})
    elif not args.quiet:
        for folder in folders:
            print(folder)


def run_sync(args: Args) -> None:
    """Train the classifier of evaluations that says whether sound is in time; it comes to lie in the run folder."""
    from foleykit.evaluation.sync_network import load_encoder
    from foleykit.jobs.load import choose_device
    from foleykit.jobs.models import model_folder
    from foleykit.recipes.sync_classifier import SyncTrainArgs, train_sync_classifier
    from foleykit.recipes.world_data import WorldDataArgs
    from foleykit.world.config import WorldConfig

    if args.stage != "all" or args.bundle is not None or not args.ambient or args.denoise or args.bf16:
        raise UsageError(
            "sync is trained in one stage, in fp32, and writes its own folder: leave out --stage, --bundle, "
            "--no-ambient, --denoise and --bf16"
        )
    encoder = load_encoder(model_folder(args.encoder))
    defaults = SyncTrainArgs(data=WorldDataArgs(cache=args.data), output=Path())
    recipe = SyncTrainArgs(
        data=WorldDataArgs(
            cache=args.data,
            num_videos=args.num_videos,
            recordings=args.recordings,
            workers=args.workers,
            world=WorldConfig(frame_size=(encoder.config.size, encoder.config.size), video_fps=encoder.config.fps),
        ),
        output=args.output or Path("runs") / args.preset,
        num_steps=args.num_steps or defaults.num_steps,
        batch_size=args.batch_size or defaults.batch_size,
        learning_rate=args.learning_rate or defaults.learning_rate,
        seed=args.seed,
        device=choose_device(args.device),
        resume=args.resume,
        checkpoint_every=args.checkpoint_every,
    )
    with progress(quiet=args.quiet) as report:
        folder = train_sync_classifier(
            recipe, encoder, on_step=lambda step, loss: report(f"sync, loss {loss:.3f}", step / recipe.num_steps)
        )
    if args.json:
        print_json({"folders": [str(folder)]})
    elif not args.quiet:
        print(folder)
