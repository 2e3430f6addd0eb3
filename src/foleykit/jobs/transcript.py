"""Transcripts: files that say what is spoken when, as JSON, CSV, SubRip or WebVTT."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from foleykit.core.errors import UsageError
from foleykit.core.ranges import Line
from foleykit.jobs.timed_rows import csv_rows, json_rows, read_text, timed

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?")
_MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")
_HEADINGS = ("WEBVTT", "NOTE", "STYLE", "REGION")
"""How blocks of a WebVTT file begin that say nothing."""


def read_transcript(path: Path, language: str = "en") -> tuple[Line, ...]:
    """Return the lines of a transcript, in the order of the file.

    JSON (a list of objects) and CSV (with a heading) name `start` and `end` in seconds, `text`, and `language` where it
    is not `language`; .srt and .vtt hold subtitles, whose styles and markup are left out. Raises UsageError for a file
    that is missing or is no such list, and for a line without times or text; the message says which.
    """
    match path.suffix.lower():
        case ".json":
            rows = json_rows(path, "line")
        case ".csv":
            rows = csv_rows(path, "line")
        case ".srt" | ".vtt":
            rows = _subtitle_rows(path)
        case _:
            raise UsageError(f"{path}: a transcript gives every line its times, and ends in .json, .csv, .srt or .vtt")
    return timed(Line, [_with_language(row, language) for row in rows], path, "line")


def _with_language(row: Any, language: str) -> Any:
    """Return a row that names its language; an empty cell of a CSV file does not."""
    if not isinstance(row, dict) or row.get("language"):
        return row
    return {**row, "language": language}


def _subtitle_rows(path: Path) -> list[Any]:
    """Return times in seconds and text of each block of subtitles that has times."""
    rows: list[Any] = []
    for block in re.split(r"\n\s*\n", read_text(path).strip()):
        lines = block.strip().splitlines()
        if not lines or lines[0].startswith(_HEADINGS):
            continue
        # A number or name may come before the times.
        at = next((index for index, line in enumerate(lines[:2]) if "-->" in line), None)
        found = None if at is None else _TIMES.fullmatch(lines[at])
        if at is None or found is None:
            raise UsageError(f'{path}: no times such as 00:00:03,200 --> 00:00:04,100 where it says "{lines[0]}"')
        words = html.unescape(_MARKUP.sub("", " ".join(lines[at + 1 :])))
        start, end = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
        rows.append({"start": start, "end": end, "text": " ".join(words.split())})
    return rows


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts)
    return 3600 * hours + 60 * minutes + seconds + thousandths / 1000
