"""`foley reproduce`: published tables, with our models."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from foleykit.cli.show import print_json, progress
from foleykit.core.errors import ModelError

Option = typer.Option


@dataclass(frozen=True, kw_only=True)
class TableArgs:
    """What every table of the world's unseen places is told."""

    num_videos: Annotated[
        int, Option(metavar="N", min=1, help="Long videos of the training split; a sixteenth as many are unseen.")
    ] = 1000
    recordings: Annotated[
        Path | None, Option(metavar="DIR", help="Recordings that the cache was built with, if any.")
    ] = None
    seed: Annotated[int, Option(min=0, help="Draws the world.")] = 0
    num_clips: Annotated[int, Option(metavar="N", min=4, help="Clips of three seconds.")] = 96
    dial_clips: Annotated[int, Option(metavar="N", min=2, help="Clips that the ambience dial is read on.")] = 16
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class Action2SoundArgs(TableArgs):
    model: Annotated[str, typer.Argument(help="A shipped model or a model folder of the tiny-avldm kind.")] = (
        "tiny-avldm"
    )
    data: Annotated[Path, Option(metavar="DIR", help="Cache of the world; missing long videos are rendered.")] = Path(
        "cache/world"
    )
    pool_videos: Annotated[
        int, Option(metavar="N", min=1, help="Long videos of the training split that conditions are retrieved from.")
    ] = 200
    real: Annotated[Path | None, Option(metavar="DIR", help="Real videos with their recorded sound, scored apart.")] = (
        None
    )
    clips_per_video: Annotated[int, Option(metavar="N", min=1, help="Clips of each real video.")] = 4
    classifier: Annotated[
        Path | None, Option(metavar="DIR", help="Trained material classifier; without it distances are left out.")
    ] = None
    without_neighbour: Annotated[
        Path | None,
        Option(
            metavar="FILE", help="Weights of the generator trained with --no-ambient; without them its row is left out."
        ),
    ] = None
    behind_denoiser: Annotated[
        Path | None, Option(metavar="FILE", help="Weights of the generator trained with --no-ambient --denoise.")
    ] = None
    output: Annotated[
        Path, Option("-o", "--output", metavar="DIR", help="Receives all sounds, table.json and table.md.")
    ] = Path("runs/action2sound-table")


@dataclass(frozen=True, kw_only=True)
class TextVideoTableArgs(TableArgs):
    classifier: Annotated[Path, Option(metavar="DIR", help="Trained material classifier, whose votes are counted.")]
    model: Annotated[str, typer.Argument(help="A shipped model or a model folder of the tiny-textvideo kind.")] = (
        "tiny-textvideo"
    )
    baseline: Annotated[str, Option(metavar="MODEL", help="The model without text that stands beside it.")] = (
        "tiny-avldm"
    )
    data: Annotated[
        Path, Option(metavar="DIR", help="Cache of the world with 48 kHz sound; missing long videos are rendered.")
    ] = Path("cache/world-48k")
    num_revoicings: Annotated[
        int, Option(metavar="N", min=0, help="Times that the cache's videos are voiced in other materials.")
    ] = 0
    num_takes: Annotated[int, Option(metavar="N", min=2, help="Takes that are compared with each other.")] = 4
    guidance_scale: Annotated[float | None, Option(metavar="X", help="Default: the model's.")] = None
    output: Annotated[
        Path, Option("-o", "--output", metavar="DIR", help="Receives all sounds, table.json and table.md.")
    ] = Path("runs/textvideo-table")


@dataclass(frozen=True, kw_only=True)
class RealFootageArgs:
    videos: Annotated[
        Path, typer.Argument(help="Folder of videos; a metadata.csv with file and sound says which were recorded.")
    ]
    model: Annotated[str, Option(help="A shipped model or a model folder.")] = "tiny-avldm"
    ambient: Annotated[str, Option(metavar="auto|quiet|original|FILE", help="What the background sounds like.")] = (
        "quiet"
    )
    guidance_scale: Annotated[float | None, Option(metavar="X", help="Default: the model's.")] = None
    sensitivity: Annotated[
        float, Option(metavar="X", help="How readily faint signs are heard: -1 only the clearest, 1 the faintest too.")
    ] = 0.0
    seed: Annotated[int, Option(min=0, help="Of every video.")] = 0
    flow: Annotated[bool, Option("--flow/--no-flow", help="Add what optical flow alone would give.")] = True
    output: Annotated[
        Path, Option("-o", "--output", metavar="DIR", help="Receives the sounds, report.json and report.md.")
    ] = Path("runs/real-footage")
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


