"""Cue lists: files that give stretches of a video prompts of their own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from foleykit.core.config import from_dict
from foleykit.core.errors import ConfigError, UsageError
from foleykit.core.ranges import Cue

COLUMNS = ("start", "end", "prompt", "negative_prompt")


def read_cues(path: Path) -> tuple[Cue, ...]:
    """Return the cues of a JSON list of objects or of a CSV file with a heading, in the order of the file.

    Both name `start` and `end` in seconds, `prompt`, and `negative_prompt` where there is one. Raises UsageError for a
    file that is missing or is no such list, and for a cue without text or of no length; the message says which.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; a cue list is a JSON or CSV file with {', '.join(COLUMNS)}")
    match path.suffix.lower():
        case ".json":
            rows = _json_rows(path)
        case ".csv":
            rows = _csv_rows(path)
        case _:
            raise UsageError(f"{path}: a cue list ends in .json or .csv")
    if not rows:
        raise UsageError(f"{path} holds no cue")
    return tuple(_cue(row, f"{path}: cue {number}") for number, row in enumerate(rows, start=1))


def _cue(row: Any, where: str) -> Cue:
    if not isinstance(row, dict):
        raise UsageError(f"{where} must be an object with {', '.join(COLUMNS)}, not {row!r}")
    try:
        cue = from_dict(Cue, row, where=where)
    except ConfigError:
        raise
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    if not cue.has_text:
        raise UsageError(f"{where} has neither a prompt nor a negative_prompt")
    return cue


def _json_rows(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise UsageError(f"{path} must be a list of cues, not {type(rows).__name__}")
    return rows


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise UsageError(f"{path} is not a text in UTF-8: {error}") from error
    rows = []
    for number, row in enumerate(csv.DictReader(text.splitlines()), start=1):
        if None in row or None in row.values():
            raise UsageError(f"{path}: cue {number} has not as many values as there are columns")
        rows.append({key: _number(value) if key in ("start", "end") else value for key, value in row.items()})
    return rows


def _number(text: str) -> float | str:
    """Return the number that `text` is, or `text` itself, which is then refused where it stands."""
    try:
        return float(text)
    except ValueError:
        return text
