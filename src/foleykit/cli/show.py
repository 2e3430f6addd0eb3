"""What the commands share when they talk: JSON objects, plain lines, and progress on a terminal or in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from foleykit.core.progress import Report, no_report


def print_json(value: dict[str, Any]) -> None:
    """Write one object to standard output, on one line."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_error(message: str, *, exit_code: int, as_json: bool) -> None:
    """Write `error: message` to standard error as one line; with `as_json` an object to standard output as well."""
    line = " ".join(message.split())
    if as_json:
        print_json({"error": line, "exit_code": exit_code})
    print(f"error: {line}", file=sys.stderr, flush=True)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Report]:
    """Yield a `Report` that draws bars on a terminal and writes plain lines in a pipe; `quiet` shows nothing.

    What follows a comma in a stage's name is shown with it and may change.
    """
    if quiet:
        yield no_report
    elif sys.stderr.isatty():
        with _terminal_progress() as report:
            yield report
    else:
        yield _plain_progress()


@contextmanager
def _terminal_progress() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, fraction: float) -> None:
            name = stage.split(",")[0]
            if name not in tasks:
                tasks[name] = bars.add_task(stage, total=1.0)
            bars.update(tasks[name], completed=fraction, description=stage)

        yield report


def _plain_progress() -> Report:
    """Return a `Report` that writes a line when a stage begins, and at every tenth of one that has details to tell."""
    tenths: dict[str, int] = {}

    def report(stage: str, fraction: float) -> None:
        name, _, detail = stage.partition(",")
        tenth = int(10 * fraction) if detail else 0
        if tenth > tenths.get(name, -1):
            tenths[name] = tenth
            print(f"{stage} ({10 * tenth} %)" if detail else stage, file=sys.stderr, flush=True)

    return report
