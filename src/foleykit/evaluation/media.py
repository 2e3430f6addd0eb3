"""Score a folder of generated sound, from any system, against a folder of recordings with the same names."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foleykit.core.checkpoint import sha256
from foleykit.core.errors import MediaError
from foleykit.core.progress import Report as Progress
from foleykit.core.progress import no_report
from foleykit.evaluation.media_report import MediaReport
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_percentile
from foleykit.evaluation.metrics.onset_offsets import summarise_offsets
from foleykit.evaluation.network_figures import network_figures
from foleykit.evaluation.networks import NetworkName, PairNetwork, SoundNetwork
from foleykit.evaluation.pairing import LeftOut, Pair, Pairing, data_sha256, pair_folders
from foleykit.evaluation.protocols import PROTOCOLS, ClipFigure, MediaProtocol
from foleykit.evaluation.report import Report, Row
from foleykit.evaluation.sound_measures import (
    PairMeasures,
    SoundMeasures,
    Task,
    compare_timing,
    measure_pair,
    onset_columns,
)

GENERATED = "generated"
REFERENCE = "reference"
SHUFFLED = "of other clips"
SHIFTED = "shifted in time"
MIN_CLIPS = 2

Columns = dict[str, NDArray[np.float64]]
Each = Callable[[Callable[[Task], PairMeasures | LeftOut], Sequence[Task]], Iterable[PairMeasures | LeftOut]]
"""Applies a function to tasks, in order: `map`, or one that uses several processes."""


def evaluate_media(
    generated: Path,
    reference: Path,
    *,
    protocol: MediaProtocol = MediaProtocol(),
    takes: Sequence[Path] = (),
    networks: Mapping[NetworkName, SoundNetwork | PairNetwork] | None = None,
    each: Each = map,
    progress: Progress = no_report,
) -> MediaReport:
    """Return the figures of `generated` beside those of the reference and of chance.

    Files pair by id alone; whatever has no partner, cannot be read or has another length is left out and named.
    `takes` are folders with further sounds for the same clips, for their diversity. Figures of networks that are not
    passed are reported as left out. Raises MediaError when fewer than two clips can be scored or all generated sounds
    are silent.
    """
    networks = networks or {}
    pairing = pair_folders(generated, reference, takes=takes)
    tasks = [Task(pair=pair, config=protocol.measure) for pair in pairing.pairs]
    measured: list[PairMeasures] = []
    left_out = list(pairing.left_out)
    for index, result in enumerate(each(measure_pair, tasks)):
        if isinstance(result, LeftOut):
            left_out.append(result)
        else:
            measured.append(result)
        progress("listen", (index + 1) / len(tasks))
    _refuse_too_little(measured, left_out, generated)
    scored = {entry.clip_id for entry in measured}
    pairs = [pair for pair in pairing.pairs if pair.clip_id in scored]
    columns, offsets = _columns(measured, protocol)
    figures = PROTOCOLS[protocol.name]
    missing: dict[str, str] = {}
    estimates = {
        name: _estimates(table, figures.clips, protocol, missing if name == GENERATED else {})
        for name, table in columns.items()
    }
    heard = network_figures(figures.networks, networks, pairs, protocol, progress=progress)
    missing |= heard.left_out
    estimates[GENERATED] |= heard.generated
    estimates[REFERENCE] |= heard.reference
    described = _describe_protocol(protocol, networks)
    return MediaReport(
        table=Report(
            title=f"Generated sound against recordings, protocol {protocol.name}",
            metrics=figures.metrics,
            rows=tuple(Row(name=name, estimates=values) for name, values in estimates.items()),
            protocol=described,
        ),
        protocol_sha256=hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest(),
        data=_describe_data(pairing, pairs, measured),
        left_out=tuple(sorted(left_out, key=lambda entry: entry.clip_id)),
        metrics_left_out=missing,
        notes=_notes(measured),
        clip_ids=tuple(entry.clip_id for entry in measured),
        clips=columns[GENERATED] | heard.clips,
        offsets_ms=1000 * offsets,
        offsets=summarise_offsets(offsets) if len(offsets) else None,
    )


def _refuse_too_little(measured: Sequence[PairMeasures], left_out: Sequence[LeftOut], generated: Path) -> None:
    if len(measured) < MIN_CLIPS:
        counts = Counter(entry.reason for entry in left_out)
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
        details = next((f" ({entry.clip_id}: {entry.detail})" for entry in left_out if entry.detail), "")
        raise MediaError(
            f"{generated}: {len(measured)} clips can be scored, at least {MIN_CLIPS} are needed; {reasons}{details}"
        )
    if all(entry.generated.is_silent for entry in measured):
        raise MediaError(f"{generated}: all {len(measured)} generated sounds are silent; there is nothing to score")


def _columns(
    measured: Sequence[PairMeasures], protocol: MediaProtocol
) -> tuple[dict[str, Columns], NDArray[np.float64]]:
    """Return the table of each row, and the offsets of generated onsets in seconds."""
    config = protocol.measure
    rows: dict[str, list[dict[str, float]]] = {GENERATED: [], REFERENCE: [], SHUFFLED: [], SHIFTED: []}
    offsets = []
    partner = _partners(len(measured), protocol.seed)
    for index, pair in enumerate(measured):
        timing, late = compare_timing(pair.reference, pair.generated, config)
        offsets.append(late)
        rows[GENERATED].append({**pair.generated.values, **timing, **_errors(pair), **pair.spectral})
        rows[REFERENCE].append({**pair.reference.values, **compare_timing(pair.reference, pair.reference, config)[0]})
        rows[SHUFFLED].append(compare_timing(pair.reference, measured[partner[index]].generated, config)[0])
        rows[SHIFTED].append(_shifted(pair, protocol))
    tables = {name: {key: np.array([row[key] for row in table]) for key in table[0]} for name, table in rows.items()}
    for table in tables.values():
        for column in table.values():
            column[~np.isfinite(column)] = np.nan
    return tables, np.concatenate(offsets)


def _errors(pair: PairMeasures) -> dict[str, float]:
    """Return how far levels of the generated sound are from the reference's."""
    one, other = pair.reference.values, pair.generated.values
    return {
        "ambient_error_db": other["ambient_level_db"] - one["ambient_level_db"],
        "ambience_to_action_error_db": other["ambience_to_action_db"] - one["ambience_to_action_db"],
        "loudness_error_db": other["loudness_lufs"] - one["loudness_lufs"],
    }


