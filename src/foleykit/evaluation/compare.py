"""Which of several systems is better, figure by figure, on the same clips."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import MediaError, UsageError
from foleykit.evaluation.media_report import MediaReport
from foleykit.evaluation.metrics import Metric
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_percentile
from foleykit.evaluation.metrics.paired_difference import Figure, PairedDifference, holm, paired_difference
from foleykit.evaluation.protocols import PROTOCOLS, Figures, ProtocolName, mean
from foleykit.evaluation.report import Report, Row, cell, heading, print_lines, write_pair

SIGNIFICANT = 0.05
REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class System:
    """What a comparison needs of one system's evaluation."""

    name: str
    protocol: ProtocolName
    protocol_sha256: str
    clip_ids: tuple[str, ...]
    references: Mapping[str, str]
    """Hash of the reference file of each clip."""
    columns: Mapping[str, NDArray[np.float64]]
    """(N,) by column, NaN where a clip has no value."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Two systems in one figure."""

    metric: Metric
    first: str
    second: str
    found: PairedDifference
    p_adjusted: float
    """By Holm's method for the number of pairs of systems."""

    @property
    def winner(self) -> str | None:
        """The better one, None when they cannot be told apart."""
        if self.p_adjusted >= SIGNIFICANT:
            return None
        return self.first if (self.found.difference > 0) == (self.metric.better == "higher") else self.second


