"""Read the tables that corpora come with: every row is used or listed, never patched."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from foleykit.core.errors import InputError, MediaError
from foleykit.data.manifest import Rejection

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class Table(Generic[Row]):
    """What could be read of a table."""

    rows: tuple[Row, ...]
    """In file order."""
    rejected: tuple[Rejection, ...]
    unknown_columns: tuple[str, ...]
    """Columns in the header that nobody asked for."""


def read_table(
    path: Path,
    columns: Sequence[str],
    parse: Callable[[dict[str, str]], Row],
    *,
    delimiter: str = ",",
    required: Iterable[str] | None = None,
    has_header: bool = True,
) -> Table[Row]:
    """Read `path`, calling `parse` with the cells of each row by column.

    `parse` raises ValueError with a sentence for a row that makes no sense. A row with more or fewer cells than the
    header is rejected. Raises MediaError when the file is missing or no text, and InputError when one of `required`
    (None: all) `columns` is not in the header.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such table")
    rows: list[Row] = []
    rejected: list[Rejection] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, delimiter=delimiter)
            header = next(reader, []) if has_header else list(columns)
            missing = [name for name in (columns if required is None else required) if name not in header]
            if missing:
                separator = "tabs" if delimiter == "\t" else "commas"
                raise InputError(
                    f"{path} has no column {', '.join(missing)}; expected {separator} between the columns "
                    f"{', '.join(columns)}"
                )
            for cells in reader:
                where = f"{path.name}:{reader.line_num}"
                if len(cells) != len(header):
                    detail = f"{len(cells)} cells where the header has {len(header)}"
                    rejected.append(Rejection(name=where, reason="unknown-column", detail=detail))
                    continue
                try:
                    rows.append(parse(dict(zip(header, cells, strict=True))))
                except ValueError as error:
                    rejected.append(Rejection(name=where, reason="bad-value", detail=str(error)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"{path} is not a table: {error}") from error
    unknown = tuple(name for name in header if name not in columns)
    return Table(rows=tuple(rows), rejected=tuple(rejected), unknown_columns=unknown)


def number(cells: dict[str, str], column: str) -> float:
    """Return a cell as a finite number; raises ValueError naming the column."""
    try:
        value = float(cells[column])
    except ValueError:
        raise ValueError(f'{column} is "{cells[column]}", not a number') from None
    if not math.isfinite(value):
        raise ValueError(f"{column} is {cells[column]}, not a finite number")
    return value


def clock(cells: dict[str, str], column: str) -> float:
    """Return a cell such as 01:02:03.45 in seconds; raises ValueError naming the column."""
    try:
        hours, minutes, seconds = cells[column].split(":")
        value = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        raise ValueError(f'{column} is "{cells[column]}", not hours:minutes:seconds') from None
    if value < 0 or not math.isfinite(value):
        raise ValueError(f'{column} is "{cells[column]}", before the start')
    return value
