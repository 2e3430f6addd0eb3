"""Choose the detector's threshold on clips that it is not scored on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError
from foleykit.evaluation.metrics.onset_f1 import OnsetCounts, onset_counts, sum_counts
from foleykit.evaluation.onsets import OnsetCandidates
from foleykit.evaluation.truth import ClipTruth


def tune_threshold(
    truths: Sequence[ClipTruth], candidates: Sequence[OnsetCandidates], *, tolerance: float = 0.06
) -> float:
    """Return the threshold with the best micro-averaged onset F1 on these clips, from the strengths that occur in them.

    F1 is averaged over nearby thresholds first, so that a lucky value on few clips is not chosen. Raises
    InputError when the lists differ in length, are empty, or hold no candidate.
    """
    if len(truths) != len(candidates) or not truths:
        raise InputError(f"tuning needs one truth per clip, got {len(truths)} truths and {len(candidates)} clips")
    strengths = np.concatenate([clip.strengths for clip in candidates])
    if not len(strengths):
        raise InputError("tuning needs sound: no clip holds a candidate onset")
    grid = np.geomspace(strengths.min(), strengths.max(), 64)
    scores = np.array([sum_counts(count_clips(truths, candidates, value, tolerance=tolerance)).f1 for value in grid])
    smooth = np.convolve(np.pad(scores, 2, mode="edge"), np.full(5, 0.2), mode="valid")
    # Several thresholds often tie; the middle one is the least accidental.
    best = np.flatnonzero(smooth >= smooth.max() - 1e-12)
    return float(grid[best[len(best) // 2]])


def count_clips(
    truths: Sequence[ClipTruth], candidates: Sequence[OnsetCandidates], threshold: float, *, tolerance: float = 0.06
) -> list[OnsetCounts]:
    """Return the onset counts of every clip at one threshold."""
    return [
        onset_counts(truth.onsets, clip.above(threshold), tolerance=tolerance, ignored_spans=truth.ignored_spans)
        for truth, clip in zip(truths, candidates, strict=True)
    ]


def split_by_video(video_ids: Sequence[str], seed: int = 0) -> NDArray[np.bool_]:
    """Return for each clip (N,) which half it belongs to; clips of one long video stay together.

    Raises InputError when all clips come from one long video.
    """
    videos = sorted(set(video_ids))
    if len(videos) < 2:
        raise InputError("two halves need clips of at least two long videos")
    order = np.random.default_rng(seed).permutation(len(videos))
    first = {videos[index] for index in order[: len(videos) // 2]}
    return np.array([video in first for video in video_ids])
