"""Whether the ambience of generated sound follows the level that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError
from foleykit.evaluation import metrics
from foleykit.evaluation.clips import read_clip, read_generated, read_manifest
from foleykit.evaluation.measure import clip_gap_level_db
from foleykit.evaluation.metrics.intervals import bootstrap_percentile
from foleykit.evaluation.metrics.spearman import spearman
from foleykit.evaluation.report import Report, Row
from foleykit.evaluation.truth import clip_truth

ALL_LEVELS = "all levels"


def evaluate_dial(reference: Path, levels: Mapping[float, Path], *, num_resamples: int = 1000, seed: int = 0) -> Report:
    """Return the mean level in the gaps for each asked level in dBFS, and how strictly it rises.

    `levels` maps the asked level to a folder of generated sound. The last row is Spearman's correlation of asked and
    mean heard levels, with its interval over clips; a dial without any effect scores 0. Raises InputError for fewer
    than three levels or two clips with gaps.
    """
    if len(levels) < 3:
        raise InputError(f"a dial needs at least three levels, got {len(levels)}")
    asked = sorted(levels)
    heard = []
    for info in read_manifest(reference):
        audio = read_clip(reference, info)
        truth = clip_truth(info, audio)
        sounds = (read_generated(levels[level], info, audio.sample_rate) for level in asked)
        heard.append([clip_gap_level_db(sound, audio.sample_rate, truth) for sound in sounds])
    table = np.array(heard)
    table = table[np.isfinite(table).all(axis=1)]
    num_clips = len(table)
    rows = []
    for column, level in enumerate(asked):
        mean = bootstrap_percentile(
            lambda clips, column=column: float(table[clips, column].mean()),  # type: ignore[misc]
            num_clips,
            seed=seed,
            num_resamples=num_resamples,
        )
        rows.append(Row(name=f"{level:g} dBFS", estimates={metrics.GAP_LEVEL.key: mean}))

    def course(clips: NDArray[np.int64]) -> float:
        mean = table[clips].mean(axis=0)
        return spearman(asked, mean) if np.ptp(mean) > 0 else 0.0

    whole = bootstrap_percentile(course, num_clips, seed=seed, num_resamples=num_resamples)
    rows.append(Row(name=ALL_LEVELS, estimates={metrics.DIAL.key: whole}))
    means = table.mean(axis=0)
    return Report(
        title="Ambience in the gaps against the level asked for",
        metrics=metrics.DIAL_METRICS,
        rows=tuple(rows),
        protocol={
            "num_clips": num_clips,
            "is_strictly_rising": bool((np.diff(means) > 0).all()),
            "share_of_clips_rising": float((np.diff(table, axis=1) > 0).all(axis=1).mean()),
        },
    )
