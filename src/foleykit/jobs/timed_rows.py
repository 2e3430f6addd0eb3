"""Files that say something of moments or stretches of a video, row by row, as JSON or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from foleykit.core.config import from_dict
from foleykit.core.errors import ConfigError, UsageError

Timed = TypeVar("Timed")


def read_text(path: Path) -> str:
    """Return the text of a file; raises UsageError when it is missing or not UTF-8."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise UsageError(f"{path} is not a text in UTF-8: {error}") from error


def json_rows(path: Path, what: str) -> list[Any]:
    """Return the objects of a JSON list of what a user calls `what`; raises UsageError for anything else."""
    try:
        rows = json.loads(read_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise UsageError(f"{path} must be a list of {what}s, not {type(rows).__name__}")
    return rows


def csv_rows(path: Path, what: str, numbers: Collection[str] = ("start", "end")) -> list[Any]:
    """Return the rows of a CSV file with a heading, its `numbers` as such; raises UsageError for uneven rows."""
    rows = []
    for number, row in enumerate(csv.DictReader(read_text(path).splitlines()), start=1):
        if None in row or None in row.values():
            raise UsageError(f"{path}: {what} {number} has not as many values as there are columns")
        rows.append({key: _number(value) if key in numbers else value for key, value in row.items()})
    return rows


def timed(kind: type[Timed], rows: list[Any], path: Path, what: str) -> tuple[Timed, ...]:
    """Return `rows` of `path` as instances of `kind`; raises UsageError that says which row is wrong, and how."""
    if not rows:
        raise UsageError(f"{path} holds no {what}")
    return tuple(_one(kind, row, what, f"{path}: {what} {number}") for number, row in enumerate(rows, start=1))


def _one(kind: type[Timed], row: Any, what: str, where: str) -> Timed:
    required = [field.name for field in fields(kind) if field.default is MISSING]  # type: ignore[arg-type]
    if not isinstance(row, dict):
        raise UsageError(f"{where} must be an object with {', '.join(required)}, not {row!r}")
    if missing := [name for name in required if name not in row]:
        raise UsageError(f"{where} has no {' and no '.join(missing)}; every {what} needs {', '.join(required)}")
    try:
        return from_dict(kind, row, where=where)
    except ConfigError:
        raise
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _number(text: str) -> float | str:
    """Return the number that `text` is, or `text` itself, which is then refused where it stands."""
    try:
        return float(text)
    except ValueError:
        return text
