"""`foley events`: what a model sees happen in a video, as a list that can be edited and heard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from foleykit.cli.show import print_json, progress


@dataclass(frozen=True, kw_only=True)
class Args:
    video: Annotated[Path, Argument(help="The video.")]
    output: Annotated[
        Path | None, Option("-o", "--output", metavar="FILE", help="Write the list to a .csv or .json file.")
    ] = None
    model: Annotated[str, Option(help="A shipped model (foley models list) or a model folder.")] = "tiny-avldm"
    sensitivity: Annotated[
        float, Option(metavar="X", min=-1, max=1, help="-1 lists only the clearest signs, 1 the faintest too.")
    ] = 0.0
    start: Annotated[float | None, Option(metavar="S", help="Only from here (seconds).")] = None
    end: Annotated[float | None, Option(metavar="S", help="Only up to here (seconds).")] = None
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    overwrite: Annotated[bool, Option("--overwrite", help="Replace an existing output.")] = False
    min_confidence: Annotated[
        float, Option(metavar="P", min=0, max=1, help="List only what is there with at least this chance.")
    ] = 0.0
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Show no progress.")] = False


def run(args: Args) -> None:
    """List what is seen to happen in a video; `foley generate --events FILE` makes the sound of a list."""
    from foleykit.core.errors import UsageError
    from foleykit.jobs.events import as_csv, as_json, rounded
    from foleykit.jobs.load import load
    from foleykit.jobs.outputs import all_or_none, check_outputs

    if args.output is not None:
        if args.output.suffix.lower() not in (".csv", ".json"):
            raise UsageError(f"{args.output}: an event list ends in .json or .csv")
        check_outputs([args.output], inputs=[args.video], overwrite=args.overwrite)
    with progress(quiet=args.quiet) as report:
        pipeline = load(args.model, device=args.device)
        found = pipeline.read_events(
            args.video, sensitivity=args.sensitivity, start=args.start, end=args.end, report=report
        )
    events = [event for event in found if event.confidence >= args.min_confidence]
    if args.output is not None:
        text = as_csv(events) if args.output.suffix.lower() == ".csv" else as_json(events)
        with all_or_none() as files:
            files.add(args.output).write_text(text, encoding="utf-8")
    if args.json:
        print_json({"events": [rounded(event) for event in events]})
    elif args.output is not None:
        print(args.output)
    else:
        print(as_csv(events), end="")
