"""The report of an evaluation of folders: figures, what they rest on, and everything that was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foleykit.evaluation.metrics.onset_offsets import OffsetSummary
from foleykit.evaluation.pairing import LeftOut
from foleykit.evaluation.report import Report, cell, heading, print_lines, write_pair

NAMED = 5
"""Clips that are named per reason on the terminal; the JSON names all."""


@dataclass(frozen=True, kw_only=True)
class MediaReport:
    table: Report
    """A row per sound: generated, reference, and two kinds of chance."""
    protocol_sha256: str
    """Of the protocol: equal hashes are equal settings, figures and networks."""
    data: Mapping[str, Any]
    """Sizes, rates and hashes of what was read, JSON-ready."""
    left_out: tuple[LeftOut, ...]
    metrics_left_out: Mapping[str, str]
    """Key of each metric of the protocol that has no figure, and why."""
    notes: tuple[str, ...]
    """What a reader should know before comparing, one sentence each."""
    clip_ids: tuple[str, ...]
    clips: Mapping[str, NDArray[np.float64]]
    """(N,) values of the generated sounds by column, NaN where a clip has none."""
    offsets_ms: NDArray[np.float64]
    """(N,) generated minus reference time of all onsets that match."""
    offsets: OffsetSummary | None
    """Their distribution in seconds; None when none match."""

    @property
    def is_complete(self) -> bool:
        """Whether every clip of either folder was scored."""
        return not self.left_out

    def reasons(self) -> list[str]:
        """Return one sentence per reason for which clips are left out, with their number and first names."""
        counts = Counter(entry.reason for entry in self.left_out)
        lines = []
        for reason, count in counts.most_common():
            entries = [entry for entry in self.left_out if entry.reason == reason]
            names = ", ".join(entry.clip_id for entry in entries[:NAMED]) + (", ..." if count > NAMED else "")
            detail = f" ({entries[0].detail})" if entries[0].detail else ""
            lines.append(f"{count} clips left out, {reason}: {names}{detail}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-ready values; figures are not rounded, and what has no value is null."""
        values = self.table.to_json()
        return {
            **values,
            "protocol": {**values["protocol"], "sha256": self.protocol_sha256},
            "data": dict(self.data),
            "left_out": [asdict(entry) for entry in self.left_out],
            "metrics_left_out": dict(self.metrics_left_out),
            "notes": list(self.notes),
            "offsets": None if self.offsets is None else asdict(self.offsets),
            "clips": {
                name: {key: _finite(column[index]) for key, column in self.clips.items()}
                for index, name in enumerate(self.clip_ids)
            },
        }

    def to_markdown(self) -> str:
        """Return a Markdown table with a line per figure, then what was left out."""
        names = [row.name for row in self.table.rows]
        lines = ["| figure | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        lines += ["| " + " | ".join(line) + " |" for line in self._lines()]
        lines += ["", *(f"- {sentence}" for sentence in self.sentences())]
        return "\n".join(lines)

    def sentences(self) -> list[str]:
        """Return what the table rests on and what it lacks."""
        missing: dict[str, list[str]] = {}
        titles = {metric.key: metric.title for metric in self.table.metrics}
        for key, reason in self.metrics_left_out.items():
            missing.setdefault(reason, []).append(titles[key])
        return [
            f"{len(self.clip_ids)} clips scored; {self.data['num_reference']} reference and "
            f"{self.data['num_generated']} generated ids",
            *self.reasons(),
            *self.notes,
            *(f"not reported, {reason}: {', '.join(names)}" for reason, names in missing.items()),
            f"protocol {self.table.protocol['name']} {self.protocol_sha256[:12]}, "
            f"reference {self.data['reference_sha256'][:12]}, generated {self.data['generated_sha256'][:12]}",
        ]

    def print(self) -> None:
        """Print the figures to the terminal, then what was left out."""
        print_lines(self.table.title, [row.name for row in self.table.rows], self._lines(), self.sentences())

    def save(self, folder: Path) -> None:
        """Write report.json and report.md."""
        write_pair(folder, "report", self.to_json(), self.table.title, self.to_markdown())

    def _lines(self) -> list[list[str]]:
        """Return the cells of each line: a figure's heading and its value in every row."""
        reported = [metric for metric in self.table.metrics if metric.key not in self.metrics_left_out]
        return [[heading(metric), *(cell(row, metric) for row in self.table.rows)] for metric in reported]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
