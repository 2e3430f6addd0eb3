"""`foley detect`: whether foleykit made the sound of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from foleykit.cli.show import print_json, progress


@dataclass(frozen=True, kw_only=True)
class Args:
    file: Annotated[Path, Argument(help="Sound or video file, in any container.")]
    watermark_key: Annotated[
        Path | None,
        Option(
            metavar="FILE", envvar="FOLEYKIT_WATERMARK_KEY", help="Look for the mark of this key, not the public one."
        ),
    ] = None
    audioseal: Annotated[
        Path | None,
        Option(
            metavar="DIR", help="Look for AudioSeal's mark, with networks that foley models convert audioseal wrote."
        ),
    ] = None
    speed_range: Annotated[
        float | None,
        Option(metavar="X", help="Look for changes of speed up to this share (0 to 0.2); default: 0.02."),
    ] = None
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Show no progress.")] = False


def run(args: Args) -> None:
    """Say whether foleykit made the sound of a file, by its watermark, its content credentials and its tags."""
    from foleykit.jobs.detect import DetectRequest, detect_file
    from foleykit.jobs.mark import watermarker_of

    watermarker = watermarker_of(args.watermark_key, args.audioseal, speed_range=args.speed_range)
    request = DetectRequest(file=args.file, watermarker=watermarker)
    with progress(quiet=args.quiet) as report:
        result = detect_file(request, report=report)
    if args.json:
        print_json(result.to_dict())
    else:
        print(result.summary())
