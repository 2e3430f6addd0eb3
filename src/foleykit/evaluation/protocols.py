"""Which figures a protocol holds, and what each is formed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.evaluation import metrics
from foleykit.evaluation.metrics import Metric
from foleykit.evaluation.metrics.onset_f1 import OnsetCounts
from foleykit.evaluation.networks import NetworkName
from foleykit.evaluation.sound_measures import MeasureConfig

Values = NDArray[np.float64]
ProtocolName = Literal["action2sound", "foleygen", "v2a", "onset"]


@dataclass(frozen=True, kw_only=True)
class MediaProtocol:
    """How folders of media are scored; equal protocols give equal figures."""

    name: ProtocolName = "v2a"
    """Which figures are reported."""
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    num_shifts: int = 20
    """Circular shifts of the generated onsets per clip, evenly spaced: chance."""
    min_set_clips: int = 50
    """Fewer clips than this have no distance of sets."""
    num_resamples: int = 1000
    seed: int = 0
    """Pairs other clips, redraws clips for the intervals, splits sets."""


@dataclass(frozen=True, kw_only=True)
class ClipFigure:
    """A figure over clips, formed from columns of a table with a row per clip; it needs no network."""

    metric: Metric
    columns: tuple[str, ...]
    figure: Callable[[Values], float]
    """Values (N, K) of clips, without NaN, to the figure."""


@dataclass(frozen=True, kw_only=True)
class NetworkFigure:
    """A figure that a network gives, over sets of sounds or pair by pair."""

    metric: Metric
    network: NetworkName
    kind: Literal["frechet", "precision", "recall", "density", "coverage", "divergence", "inception", "pair"]
    epsilon: float = 0.0
    """Added to the generated posteriors of a divergence; published figures differ in it."""


def mean(values: Values) -> float:
    return float(values.mean())


def mean_absolute(values: Values) -> float:
    return float(np.abs(values).mean())


def median_absolute(values: Values) -> float:
    return float(np.median(np.abs(values)))


def onset_f1(values: Values) -> float:
    return _counts(values).f1


def onset_precision(values: Values) -> float:
    return _counts(values).precision


def onset_recall(values: Values) -> float:
    return _counts(values).recall


def ratio_of_sums(values: Values) -> float:
    """Return the sum of the first over the sum of the second column, NaN when that is 0."""
    first, second = values.sum(axis=0)
    return float(first / second) if second else float("nan")


def _counts(values: Values) -> OnsetCounts:
    matched, reference, generated = (round(total) for total in values.sum(axis=0))
    return OnsetCounts(num_matched=matched, num_reference=reference, num_generated=generated)


ONSET_COLUMNS = ("onsets_matched", "onsets_reference", "onsets_generated")
TIMING = (
    ClipFigure(metric=metrics.ONSET_F1, columns=ONSET_COLUMNS, figure=onset_f1),
    ClipFigure(metric=metrics.ONSET_PRECISION, columns=ONSET_COLUMNS, figure=onset_precision),
    ClipFigure(metric=metrics.ONSET_RECALL, columns=ONSET_COLUMNS, figure=onset_recall),
    ClipFigure(metric=metrics.OFFSET, columns=("offset_sum_ms", "onsets_matched"), figure=ratio_of_sums),
    ClipFigure(
        metric=metrics.OFFSET_ABSOLUTE, columns=("offset_absolute_sum_ms", "onsets_matched"), figure=ratio_of_sums
    ),
    ClipFigure(metric=metrics.SYNC, columns=("sync_score",), figure=mean),
    ClipFigure(metric=metrics.ENVELOPE, columns=("envelope_correlation",), figure=mean),
    ClipFigure(metric=metrics.SHIFT_FOUND, columns=("shift_found",), figure=mean),
    ClipFigure(metric=metrics.SHIFT, columns=("shift_ms",), figure=median_absolute),
)
AMBIENCE = (
    ClipFigure(metric=metrics.AMBIENT_LEVEL, columns=("ambient_level_db",), figure=mean),
    ClipFigure(metric=metrics.AMBIENT_ERROR, columns=("ambient_error_db",), figure=mean_absolute),
    ClipFigure(metric=metrics.AMBIENCE_RATIO, columns=("ambience_to_action_db",), figure=mean),
    ClipFigure(metric=metrics.AMBIENCE_RATIO_ERROR, columns=("ambience_to_action_error_db",), figure=mean_absolute),
)
SIGNAL = (
    ClipFigure(metric=metrics.BANDWIDTH, columns=("bandwidth_hz",), figure=mean),
    ClipFigure(metric=metrics.NOISE_FLOOR, columns=("noise_floor_db",), figure=mean),
    ClipFigure(metric=metrics.CLIPPED, columns=("clipped_ppm",), figure=mean),
    ClipFigure(metric=metrics.LOUDNESS, columns=("loudness_lufs",), figure=mean),
    ClipFigure(metric=metrics.LOUDNESS_ERROR, columns=("loudness_error_db",), figure=mean_absolute),
    ClipFigure(metric=metrics.TRUE_PEAK, columns=("true_peak_dbtp",), figure=mean),
    ClipFigure(metric=metrics.DURATION_ERROR, columns=("duration_error_ms",), figure=mean_absolute),
)
SPECTRUM = (
    ClipFigure(metric=metrics.LOG_SPECTRAL_DISTANCE, columns=("log_spectral_distance_db",), figure=mean),
    ClipFigure(metric=metrics.STFT_ERROR, columns=("multi_resolution_stft",), figure=mean),
)
TAKES = (ClipFigure(metric=metrics.DIVERSITY, columns=("take_diversity_db",), figure=mean),)

MATERIAL_SET = (
    NetworkFigure(metric=metrics.FRECHET_MATERIAL, network="material", kind="frechet"),
    NetworkFigure(metric=metrics.PRECISION_MATERIAL, network="material", kind="precision"),
    NetworkFigure(metric=metrics.RECALL_MATERIAL, network="material", kind="recall"),
    NetworkFigure(metric=metrics.DENSITY_MATERIAL, network="material", kind="density"),
    NetworkFigure(metric=metrics.COVERAGE_MATERIAL, network="material", kind="coverage"),
)
FAD = NetworkFigure(metric=metrics.FRECHET_VGGISH, network="vggish", kind="frechet")
CLAP = NetworkFigure(metric=metrics.CLAP, network="clap", kind="pair")
IMAGEBIND = NetworkFigure(metric=metrics.IMAGEBIND, network="imagebind", kind="pair")
AV_SYNC = NetworkFigure(metric=metrics.AV_SYNC, network="avsync", kind="pair")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a protocol reports."""

    clips: tuple[ClipFigure, ...]
    networks: tuple[NetworkFigure, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics, in the order of the report."""
        return (*(entry.metric for entry in self.clips), *(entry.metric for entry in self.networks))


PROTOCOLS: dict[ProtocolName, Figures] = {
    "onset": Figures(clips=TIMING, networks=()),
    "action2sound": Figures(
        clips=(*TIMING, *AMBIENCE, *SIGNAL, *TAKES),
        networks=(
            FAD,
            AV_SYNC,
            NetworkFigure(metric=metrics.AV_SYNC_PUBLISHED, network="action2sound-avsync", kind="pair"),
            CLAP,
            *MATERIAL_SET,
        ),
    ),
    "foleygen": Figures(
        clips=(*TIMING, *SIGNAL, *TAKES),
        networks=(
            FAD,
            # AudioCraft's, by which FoleyGen is scored; av-benchmark's has no epsilon.
            NetworkFigure(metric=metrics.DIVERGENCE_PASST, network="passt", kind="divergence", epsilon=1e-6),
            IMAGEBIND,
            *MATERIAL_SET,
        ),
    ),
    "v2a": Figures(
        clips=(*TIMING, *AMBIENCE, *SIGNAL, *SPECTRUM, *TAKES),
        networks=(
            FAD,
            NetworkFigure(metric=metrics.FRECHET_PANNS, network="panns", kind="frechet"),
            NetworkFigure(metric=metrics.FRECHET_PASST, network="passt", kind="frechet"),
            NetworkFigure(metric=metrics.DIVERGENCE_PANNS, network="panns", kind="divergence"),
            NetworkFigure(metric=metrics.DIVERGENCE_PASST, network="passt", kind="divergence"),
            NetworkFigure(metric=metrics.INCEPTION_PANNS, network="panns", kind="inception"),
            NetworkFigure(metric=metrics.INCEPTION_PASST, network="passt", kind="inception"),
            IMAGEBIND,
            NetworkFigure(metric=metrics.DESYNC, network="synchformer", kind="pair"),
            CLAP,
            AV_SYNC,
            *MATERIAL_SET,
        ),
    ),
}
