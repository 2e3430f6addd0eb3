"""`foley world`: look at the simulated world, or render it to disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress

Option = typer.Option


@dataclass(frozen=True, kw_only=True)
class PreviewArgs:
    folder: Annotated[Path, typer.Argument(help="Where the files go; it is created.")] = Path("world-preview")
    seed: Annotated[int, Option(min=0, help="Draws the world.")] = 0
    index: Annotated[int, Option(min=0, help="Which long video of the split.")] = 0
    split: Annotated[Literal["train", "valid", "test"], Option(help="Whose places.")] = "train"
    seconds: Annotated[float, Option(metavar="S", help="Length of the video.")] = 12.0
    size: Annotated[int, Option(metavar="PIXELS", help="Width and height of the pictures.")] = 224
    sample_rate: Annotated[int, Option(metavar="HZ", min=8000, max=192_000, help="Of the sound.")] = 48_000
    recordings: Annotated[
        Path | None,
        Option(metavar="DIR", help="Folder with actions/ and ambient/ recordings to voice part of the events."),
    ] = None
    overwrite: Annotated[bool, Option("--overwrite", help="Replace existing outputs.")] = False
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print errors and warnings only.")] = False


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    folder: Annotated[Path, typer.Argument(help="The cache; finished videos in it are kept.")] = Path("cache/world")
    split: Annotated[Literal["train", "valid", "test"], Option(help="Whose places.")] = "train"
    num_videos: Annotated[int, Option(metavar="N", min=1, help="Long videos that the split should have.")] = 1000
    seed: Annotated[int, Option(min=0, help="Draws the world.")] = 0
    seconds: Annotated[float, Option(metavar="S", help="Length of each video.")] = 12.0
    size: Annotated[int, Option(metavar="PIXELS", help="Width and height of the pictures.")] = 96
    sample_rate: Annotated[int, Option(metavar="HZ", min=8000, max=192_000, help="Of the sound.")] = 16_000
    num_ambients: Annotated[int, Option(metavar="N", min=1, help="Backgrounds rendered for each video.")] = 3
    num_revoicings: Annotated[
        int,
        Option(metavar="N", min=0, help="Times that the action is voiced again with other materials than are seen."),
    ] = 0
    recordings: Annotated[
        Path | None,
        Option(metavar="DIR", help="Folder with actions/ and ambient/ recordings to voice part of the events."),
    ] = None
    workers: Annotated[int, Option(metavar="N", min=1, help="Processes; the result does not depend on it.")] = 2
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print errors and warnings only.")] = False


def run_preview(args: PreviewArgs) -> None:
    """Write one simulated long video, its stems and a labelled spectrogram sheet."""
    from foleykit.world.config import WorldConfig
    from foleykit.world.preview import preview
    from foleykit.world.recordings import Recordings

    config = WorldConfig(seconds=args.seconds, frame_size=(args.size, args.size))
    with progress(quiet=args.quiet) as report:
        result = preview(
            config,
            args.folder,
            seed=args.seed,
            index=args.index,
            split=args.split,
            sample_rate=args.sample_rate,
            recordings=None if args.recordings is None else Recordings.load(args.recordings),
            overwrite=args.overwrite,
            report=report,
        )
    if args.json:
        print_json({"files": [str(path) for path in result.files]})
    elif not args.quiet:
        print(*result.files, sep="\n")


def run_cache(args: CacheArgs) -> None:
    """Render long videos to disk for training; a killed run goes on where it was when started again."""
    from foleykit.world.cache import build_cache
    from foleykit.world.config import WorldConfig

    config = WorldConfig(seconds=args.seconds, frame_size=(args.size, args.size))
    with progress(quiet=args.quiet) as report:
        build_cache(
            args.folder,
            config,
            seed=args.seed,
            split=args.split,
            num_videos=args.num_videos,
            sample_rate=args.sample_rate,
            num_ambients=args.num_ambients,
            num_revoicings=args.num_revoicings,
            workers=args.workers,
            recordings=args.recordings,
            report=report,
        )
    folder = args.folder / args.split
    if args.json:
        print_json({"folder": str(folder), "num_videos": args.num_videos})
    elif not args.quiet:
        print(f"{folder}: {args.num_videos} long videos")
