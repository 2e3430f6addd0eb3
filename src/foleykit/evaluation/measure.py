"""What is measured on the sound of one clip, before any figure is formed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.audio.resample import fit_length, resample
from foleykit.evaluation.material_classifier import MaterialClassifier
from foleykit.evaluation.metrics.envelope_correlation import energy_envelope_db
from foleykit.evaluation.metrics.gap_level import gap_level_db
from foleykit.evaluation.onsets import OnsetCandidates, OnsetConfig, onset_candidates
from foleykit.evaluation.truth import ClipTruth

MIN_GAP_SECONDS = 0.2
"""A clip with shorter gaps than this in all has no gap level."""


@dataclass(frozen=True, kw_only=True)
class ClipMeasures:
    """Measurements of one sound against one clip's truth."""

    candidates: OnsetCandidates
    envelope_db: NDArray[np.float64]
    """(F,) at 100 Hz"""
    gap_level_db: float
    """NaN when the clip has no gaps."""
    materials: NDArray[np.int64]
    """(I,) heard at each clean impact of the truth, as indices into MATERIALS; empty without a classifier."""
    embeddings: NDArray[np.float32]
    """(W, D) of the windows that lie side by side in the clip; (0, 0) without a classifier."""


def measure_clip(
    waveform: NDArray[np.float32],
    sample_rate: int,
    truth: ClipTruth,
    *,
    classifier: MaterialClassifier | None,
    onsets: OnsetConfig,
) -> ClipMeasures:
    """Measure a mono `waveform` (S,), as long as `truth.gaps`."""
    materials, embeddings = np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
    if classifier is not None:
        materials, embeddings = _listen(waveform, sample_rate, truth, classifier)
    return ClipMeasures(
        candidates=onset_candidates(waveform, sample_rate, onsets),
        envelope_db=energy_envelope_db(waveform, sample_rate),
        gap_level_db=clip_gap_level_db(waveform, sample_rate, truth),
        materials=materials,
        embeddings=embeddings,
    )


def clip_gap_level_db(waveform: NDArray[np.float32], sample_rate: int, truth: ClipTruth) -> float:
    """Return the level of `waveform` (S,) in the clip's gaps in dBFS, NaN when they are too short to say."""
    if truth.gaps.sum() < MIN_GAP_SECONDS * sample_rate:
        return float("nan")
    return gap_level_db(waveform, truth.gaps, sample_rate, min_seconds=MIN_GAP_SECONDS)


def _listen(
    waveform: NDArray[np.float32], sample_rate: int, truth: ClipTruth, classifier: MaterialClassifier
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    config = classifier.config
    samples = resample(waveform, sample_rate, config.sample_rate)
    firsts = [round((impact.time - config.seconds_before) * config.sample_rate) for impact in truth.impacts]
    num_side_by_side = max(1, len(samples) // config.num_samples)
    firsts += [index * config.num_samples for index in range(num_side_by_side)]
    windows = np.stack(
        [fit_length(samples[max(0, first) :][: config.num_samples], config.num_samples) for first in firsts]
    )
    judged = classifier.judge(torch.from_numpy(windows))
    num_impacts = len(truth.impacts)
    return judged.material[:num_impacts].argmax(1).numpy(), judged.embedding[num_impacts:].numpy()
