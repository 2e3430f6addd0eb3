"""`foley doctor`: what is installed, what is broken and what can be used, in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from foleykit.cli.show import print_json

if TYPE_CHECKING:
    from foleykit.jobs.doctor import Diagnosis

MARKS = {"ok": "ok     ", "absent": "-      ", "broken": "BROKEN "}


@dataclass(frozen=True, kw_only=True)
class Args:
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


def run(args: Args) -> None:
    """Say what is installed, what is broken and what can be used. Exits with 1 when generation cannot run here."""
    from foleykit.jobs.doctor import examine

    diagnosis = examine()
    if args.json:
        print_json({**asdict(diagnosis), "can_generate": diagnosis.can_generate, "problems": diagnosis.problems})
    else:
        _print(diagnosis)
    if not diagnosis.can_generate:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis) -> None:
    print(diagnosis.system)
    groups = {
        "packages": diagnosis.packages,
        "devices": diagnosis.devices,
        "off-screen rendering": diagnosis.rendering,
        "media": diagnosis.media,
        "models": diagnosis.models,
    }
    for title, findings in groups.items():
        print(f"\n{title}")
        for finding in findings:
            print(f"  {MARKS[finding.state]} {finding.name:<16} {finding.detail}")
    print()
    print("foley generate can run here." if diagnosis.can_generate else "foley generate cannot run here:")
    for problem in diagnosis.problems:
        print(f"  {problem}")
