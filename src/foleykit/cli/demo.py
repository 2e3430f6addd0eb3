"""`foley demo`: the example video gets its sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from foleykit.cli import generate as generate_command
from foleykit.cli.show import progress


@dataclass(frozen=True, kw_only=True)
class Args:
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path("demo")
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


def run(args: Args) -> None:
    """Generate sound for the example video that comes with foleykit and print the files."""
    from foleykit.jobs.demo import demo

    with progress(quiet=False) as report:
        result = demo(args.folder, overwrite=args.overwrite, report=report)
    generate_command.show(result, as_json=args.json, verbose=False, quiet=False, shows_seed=False)
