"""A table of figures with intervals: one row per condition, as JSON, Markdown or on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foleykit.evaluation.metrics import Metric
from foleykit.evaluation.metrics.intervals import Estimate


@dataclass(frozen=True, kw_only=True)
class Row:
    """The figures of one condition."""

    name: str
    estimates: Mapping[str, Estimate]
    """By metric key; a metric that cannot be formed is absent."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that an evaluation says, with the protocol that it followed."""

    title: str
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    protocol: Mapping[str, Any]
    """JSON-ready settings, sizes and the hash of the reference data."""

    def row(self, name: str) -> Row:
        """Return one condition. Raises KeyError when there is none of that name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values; figures are not rounded."""
        return {
            "title": self.title,
            "protocol": dict(self.protocol),
            "metrics": [asdict(metric) for metric in self.metrics],
            "rows": [
                {"name": row.name, **{key: asdict(estimate) for key, estimate in row.estimates.items()}}
                for row in self.rows
            ],
        }

    def to_markdown(self) -> str:
        """Return a Markdown table; intervals in brackets, an arrow for the better direction."""
        columns = self._columns()
        lines = ["| sound | " + " | ".join(heading(metric) for metric in columns) + " |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        lines += ["| " + " | ".join([row.name, *(cell(row, metric) for metric in columns)]) + " |" for row in self.rows]
        return "\n".join(lines)

    def print(self) -> None:
        """Print the figures to the terminal, four columns at a time, intervals below the figures."""
        from rich.console import Console
        from rich.table import Table

        columns = self._columns()
        for first in range(0, len(columns), 4):
            table = Table(title=None if first else self.title, title_justify="left")
            table.add_column("sound", no_wrap=True)
            for metric in columns[first : first + 4]:
                table.add_column(heading(metric), justify="right")
            for row in self.rows:
                cells = (cell(row, metric).replace(" [", "\n[") for metric in columns[first : first + 4])
                table.add_row(row.name, *cells)
            Console(markup=False).print(table)

    def save(self, folder: Path) -> None:
        """Write report.json and report.md."""
        write_pair(folder, "report", self.to_json(), self.title, self.to_markdown())

    def _columns(self) -> list[Metric]:
        return [metric for metric in self.metrics if any(metric.key in row.estimates for row in self.rows)]


def heading(metric: Metric) -> str:
    """Return a metric's title with an arrow for its better direction."""
    arrows = {"higher": " ↑", "lower": " ↓", "zero": " → 0", "neither": ""}
    return metric.title + arrows[metric.better]


def cell(row: Row, metric: Metric) -> str:
    """Return a figure with its interval, a dash where there is none."""
    if metric.key not in row.estimates:
        return "-"
    estimate, digits = row.estimates[metric.key], metric.decimals
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def print_lines(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]], sentences: Sequence[str]) -> None:
    """Print one figure a line, one system a column, intervals below the figures, then how it is read."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("figure", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(line[0], *(text.replace(" [", "\n[") for text in line[1:]))
    console = Console(markup=False)
    console.print(table)
    for sentence in sentences:
        console.print(sentence, soft_wrap=True, highlight=False)


def write_pair(folder: Path, stem: str, values: Mapping[str, Any], title: str, markdown: str) -> None:
    """Write the same figures as `stem`.json and `stem`.md; raises ValueError when one is not a number."""
    text = json.dumps(values, indent=2, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
    (folder / f"{stem}.md").write_text(f"# {title}\n\n{markdown}\n", encoding="utf-8")
