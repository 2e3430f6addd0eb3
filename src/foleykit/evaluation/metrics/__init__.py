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
GAP_LEVEL = Metric(key="gap_level_db", title="gap level dBFS", better="neither", decimals=1)
DIAL = Metric(key="dial_spearman", title="rank correlation", better="higher")
AGREEMENT_100 = Metric(key="agreement_100ms", title="F1 100 ms", better="higher")
AGREEMENT_60 = Metric(key="agreement_60ms", title="F1 60 ms", better="higher")

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
DIAL_METRICS = (GAP_LEVEL, DIAL)
REAL_METRICS = (AGREEMENT_100, AGREEMENT_60)
