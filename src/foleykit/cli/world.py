"""`foley world`: look at the simulated world, or render it to disk for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress

Option = typer.Option


@dataclass(frozen=True, kw_only=True)
class BuildArgs:
    folder: Annotated[Path, typer.Argument(help="The cache; videos that it holds already are kept.")]
    num_videos: Annotated[int, Option(metavar="N", min=1, help="Long videos.")] = 1000
    split: Annotated[Literal["train", "valid", "test"], Option(help="Places of one split are in no other.")] = "train"
    seed: Annotated[int, Option(help="Draws the world.")] = 0
    seconds: Annotated[float, Option(metavar="S", help="Length of a long video.")] = 20.0
    size: Annotated[int, Option(metavar="N", help="Height and width of the pictures.")] = 96
    recordings: Annotated[
        Path | None,
        Option(metavar="DIR", help="Folder with actions/ and ambient/ recordings to voice part of the events."),
    ] = None
    workers: Annotated[int, Option(metavar="N", min=1, help="Processes.")] = 2
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


def run_build(args: BuildArgs) -> None:
    """Render long videos with their stems and events into a cache that trainings share."""
    from foleykit.world.cache import build_cache
    from foleykit.world.config import WorldConfig

    config = WorldConfig(seconds=args.seconds, frame_size=(args.size, args.size))
    with progress(quiet=args.json) as report:
        build_cache(
            args.folder,
            config,
            seed=args.seed,
            split=args.split,
            num_videos=args.num_videos,
            workers=args.workers,
            recordings=args.recordings,
            report=report,
        )
    if args.json:
        print_json({"folder": str(args.folder), "split": args.split, "num_videos": args.num_videos})
    else:
        print(args.folder / args.split)
