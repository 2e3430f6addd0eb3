"""Metrics: pure functions, one file each, and the direction in which each is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a figure is named and read."""

    key: str
    """Its name in JSON."""
    title: str
    """Its column heading."""
    better: Literal["higher", "lower", "zero", "neither"]
    decimals: int = 3


ONSET_F1 = Metric(key="onset_f1", title="onset F1", better="higher")
ONSET_F1_SHUFFLED = Metric(key="onset_f1_shuffled", title="F1 shuffled", better="lower")
ONSET_PRECISION = Metric(key="onset_precision", title="precision", better="higher")
ONSET_RECALL = Metric(key="onset_recall", title="recall", better="higher")
ENVELOPE = Metric(key="envelope_correlation", title="envelope", better="higher")
ENVELOPE_SHUFFLED = Metric(key="envelope_correlation_shuffled", title="envelope shuffled", better="lower")
GAP_BIAS = Metric(key="gap_bias_db", title="gap bias dB", better="zero", decimals=1)
GAP_MEAN_ABSOLUTE = Metric(key="gap_mean_absolute_db", title="gap MAE dB", better="lower", decimals=1)
GAP_MEDIAN_ABSOLUTE = Metric(key="gap_median_absolute_db", title="gap median dB", better="lower", decimals=1)
GAP_REDUCTION = Metric(key="gap_reduction_db", title="gap reduction dB", better="higher", decimals=1)
MATERIAL = Metric(key="material_accuracy", title="material", better="higher")
MATERIAL_BALANCED = Metric(key="material_balanced_accuracy", title="material balanced", better="higher")
FRECHET_MIX = Metric(key="frechet_mix", title="FD to mix", better="lower", decimals=2)
FRECHET_ACTION = Metric(key="frechet_action", title="FD to action", better="lower", decimals=2)
SEEN_WINS = Metric(key="seen_material_wins", title="seen wins", better="neither", decimals=2)
SEEN_SHARE = Metric(key="seen_material_share", title="seen, share of impacts", better="neither", decimals=2)
OTHER_WINS = Metric(key="other_material_wins", title="other wins", better="neither", decimals=2)
OTHER_SHARE = Metric(key="other_material_share", title="other, share of impacts", better="neither", decimals=2)
GAP_LEVEL = Metric(key="gap_level_db", title="gap level dBFS", better="neither", decimals=1)
DIAL = Metric(key="dial_spearman", title="rank correlation", better="higher")
AGREEMENT_100 = Metric(key="agreement_100ms", title="F1 100 ms", better="higher")
AGREEMENT_MEAN = Metric(key="agreement_100ms_mean", title="mean of videos' F1 100 ms", better="higher")
AGREEMENT_60 = Metric(key="agreement_60ms", title="F1 60 ms", better="higher")
OFFSET = Metric(key="offset_ms", title="onset offset ms", better="zero", decimals=1)
OFFSET_ABSOLUTE = Metric(key="offset_absolute_ms", title="absolute onset offset ms", better="lower", decimals=1)
SYNC = Metric(key="sync_score", title="sync score", better="higher")
SHIFT = Metric(key="shift_absolute_ms", title="aligning shift ms", better="lower", decimals=1)
SHIFT_FOUND = Metric(key="shift_found", title="can be aligned", better="higher")
AMBIENT_LEVEL = Metric(key="ambient_level_db", title="ambient level dBFS", better="neither", decimals=1)
AMBIENT_ERROR = Metric(key="ambient_error_db", title="ambient level error dB", better="lower", decimals=1)
AMBIENCE_RATIO = Metric(key="ambience_to_action_db", title="ambience to action dB", better="neither", decimals=1)
AMBIENCE_RATIO_ERROR = Metric(
    key="ambience_to_action_error_db", title="ambience to action error dB", better="lower", decimals=1
)
BANDWIDTH = Metric(key="bandwidth_hz", title="bandwidth Hz", better="higher", decimals=0)
NOISE_FLOOR = Metric(key="noise_floor_db", title="noise floor dBFS", better="neither", decimals=1)
CLIPPED = Metric(key="clipped_ppm", title="clipped samples ppm", better="lower", decimals=1)
LOUDNESS = Metric(key="loudness_lufs", title="loudness LUFS", better="neither", decimals=1)
LOUDNESS_ERROR = Metric(key="loudness_error_db", title="loudness error dB", better="lower", decimals=1)
TRUE_PEAK = Metric(key="true_peak_dbtp", title="true peak dBTP", better="neither", decimals=1)
DURATION_ERROR = Metric(key="duration_error_ms", title="duration error ms", better="lower", decimals=2)
LOG_SPECTRAL_DISTANCE = Metric(
    key="log_spectral_distance_db", title="log-spectral distance dB", better="lower", decimals=1
)
STFT_ERROR = Metric(key="multi_resolution_stft", title="multi-resolution STFT error", better="lower")
DIVERSITY = Metric(key="take_diversity_db", title="diversity of takes dB", better="higher", decimals=1)
FRECHET_MATERIAL = Metric(key="fd_material", title="FD (material)", better="lower", decimals=2)
PRECISION_MATERIAL = Metric(key="precision_material", title="precision (material)", better="higher")
RECALL_MATERIAL = Metric(key="recall_material", title="recall (material)", better="higher")
DENSITY_MATERIAL = Metric(key="density_material", title="density (material)", better="higher")
COVERAGE_MATERIAL = Metric(key="coverage_material", title="coverage (material)", better="higher")
FRECHET_VGGISH = Metric(key="fd_vggish", title="FAD (VGGish)", better="lower")
FRECHET_PANNS = Metric(key="fd_panns", title="FD (PANNs)", better="lower", decimals=2)
FRECHET_PASST = Metric(key="fd_passt", title="FD (PaSST)", better="lower", decimals=2)
DIVERGENCE_PANNS = Metric(key="kl_panns", title="KL (PANNs)", better="lower")
DIVERGENCE_PASST = Metric(key="kl_passt", title="KL (PaSST)", better="lower")
INCEPTION_PANNS = Metric(key="is_panns", title="IS (PANNs)", better="higher", decimals=2)
INCEPTION_PASST = Metric(key="is_passt", title="IS (PaSST)", better="higher", decimals=2)
IMAGEBIND = Metric(key="imagebind_score", title="ImageBind score", better="higher")
CLAP = Metric(key="clap_score", title="CLAP score", better="higher")
DESYNC = Metric(key="desync_seconds", title="DeSync s", better="lower")
AV_SIMILARITY = Metric(key="av_similarity", title="AV-Sim", better="higher")
AV_SYNC = Metric(key="av_sync", title="AV-Sync", better="higher")
AV_SYNC_PUBLISHED = Metric(key="av_sync_published", title="AV-Sync, as published", better="higher")

WORLD_METRICS = (
    ONSET_F1,
    ONSET_F1_SHUFFLED,
    ONSET_PRECISION,
    ONSET_RECALL,
    ENVELOPE,
    ENVELOPE_SHUFFLED,
    GAP_BIAS,
    GAP_MEAN_ABSOLUTE,
    GAP_MEDIAN_ABSOLUTE,
    GAP_REDUCTION,
    MATERIAL,
    MATERIAL_BALANCED,
    FRECHET_MIX,
    FRECHET_ACTION,
)
PROMPT_METRICS = (SEEN_WINS, SEEN_SHARE, OTHER_WINS, OTHER_SHARE)
DIAL_METRICS = (GAP_LEVEL, DIAL)
REAL_METRICS = (AGREEMENT_100, AGREEMENT_MEAN, AGREEMENT_60, ENVELOPE)