def run_textvideo(args: TextVideoTableArgs) -> None:
    """Timing, obedience to prompts, ambience and takes of a textvideo model on unseen places."""
    from foleykit.jobs.load import load
    from foleykit.models.avldm.pipeline import AvLdmPipeline
    from foleykit.models.textvideo.pipeline import TextVideoPipeline
    from foleykit.recipes import textvideo_table as recipe
    from foleykit.recipes.world_data import WorldDataArgs
    from foleykit.world.config import WorldConfig

    model, baseline = (load(name, device=args.device).model for name in (args.model, args.baseline))
    if not isinstance(model, TextVideoPipeline) or not model.config.network.has_ambient:
        raise ModelError(f"{args.model}: this table is for models of the tiny-textvideo kind")
    if not isinstance(baseline, AvLdmPipeline):
        raise ModelError(f"{args.baseline}: the model beside it is one of the tiny-avldm kind")
    size = baseline.config.frame_size
    table_args = recipe.TextVideoTableArgs(
        data=WorldDataArgs(
            cache=args.data,
            num_videos=args.num_videos,
            seed=args.seed,
            recordings=args.recordings,
            world=WorldConfig(frame_size=size, video_fps=model.config.video_fps),
            sample_rate=model.config.sample_rate,
            num_revoicings=args.num_revoicings,
        ),
        output=args.output,
        classifier=args.classifier,
        num_clips=args.num_clips,
        num_dial_clips=args.dial_clips,
        num_takes=args.num_takes,
        guidance_scale=args.guidance_scale,
        command=shlex.join(["foley", *sys.argv[1:]]),
    )
    with progress(quiet=args.json) as report:
        table = recipe.textvideo_table(table_args, model, baseline, report)
    table.save(args.output)
    if args.json:
        print_json(table.to_json())
    else:
        print(table.to_markdown())
        print(args.output / "table.json")


def run_real_footage(args: RealFootageArgs) -> None:
    """Agreement with the recorded sound on real videos, one by one and in all, one setting for all of them."""
    from foleykit.evaluation.report import print_lines
    from foleykit.jobs.real_footage import RealFootageRequest, real_footage, video_lines
    from foleykit.jobs.soundtrack import Settings

    request = RealFootageRequest(
        videos=args.videos,
        output=args.output,
        model=args.model,
        settings=Settings(
            ambient=args.ambient, guidance_scale=args.guidance_scale, sensitivity=args.sensitivity, seed=args.seed
        ),
        device=args.device,
        with_flow=args.flow,
    )
    with progress(quiet=args.json) as report:
        result = real_footage(request, report)
    result.save(args.output)
    if args.json:
        print_json(result.to_json())
        return
    columns, lines = video_lines(result)
    print_lines("F1 within 100 ms, by video", columns, lines, ())
    result.print()
    print(args.output / "report.json")


def run_action2sound(args: Action2SoundArgs) -> None:
    """Action2Sound's ablations: every row's sounds are made once, so that a killed run goes on where it was."""
    from foleykit.jobs.load import load
    from foleykit.models.avldm.pipeline import AvLdmPipeline
    from foleykit.recipes.action2sound_table import TableArgs, action2sound_table
    from foleykit.recipes.world_data import WorldDataArgs
    from foleykit.world.config import WorldConfig

    model = load(args.model, device=args.device).model
    if not isinstance(model, AvLdmPipeline):
        raise ModelError(f"{args.model}: this table is for models of the tiny-avldm kind")
    recipe = TableArgs(
        data=WorldDataArgs(
            cache=args.data,
            num_videos=args.num_videos,
            seed=args.seed,
            recordings=args.recordings,
            world=WorldConfig(frame_size=model.config.frame_size, video_fps=model.config.video_fps),
        ),
        output=args.output,
        num_clips=args.num_clips,
        pool_videos=args.pool_videos,
        videos=args.real,
        clips_per_video=args.clips_per_video,
        classifier=args.classifier,
        without_neighbour=args.without_neighbour,
        behind_denoiser=args.behind_denoiser,
        num_dial_clips=args.dial_clips,
        command=shlex.join(["foley", *sys.argv[1:]]),
    )
    with progress(quiet=args.json) as report:
        table = action2sound_table(recipe, model, report)
    table.save(args.output)
    if args.json:
        print_json(table.to_json())
    else:
        print(table.to_markdown())
        print(args.output / "table.json")
