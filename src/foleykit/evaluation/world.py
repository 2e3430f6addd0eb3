"""Score generated sound on clips of the world, where every stem and every contact is known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.audio.resample import fit_length
from foleykit.core.errors import InputError
from foleykit.core.progress import Report as Progress
from foleykit.core.progress import no_report
from foleykit.evaluation import metrics
from foleykit.evaluation.clips import MANIFEST, ClipInfo, read_clip, read_generated, read_manifest
from foleykit.evaluation.material_classifier import MaterialClassifier
from foleykit.evaluation.measure import ClipMeasures, clip_gap_level_db, measure_clip
from foleykit.evaluation.metrics.accuracy import accuracy, balanced_accuracy
from foleykit.evaluation.metrics.envelope_correlation import envelope_correlation
from foleykit.evaluation.metrics.frechet_distance import frechet_distance
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_normal, bootstrap_percentile
from foleykit.evaluation.metrics.level_error import level_error
from foleykit.evaluation.metrics.onset_f1 import OnsetCounts
from foleykit.evaluation.onsets import OnsetConfig
from foleykit.evaluation.report import Report, Row
from foleykit.evaluation.thresholds import count_clips, split_by_video, tune_threshold
from foleykit.evaluation.truth import AudibilityConfig, ClipTruth, clip_truth
from foleykit.world.types import MATERIALS

TRUE_ACTION = "true action stem"
TRUE_MIX = "true mix"
NEIGHBOUR = "true neighbour"
SHUFFLED = "shuffled pairs"

AUDIBLE_AMBIENCE_DB = -60.0
"""A quieter scene has no ambience that could be taken away; it does not enter the gap reduction."""


@dataclass(frozen=True, kw_only=True)
class WorldProtocol:
    """How generated sound is scored."""

    tolerance: float = 0.06
    """Seconds between a true onset and a detected one that agrees with it."""
    onsets: OnsetConfig = field(default_factory=OnsetConfig)
    """The detector; its threshold is tuned per condition on one half of the long videos and scored on the other."""
    audibility: AudibilityConfig = field(default_factory=AudibilityConfig)
    num_resamples: int = 1000
    seed: int = 0
    """Splits the halves, pairs the shuffled clips, redraws the clips of the intervals."""


@dataclass(frozen=True, kw_only=True)
class _Reference:
    infos: Sequence[ClipInfo]
    truths: Sequence[ClipTruth]
    ambient_gap_db: NDArray[np.float64]
    """(N,) level of the true ambience in the gaps, NaN where a clip has none."""
    is_first_half: NDArray[np.bool_]
    partner: NDArray[np.int64]
    """(N,) for each clip one of another long video."""
    action: Sequence[ClipMeasures]
    mix: Sequence[ClipMeasures]


def evaluate_world(
    reference: Path,
    conditions: Mapping[str, Path],
    *,
    classifier: MaterialClassifier | None,
    protocol: WorldProtocol = WorldProtocol(),
    progress: Progress = no_report,
) -> Report:
    """Return the figures of each folder of generated sound, beside ground truth and chance.

    A retrieval baseline is one more condition. Without a classifier, material and Fréchet figures are left out. Raises
    MediaError when a clip's sound is missing and InputError when all clips come from one long video.
    """
    known, measures = _listen(reference, conditions, classifier, protocol, progress)
    rows = []
    thresholds = {}
    for number, (name, measured) in enumerate(measures.items()):
        thresholds[name] = _thresholds(known, measured, protocol)
        rows.append(Row(name=name, estimates=_estimates(known, measured, thresholds[name], protocol)))
        progress("score", (number + 1) / len(measures))
    return Report(
        title="Sound against the world's truth",
        metrics=metrics.WORLD_METRICS,
        rows=tuple(rows),
        protocol=_describe(reference, known, protocol) | {"thresholds": thresholds},
    )


def _listen(
    reference: Path,
    conditions: Mapping[str, Path],
    classifier: MaterialClassifier | None,
    protocol: WorldProtocol,
    progress: Progress,
) -> tuple[_Reference, dict[str, list[ClipMeasures]]]:
    """Return the truth of every clip and the measures of every sound, by row, reading one clip at a time."""
    infos = read_manifest(reference)
    video_ids = [info.video_id for info in infos]
    is_first_half, partner = split_by_video(video_ids, protocol.seed), clips_of_others(video_ids, protocol.seed)
    names = [TRUE_ACTION, TRUE_MIX, NEIGHBOUR, SHUFFLED, *conditions]
    if len(set(names)) < len(names):
        raise InputError(f"conditions must not be named {TRUE_ACTION}, {TRUE_MIX}, {NEIGHBOUR} or {SHUFFLED}")
    truths: list[ClipTruth] = []
    ambient_gap_db: list[float] = []
    measures: dict[str, list[ClipMeasures]] = {name: [] for name in names}
    for index, info in enumerate(infos):
        audio = read_clip(reference, info)
        truth = clip_truth(info, audio, protocol.audibility)
        shuffled = read_generated(reference, infos[partner[index]], audio.sample_rate)
        sounds = {TRUE_ACTION: audio.action, TRUE_MIX: audio.mix, NEIGHBOUR: audio.neighbour}
        sounds[SHUFFLED] = fit_length(shuffled, len(audio.mix))
        sounds |= {name: read_generated(folder, info, audio.sample_rate) for name, folder in conditions.items()}
        for name, sound in sounds.items():
            measured = measure_clip(sound, audio.sample_rate, truth, classifier=classifier, onsets=protocol.onsets)
            measures[name].append(measured)
        truths.append(truth)
        ambient_gap_db.append(clip_gap_level_db(audio.ambient, audio.sample_rate, truth))
        progress("listen", (index + 1) / len(infos))
    known = _Reference(
        infos=infos,
        truths=truths,
        ambient_gap_db=np.array(ambient_gap_db),
        is_first_half=is_first_half,
        partner=partner,
        action=measures[TRUE_ACTION],
        mix=measures[TRUE_MIX],
    )
    return known, measures


def _estimates(
    known: _Reference, measured: Sequence[ClipMeasures], thresholds: tuple[float, float], protocol: WorldProtocol
) -> dict[str, Estimate]:
    estimates = _onset_estimates(known, measured, thresholds, protocol)
    estimates |= _envelope_estimates(known, measured, protocol)
    estimates |= _gap_estimates(known, measured, protocol)
    if measured[0].embeddings.size:
        estimates |= _material_estimates(known, measured, protocol)
        for metric, reference in ((metrics.FRECHET_MIX, known.mix), (metrics.FRECHET_ACTION, known.action)):
            estimates[metric.key] = _frechet(reference, measured, protocol)
    return estimates


def _thresholds(known: _Reference, measured: Sequence[ClipMeasures], protocol: WorldProtocol) -> tuple[float, float]:
    """Return the thresholds for the first and the second half, each tuned on the other."""

    def tuned_on(half: NDArray[np.bool_]) -> float:
        clips = np.flatnonzero(half).tolist()
        candidates = [measured[clip].candidates for clip in clips]
        if not any(len(candidate.times) for candidate in candidates):
            return protocol.onsets.threshold
        return tune_threshold([known.truths[clip] for clip in clips], candidates, tolerance=protocol.tolerance)

    return tuned_on(~known.is_first_half), tuned_on(known.is_first_half)


def _onset_estimates(
    known: _Reference, measured: Sequence[ClipMeasures], thresholds: tuple[float, float], protocol: WorldProtocol
) -> dict[str, Estimate]:
    def counted(order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (N, 3) matched, reference and generated when clip i is given the sound of clip order[i]."""
        counts: list[OnsetCounts] = []
        for index, other in enumerate(order):
            threshold = thresholds[0 if known.is_first_half[index] else 1]
            heard = [measured[other].candidates]
            counts += count_clips([known.truths[index]], heard, threshold, tolerance=protocol.tolerance)
        return np.array([[count.num_matched, count.num_reference, count.num_generated] for count in counts])

    own, shuffled = counted(np.arange(len(measured))), counted(known.partner)

    def estimate(table: NDArray[np.int64], figure: Callable[[OnsetCounts], float]) -> Estimate:
        def statistic(clips: NDArray[np.int64]) -> float:
            matched, reference, generated = (int(value) for value in table[clips].sum(axis=0))
            return figure(OnsetCounts(num_matched=matched, num_reference=reference, num_generated=generated))

        return bootstrap_percentile(statistic, len(table), seed=protocol.seed, num_resamples=protocol.num_resamples)

    return {
        metrics.ONSET_F1.key: estimate(own, lambda count: count.f1),
        metrics.ONSET_F1_SHUFFLED.key: estimate(shuffled, lambda count: count.f1),
        metrics.ONSET_PRECISION.key: estimate(own, lambda count: count.precision),
        metrics.ONSET_RECALL.key: estimate(own, lambda count: count.recall),
    }


