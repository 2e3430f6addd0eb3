"""Cue lists: files that give stretches of a video prompts of their own."""

from __future__ import annotations

from pathlib import Path

from foleykit.core.errors import UsageError
from foleykit.core.ranges import Cue
from foleykit.jobs.timed_rows import csv_rows, json_rows, timed


def read_cues(path: Path) -> tuple[Cue, ...]:
    """Return the cues of a JSON list of objects or of a CSV file with a heading, in the order of the file.

    Both name `start` and `end` in seconds, `prompt`, and `negative_prompt` where there is one. Raises UsageError for a
    file that is missing or is no such list, and for a cue without text or of no length; the message says which.
    """
    match path.suffix.lower():
        case ".json":
            rows = json_rows(path, "cue")
        case ".csv":
            rows = csv_rows(path, "cue")
        case _:
            raise UsageError(f"{path}: a cue list ends in .json or .csv")
    cues = timed(Cue, rows, path, "cue")
    for number, cue in enumerate(cues, start=1):
        if not cue.has_text:
            raise UsageError(f"{path}: cue {number} has neither a prompt nor a negative_prompt")
    return cues
