"""`foley evaluate`: score generated sound against what is known to be true."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foleykit.cli.show import print_json, progress
from foleykit.core.errors import UsageError

if TYPE_CHECKING:
    from foleykit.evaluation.report import Report

Option = typer.Option


@dataclass(frozen=True, kw_only=True)
class WorldArgs:
    reference: Annotated[Path, typer.Argument(help="Reference set cut from the world: manifest.jsonl and true stems.")]
    conditions: Annotated[
        list[str], typer.Argument(metavar="NAME=FOLDER...", help="Folders of generated sound, named.")
    ]
    classifier: Annotated[
        Path | None, Option(metavar="DIR", help="Trained material classifier; without it its figures are left out.")
    ] = None
    output: Annotated[Path | None, Option("-o", "--output", metavar="DIR", help="Also write the report there.")] = None
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class RealArgs:
    videos: Annotated[Path, typer.Argument(help="Folder of videos with their recorded sound.")]
    generated: Annotated[Path, typer.Argument(help="Folder of generated sound or videos of the same names.")]
    output: Annotated[Path | None, Option("-o", "--output", metavar="DIR", help="Also write the report there.")] = None
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


def run_world(args: WorldArgs) -> None:
    """Score generated sound on clips of the world, beside ground truth and chance, with 95 % intervals."""
    from foleykit.evaluation.material_classifier import MaterialClassifier
    from foleykit.evaluation.world import evaluate_world

    folders = dict(split_condition(condition) for condition in args.conditions)
    classifier = None if args.classifier is None else MaterialClassifier.load(args.classifier)
    with progress(quiet=args.json) as report:
        result = evaluate_world(args.reference, folders, classifier=classifier, progress=report)
    show(result, args.output, as_json=args.json)


def run_real(args: RealArgs) -> None:
    """Score when generated sounds begin against videos' own recordings, beside chance, with 95 % intervals."""
    from foleykit.evaluation.real import evaluate_real

    with progress(quiet=args.json) as report:
        result = evaluate_real(args.videos, args.generated, progress=report)
    show(result, args.output, as_json=args.json)


def split_condition(text: str) -> tuple[str, Path]:
    """Return name and folder of `NAME=FOLDER`; raises UsageError."""
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise UsageError(f'"{text}" is not a condition; write NAME=FOLDER, such as quiet=runs/quiet')
    if not Path(folder).is_dir():
        raise UsageError(f"{folder}: no such folder")
    return name, Path(folder)


def show(result: Report, output: Path | None, *, as_json: bool) -> None:
    """Print the report and, where asked, write it to a folder."""
    if output is not None:
        result.save(output)
    if as_json:
        print_json(result.to_json())
    else:
        result.print()