@dataclass(frozen=True, kw_only=True)
class Comparison:
    table: Report
    """A row per system, best mean rank first."""
    contests: tuple[Contest, ...]
    left_out: Mapping[str, Sequence[str]]
    """Ids that not every system has, by the system that lacks them."""

    def rank(self, metric: Metric, system: str) -> int:
        """Return one more than the number of systems that are better; those that cannot be told apart share a rank."""
        contests = (entry for entry in self.contests if entry.metric == metric)
        return 1 + sum(
            entry.winner is not None and entry.winner != system and system in (entry.first, entry.second)
            for entry in contests
        )

    def mean_rank(self, system: str) -> float:
        """Return the mean over all figures: an orientation, since figures overlap."""
        return float(np.mean([self.rank(metric, system) for metric in self.table.metrics]))

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        names = [row.name for row in self.table.rows]
        return {
            **self.table.to_json(),
            "mean_ranks": {name: self.mean_rank(name) for name in names},
            "ranks": {m.key: {name: self.rank(m, name) for name in names} for m in self.table.metrics},
            "contests": [
                {
                    "metric": entry.metric.key,
                    "first": entry.first,
                    "second": entry.second,
                    **asdict(entry.found),
                    "p_adjusted": entry.p_adjusted,
                    "winner": entry.winner,
                }
                for entry in self.contests
            ],
            "left_out": {name: list(ids) for name, ids in self.left_out.items()},
        }

    def to_markdown(self) -> str:
        """Return a table of figures with ranks, then one of all pairs of systems."""
        names = [row.name for row in self.table.rows]
        lines = ["| figure | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        lines += ["| " + " | ".join(line) + " |" for line in self._lines()]
        lines += ["", "| figure | pair | difference | p |", "|---|---|---|---|"]
        for entry in self.contests:
            found, digits = entry.found, entry.metric.decimals
            lines.append(
                f"| {heading(entry.metric)} | {entry.first} minus {entry.second} | {found.difference:.{digits}f} "
                f"[{found.low:.{digits}f}, {found.high:.{digits}f}] | {entry.p_adjusted:.4f} |"
            )
        return "\n".join([*lines, "", *(f"- {sentence}" for sentence in self.sentences())])

    def sentences(self) -> list[str]:
        """Return how the table is read."""
        count = self.table.protocol["num_clips"]
        return [
            f"the same {count} clips of every system; rank in front of each figure, shared where systems cannot be "
            f"told apart (paired permutation test, Holm-adjusted p below {SIGNIFICANT})",
            *(f"{len(ids)} clips left out, {name} lacks them: {', '.join(ids[:5])}" for name, ids in self._lacking()),
        ]

    def print(self) -> None:
        """Print figures and ranks to the terminal."""
        print_lines(self.table.title, [row.name for row in self.table.rows], self._lines(), self.sentences())

    def save(self, folder: Path) -> None:
        """Write comparison.json and comparison.md."""
        write_pair(folder, "comparison", self.to_json(), self.table.title, self.to_markdown())

    def _lines(self) -> list[list[str]]:
        lines = [
            [heading(metric), *(f"{self.rank(metric, row.name)}. {cell(row, metric)}" for row in self.table.rows)]
            for metric in self.table.metrics
        ]
        return [*lines, ["mean rank", *(f"{self.mean_rank(row.name):.2f}" for row in self.table.rows)]]

    def _lacking(self) -> list[tuple[str, Sequence[str]]]:
        return [(name, ids) for name, ids in self.left_out.items() if ids]


def compare_systems(
    systems: Sequence[System], *, is_partial: bool = False, num_resamples: int = 1000, seed: int = 0
) -> Comparison:
    """Return every figure that has a value per clip, for all systems, with a paired test of each two of them.

    All systems must have been scored by one protocol on the same clips of the same reference; with `is_partial`, the
    clips that all of them have are compared and the others named. Raises UsageError for fewer than two systems, names
    that are not distinct or differing protocols, and MediaError for differing clips.
    """
    _check(systems)
    common, left_out = _common_clips(systems, is_partial)
    tables = {system.name: _rows(system, common) for system in systems}
    estimates: dict[str, dict[str, Estimate]] = {system.name: {} for system in systems}
    contests: list[Contest] = []
    compared = []
    for metric, columns, figure in _comparable(PROTOCOLS[systems[0].protocol]):
        values = _values(tables, columns)
        if values is None:
            continue
        found = {
            name: bootstrap_percentile(
                lambda clips, chosen=chosen, figure=figure: figure(chosen[clips]),  # type: ignore[misc]
                len(chosen),
                seed=seed,
                num_resamples=num_resamples,
            )
            for name, chosen in values.items()
        }
        # Where onsets match in a few clips only, a redrawn set may have none.
        if not all(np.isfinite([estimate.low, estimate.high]).all() for estimate in found.values()):
            continue
        compared.append(metric)
        for name, estimate in found.items():
            estimates[name][metric.key] = estimate
        contests += _contests(metric, figure, values, seed=seed, num_resamples=num_resamples)
    report = Report(
        title=f"{len(systems)} systems, protocol {systems[0].protocol}",
        metrics=tuple(compared),
        rows=tuple(Row(name=name, estimates=values) for name, values in estimates.items()),
        protocol={
            "name": systems[0].protocol,
            "sha256": systems[0].protocol_sha256,
            "num_clips": len(common),
            "num_resamples": num_resamples,
            "seed": seed,
            "test": "paired permutation, two-sided, Holm over pairs of systems",
        },
    )
    comparison = Comparison(table=report, contests=tuple(contests), left_out=left_out)
    order = tuple(sorted(report.rows, key=lambda row: comparison.mean_rank(row.name)))
    return replace(comparison, table=replace(report, rows=order))


def _common_clips(systems: Sequence[System], is_partial: bool) -> tuple[list[str], dict[str, list[str]]]:
    """Return the ids that every system has, sorted, and by system those that it lacks."""
    common = sorted(set.intersection(*(set(system.clip_ids) for system in systems)))
    everything = set.union(*(set(system.clip_ids) for system in systems))
    left_out = {system.name: sorted(everything - set(system.clip_ids)) for system in systems}
    if not is_partial and len(common) < len(everything):
        name, ids = next((name, ids) for name, ids in left_out.items() if ids)
        raise MediaError(
            f"{name} has no score for {len(ids)} clips that another system has ({', '.join(ids[:5])}); "
            "score all systems on the same clips, or compare the common ones with --partial"
        )
    if len(common) < 2:
        raise MediaError(f"the systems have {len(common)} clips in common, at least 2 are needed")
    for clip in common:
        if len({system.references[clip] for system in systems}) > 1:
            raise MediaError(f"{clip}: the systems were scored against different reference files; score them anew")
    return common, left_out


def _values(
    tables: Mapping[str, Mapping[str, NDArray[np.float64]]], columns: Sequence[str]
) -> dict[str, NDArray[np.float64]] | None:
    """Return the columns (N, K) of every system for the clips in which all have values; None for fewer than two."""
    if not all(name in table for name in columns for table in tables.values()):
        return None
    values = {key: np.stack([table[name] for name in columns], axis=1) for key, table in tables.items()}
    is_valid = np.logical_and.reduce([np.isfinite(table).all(axis=1) for table in values.values()])
    return {key: table[is_valid] for key, table in values.items()} if is_valid.sum() >= 2 else None


def _contests(
    metric: Metric, figure: Figure, values: Mapping[str, NDArray[np.float64]], *, seed: int, num_resamples: int
) -> list[Contest]:
    pairs = list(combinations(values, 2))
    found = [paired_difference(figure, values[a], values[b], seed=seed, num_resamples=num_resamples) for a, b in pairs]
    adjusted = holm([entry.p_value for entry in found])
    return [
        Contest(metric=metric, first=a, second=b, found=entry, p_adjusted=p)
        for (a, b), entry, p in zip(pairs, found, adjusted, strict=True)
    ]


def system_of(name: str, report: MediaReport) -> System:
    """Return what a comparison needs of a report."""
    return _system(name, report.to_json())


def read_system(name: str, folder: Path) -> System:
    """Read the report.json that an evaluation wrote into `folder`. Raises MediaError when there is none of its kind."""
    path = folder / REPORT
    if not path.is_file():
        raise MediaError(f"{path}: no such file; write it with `foley evaluate ... -o {folder}`, or pass --reference")
    try:
        return _system(name, json.loads(path.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise MediaError(f"{path}: is no report of `foley evaluate GENERATED --reference DIR`") from error


def _system(name: str, values: Mapping[str, Any]) -> System:
    clips: Mapping[str, Mapping[str, float | None]] = values["clips"]
    columns = next(iter(clips.values())).keys()
    return System(
        name=name,
        protocol=values["protocol"]["name"],
        protocol_sha256=values["protocol"]["sha256"],
        clip_ids=tuple(clips),
        references=values["data"]["references"],
        columns={
            key: np.array([np.nan if row[key] is None else row[key] for row in clips.values()], np.float64)
            for key in columns
        },
    )


def _check(systems: Sequence[System]) -> None:
    names = [system.name for system in systems]
    if len(names) < 2 or len(set(names)) < len(names):
        raise UsageError(
            f"a comparison needs two systems or more with distinct names, got {', '.join(names) or 'none'}"
        )
    for system in systems[1:]:
        if system.protocol_sha256 != systems[0].protocol_sha256:
            raise UsageError(
                f"{systems[0].name} and {system.name} were scored by different protocols "
                f"({systems[0].protocol} {systems[0].protocol_sha256[:12]}, "
                f"{system.protocol} {system.protocol_sha256[:12]}); score both with the same options"
            )


def _rows(system: System, clip_ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a system for these clips, in this order."""
    index = {name: number for number, name in enumerate(system.clip_ids)}
    chosen = [index[name] for name in clip_ids]
    return {key: column[chosen] for key, column in system.columns.items()}


def _comparable(figures: Figures) -> list[tuple[Metric, tuple[str, ...], Figure]]:
    """Return the figures that have a better direction and a value per clip."""
    entries: list[tuple[Metric, tuple[str, ...], Figure]] = [
        (entry.metric, entry.columns, entry.figure) for entry in figures.clips
    ]
    entries += [
        (entry.metric, (entry.metric.key,), mean) for entry in figures.networks if entry.kind in ("pair", "divergence")
    ]
    return [entry for entry in entries if entry[0].better in ("higher", "lower")]
