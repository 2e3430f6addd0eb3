"""Event lists: files that say what happens in a video and when, as a model saw it or as a person wants it heard."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from foleykit.core.errors import UsageError
from foleykit.jobs.timed_rows import csv_rows, json_rows, timed
from foleykit.models.events import SeenEvent

COLUMNS = tuple(field.name for field in fields(SeenEvent))
_NUMBERS = ("time", "duration", "level_db", "confidence")


def read_events(path: Path) -> tuple[SeenEvent, ...]:
    """Return the events of a JSON list of objects or of a CSV file with a heading, sorted by time.

    Both name `time` in seconds and `material`, and `action`, `kind`, `duration` in seconds and `level_db` in dBFS where
    they are not those of a hit of usual loudness. A list without events is one: nothing is heard to happen. Raises
    UsageError for a file that is missing or is no such list; the message says which event is wrong.
    """
    match path.suffix.lower():
        case ".json":
            rows = json_rows(path, "event")
        case ".csv":
            rows = csv_rows(path, "event", _NUMBERS)
        case _:
            raise UsageError(f"{path}: an event list ends in .json or .csv")
    if not rows:
        return ()
    return tuple(sorted(timed(SeenEvent, rows, path, "event"), key=lambda event: event.time))


def as_csv(events: Sequence[SeenEvent]) -> str:
    """Return `events` as `read_events` reads them, times to the millisecond."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rounded(event) for event in events)
    return text.getvalue()


def as_json(events: Sequence[SeenEvent]) -> str:
    """Return `events` as a JSON list, times to the millisecond."""
    return json.dumps([rounded(event) for event in events], indent=2) + "\n"


def rounded(event: SeenEvent) -> dict[str, float | str]:
    """Return the values of `event`, times to the millisecond, its level to .1 dB, its confidence to a hundredth."""
    values = asdict(event)
    return values | {
        "time": round(event.time, 3),
        "duration": round(event.duration, 3),
        "level_db": round(event.level_db, 1),
        "confidence": round(event.confidence, 2),
    }