def _shifted(pair: PairMeasures, protocol: MediaProtocol) -> dict[str, float]:
    """Return the onset columns of the same generated onsets, shifted around the clip, summed over the shifts."""
    totals: dict[str, float] = {}
    sound = pair.generated
    for number in range(1, protocol.num_shifts + 1):
        shift = number / (protocol.num_shifts + 1)
        moved = replace(sound, onsets=np.sort((sound.onsets + shift * sound.seconds) % sound.seconds))
        for key, value in onset_columns(pair.reference, moved, protocol.measure)[0].items():
            totals[key] = totals.get(key, 0.0) + value
    return totals


def _partners(num_clips: int, seed: int) -> NDArray[np.int64]:
    """Return for each clip the index of another one; every clip is a partner once."""
    order = np.random.default_rng(seed).permutation(num_clips)
    partner = np.empty(num_clips, np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def _estimates(
    table: Columns, figures: Sequence[ClipFigure], protocol: MediaProtocol, missing: dict[str, str]
) -> dict[str, Estimate]:
    """Return the figures that can be formed of a table, and note in `missing` why others cannot."""
    estimates = {}
    for entry in figures:
        key = entry.metric.key
        if not all(name in table for name in entry.columns):
            missing[key] = "needs further takes (--take)" if "diversity" in key else "has nothing to be formed from"
            continue
        values = np.stack([table[name] for name in entry.columns], axis=1)
        values = values[np.isfinite(values).all(axis=1)]
        if len(values) < MIN_CLIPS:
            missing[key] = f"only {len(values)} clips have a value"
            continue
        if not np.isfinite(entry.figure(values)):
            missing[key] = "no onsets match"
            continue

        def statistic(
            clips: NDArray[np.int64], values: NDArray[np.float64] = values, entry: ClipFigure = entry
        ) -> float:
            return entry.figure(values[clips])

        estimate = bootstrap_percentile(
            statistic, len(values), seed=protocol.seed, num_resamples=protocol.num_resamples
        )
        if np.isfinite([estimate.low, estimate.high]).all():
            estimates[key] = estimate
        else:
            missing[key] = "onsets match in too few clips"
    return estimates


def _describe_protocol(
    protocol: MediaProtocol, networks: Mapping[NetworkName, SoundNetwork | PairNetwork]
) -> dict[str, Any]:
    settings = asdict(protocol)
    figures = PROTOCOLS[protocol.name]
    used = {entry.network for entry in figures.networks}
    return {
        "name": settings.pop("name"),
        "settings": settings,
        "metrics": [metric.key for metric in figures.metrics],
        "networks": {name: network.identity for name, network in sorted(networks.items()) if name in used},
    }


def _describe_data(pairing: Pairing, pairs: Sequence[Pair], measured: Sequence[PairMeasures]) -> dict[str, Any]:
    def rates(sounds: Iterable[SoundMeasures]) -> dict[str, int]:
        return {str(rate): count for rate, count in sorted(Counter(sound.sample_rate for sound in sounds).items())}

    known = {pair.clip_id: sha256(pair.reference) for pair in pairs}
    made = {pair.clip_id: sha256(pair.generated) for pair in pairs}
    made |= {f"{pair.clip_id}#{index}": sha256(take) for pair in pairs for index, take in enumerate(pair.takes, 1)}
    return {
        "num_reference": pairing.num_reference,
        "num_generated": pairing.num_generated,
        "num_scored": len(pairs),
        "num_takes": 1 + len(pairs[0].takes),
        "seconds": float(sum(entry.reference.seconds for entry in measured)),
        "reference_sha256": data_sha256(known),
        "generated_sha256": data_sha256(made),
        "reference_rates": rates(entry.reference for entry in measured),
        "generated_rates": rates(entry.generated for entry in measured),
        "references": known,
        "silent": [entry.clip_id for entry in measured if entry.generated.is_silent],
    }


def _notes(measured: Sequence[PairMeasures]) -> tuple[str, ...]:
    notes = []
    silent = [entry.clip_id for entry in measured if entry.generated.is_silent]
    if silent:
        notes.append(f"{len(silent)} generated sounds are silent and score as such in timing: {', '.join(silent[:5])}")
    made = sorted({entry.generated.sample_rate for entry in measured})
    if len(made) > 1:
        notes.append(f"generated sounds have several rates: {', '.join(f'{rate} Hz' for rate in made)}")
    if made[0] < 16_000:
        notes.append(f"onsets are heard at 16000 Hz, some generated sounds have {made[0]} Hz only")
    return tuple(notes)