def _envelope_estimates(
    known: _Reference, measured: Sequence[ClipMeasures], protocol: WorldProtocol
) -> dict[str, Estimate]:
    # An action stem that never rises above the envelope's floor has no course to follow.
    clips = [index for index, truth in enumerate(known.action) if np.ptp(truth.envelope_db) > 1e-9]
    if len(clips) < 2:
        return {}

    def estimate(order: NDArray[np.int64]) -> Estimate:
        values = []
        for index in clips:
            first, second = known.action[index].envelope_db, measured[order[index]].envelope_db
            length = min(len(first), len(second))
            values.append(envelope_correlation(first[:length], second[:length]))
        table = np.array(values)
        return bootstrap_percentile(
            lambda chosen: float(table[chosen].mean()),
            len(table),
            seed=protocol.seed,
            num_resamples=protocol.num_resamples,
        )

    return {
        metrics.ENVELOPE.key: estimate(np.arange(len(measured))),
        metrics.ENVELOPE_SHUFFLED.key: estimate(known.partner),
    }


def _gap_estimates(known: _Reference, measured: Sequence[ClipMeasures], protocol: WorldProtocol) -> dict[str, Estimate]:
    levels = np.array([clip.gap_level_db for clip in measured])
    valid = np.isfinite(levels) & np.isfinite(known.ambient_gap_db)
    truth, heard = known.ambient_gap_db[valid], levels[valid]
    estimates = {}

    def estimate(statistic: Callable[[NDArray[np.int64]], float], num_clips: int) -> Estimate:
        return bootstrap_percentile(statistic, num_clips, seed=protocol.seed, num_resamples=protocol.num_resamples)

    if len(truth) >= 2:
        estimates[metrics.GAP_BIAS.key] = estimate(lambda c: level_error(truth[c], heard[c]).bias_db, len(truth))
        estimates[metrics.GAP_MEAN_ABSOLUTE.key] = estimate(
            lambda c: level_error(truth[c], heard[c]).mean_absolute_db, len(truth)
        )
        estimates[metrics.GAP_MEDIAN_ABSOLUTE.key] = estimate(
            lambda c: level_error(truth[c], heard[c]).median_absolute_db, len(truth)
        )
    reduction = (truth - heard)[truth > AUDIBLE_AMBIENCE_DB]
    if len(reduction) >= 2:
        estimates[metrics.GAP_REDUCTION.key] = estimate(lambda c: float(reduction[c].mean()), len(reduction))
    return estimates


