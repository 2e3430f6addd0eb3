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
    """Yield a `Report` that draws a bar on a terminal and writes one line per stage in a pipe; `quiet` shows nothing."""
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

    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, fraction: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=fraction)

        yield report


def _plain_progress() -> Report:
    seen: set[str] = set()

    def report(stage: str, fraction: float) -> None:
        if stage not in seen:
            seen.add(stage)
            print(stage, file=sys.stderr, flush=True)

    return report
