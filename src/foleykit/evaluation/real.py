"""Score generated sound on real videos, where the recorded sound is the only witness of what happened when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.core.errors import MediaError
from foleykit.core.progress import Report as Progress
from foleykit.core.progress import no_report
from foleykit.evaluation import metrics
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_percentile
from foleykit.evaluation.metrics.onset_f1 import OnsetCounts, onset_counts
from foleykit.evaluation.onsets import OnsetConfig, detect_onsets
from foleykit.evaluation.report import Report, Row

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".ts")
SOUND_SUFFIXES = (".wav", ".flac", *VIDEO_SUFFIXES)

GENERATED = "generated"
TIME_SHIFTED = "shifted in time"
OTHER_VIDEO = "of other videos"
ABOVE_SHIFTED = "generated minus shifted"


@dataclass(frozen=True, kw_only=True)
class RealProtocol:
    """How agreement on real videos is scored."""

    reference_onsets: OnsetConfig = field(default_factory=OnsetConfig)
    """The detector for the recorded sound."""
    generated_onsets: OnsetConfig = field(default_factory=OnsetConfig)
    """The detector for the generated sound; fixed, since these videos have no half to tune on."""
    num_shifts: int = 20
    """Circular shifts of the generated onsets per video, evenly spaced."""
    max_seconds: float = 120.0
    """Only the beginning of a longer video is compared."""
    num_resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class _Heard:
    name: str
    seconds: float
    reference: NDArray[np.float64]
    generated: NDArray[np.float64]


def evaluate_real(
    videos: Path, generated: Path, *, protocol: RealProtocol = RealProtocol(), progress: Progress = no_report
) -> Report:
    """Return how generated onsets agree with those of the videos' own sound, beside chance.

    `generated` holds one sound or video file of the same stem per video of `videos`; videos without sound, without
    onsets or without a generated partner are named in the protocol and left out. Chance: the same generated onsets
    shifted in time around the video, and those of all other videos. F1 is micro-averaged; intervals redraw videos.

    Raises MediaError when fewer than two videos can be compared.
    """
    heard: list[_Heard] = []
    left_out: dict[str, str] = {}
    paths = sorted(path for path in videos.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    for index, path in enumerate(paths):
        pair = _listen(path, generated, protocol)
        if isinstance(pair, str):
            left_out[path.name] = pair
        else:
            heard.append(pair)
        progress("listen", (index + 1) / len(paths))
    if len(heard) < 2:
        raise MediaError(f"{videos}: {len(heard)} videos can be compared with {generated}, at least 2 are needed")
    tables = {tolerance: _tables(heard, tolerance, protocol) for tolerance in (0.1, 0.06)}
    rows = [
        Row(name=name, estimates=_figures(tables, name, protocol))
        for name in (GENERATED, TIME_SHIFTED, OTHER_VIDEO, ABOVE_SHIFTED)
    ]
    return Report(
        title="Onset agreement with the recorded sound",
        metrics=metrics.REAL_METRICS,
        rows=tuple(rows),
        protocol=_describe(heard, left_out, tables[0.1], protocol),
    )


def _listen(path: Path, generated: Path, protocol: RealProtocol) -> _Heard | str:
    """Return the onsets of a video and its generated sound, or why it is left out."""
    partners = [generated / (path.stem + suffix) for suffix in SOUND_SUFFIXES]
    partner = next((candidate for candidate in partners if candidate.is_file()), None)
    if partner is None:
        return "no generated sound"
    try:
        own, own_rate = read_waveform(path, seconds=protocol.max_seconds, mono=True)
    except MediaError as error:
        return f"no sound of its own ({error})"
    made, made_rate = read_waveform(partner, seconds=protocol.max_seconds, mono=True)
    seconds = min(own.shape[1] / own_rate, made.shape[1] / made_rate)
    reference = detect_onsets(own[0, : int(seconds * own_rate)], own_rate, protocol.reference_onsets)
    if not len(reference):
        return "no onset in its own sound"
    onsets = detect_onsets(made[0, : int(seconds * made_rate)], made_rate, protocol.generated_onsets)
    return _Heard(name=path.name, seconds=seconds, reference=reference, generated=onsets)


def _tables(heard: Sequence[_Heard], tolerance: float, protocol: RealProtocol) -> dict[str, NDArray[np.int64]]:
    """Return for each pairing (V, 3): matched, reference and generated onsets per video, summed over its pairings."""

    def row(counts: Sequence[OnsetCounts]) -> list[int]:
        return [
            sum(count.num_matched for count in counts),
            sum(count.num_reference for count in counts),
            sum(count.num_generated for count in counts),
        ]

    own, shifted, other = [], [], []
    for video in heard:
        own.append(row([onset_counts(video.reference, video.generated, tolerance=tolerance)]))
        shifts = video.seconds * np.arange(1, protocol.num_shifts + 1) / (protocol.num_shifts + 1)
        moved = [np.sort((video.generated + shift) % video.seconds) for shift in shifts]
        shifted.append(row([onset_counts(video.reference, times, tolerance=tolerance) for times in moved]))
        pairings = []
        for partner in heard:
            if partner is not video:
                length = min(video.seconds, partner.seconds)
                reference, made = (
                    video.reference[video.reference < length],
                    partner.generated[partner.generated < length],
                )
                pairings.append(onset_counts(reference, made, tolerance=tolerance))
        other.append(row(pairings))
    return {GENERATED: np.array(own), TIME_SHIFTED: np.array(shifted), OTHER_VIDEO: np.array(other)}


def _figures(
    tables: dict[float, dict[str, NDArray[np.int64]]], name: str, protocol: RealProtocol
) -> dict[str, Estimate]:
    figures = {}
    for metric, tolerance in ((metrics.AGREEMENT_100, 0.1), (metrics.AGREEMENT_60, 0.06)):
        table = tables[tolerance]

        def statistic(chosen: NDArray[np.int64], table: dict[str, NDArray[np.int64]] = table) -> float:
            if name == ABOVE_SHIFTED:
                return _f1(table[GENERATED][chosen]) - _f1(table[TIME_SHIFTED][chosen])
            return _f1(table[name][chosen])

        num_videos = len(table[GENERATED])
        figures[metric.key] = bootstrap_percentile(
            statistic, num_videos, seed=protocol.seed, num_resamples=protocol.num_resamples
        )
    return figures


def _f1(table: NDArray[np.int64]) -> float:
    matched, reference, generated = (int(value) for value in table.sum(axis=0))
    return OnsetCounts(num_matched=matched, num_reference=reference, num_generated=generated).f1


def _describe(
    heard: Sequence[_Heard], left_out: dict[str, str], table: dict[str, NDArray[np.int64]], protocol: RealProtocol
) -> dict[str, object]:
    per_video = {
        video.name: {
            "seconds": round(video.seconds, 3),
            "num_reference": len(video.reference),
            "num_generated": len(video.generated),
            "f1_100ms": _f1(table[GENERATED][[index]]),
            "f1_100ms_shifted": _f1(table[TIME_SHIFTED][[index]]),
        }
        for index, video in enumerate(heard)
    }
    return {"videos": per_video, "left_out": left_out, "settings": asdict(protocol)}