def _material_estimates(
    known: _Reference, measured: Sequence[ClipMeasures], protocol: WorldProtocol
) -> dict[str, Estimate]:
    pairs = [
        (np.array([MATERIALS.index(impact.material) for impact in truth.impacts]), clip.materials)
        for truth, clip in zip(known.truths, measured, strict=True)
        if truth.impacts
    ]
    if len(pairs) < 2:
        return {}

    def estimate(figure: Callable[[NDArray[np.int64], NDArray[np.int64]], float]) -> Estimate:
        def statistic(clips: NDArray[np.int64]) -> float:
            return figure(
                np.concatenate([pairs[clip][0] for clip in clips]), np.concatenate([pairs[clip][1] for clip in clips])
            )

        return bootstrap_percentile(statistic, len(pairs), seed=protocol.seed, num_resamples=protocol.num_resamples)

    return {metrics.MATERIAL.key: estimate(accuracy), metrics.MATERIAL_BALANCED.key: estimate(balanced_accuracy)}


def _frechet(reference: Sequence[ClipMeasures], measured: Sequence[ClipMeasures], protocol: WorldProtocol) -> Estimate:
    truth = torch.from_numpy(np.concatenate([clip.embeddings for clip in reference]))

    def statistic(clips: NDArray[np.int64]) -> float:
        return frechet_distance(truth, torch.from_numpy(np.concatenate([measured[clip].embeddings for clip in clips])))

    return bootstrap_normal(statistic, len(measured), seed=protocol.seed, num_resamples=min(60, protocol.num_resamples))


def clips_of_others(video_ids: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Return for each clip the index of a clip of another long video."""
    ids, generator = np.array(video_ids), np.random.default_rng(seed)
    return np.array([generator.choice(np.flatnonzero(ids != video)) for video in video_ids])


def _describe(reference: Path, known: _Reference, protocol: WorldProtocol) -> dict[str, object]:
    return {
        "num_clips": len(known.infos),
        "num_videos": len({info.video_id for info in known.infos}),
        "num_onsets": int(sum(len(truth.onsets) for truth in known.truths)),
        "num_impacts": int(sum(len(truth.impacts) for truth in known.truths)),
        "manifest_sha256": hashlib.sha256((reference / MANIFEST).read_bytes()).hexdigest(),
        "settings": asdict(protocol),
    }
