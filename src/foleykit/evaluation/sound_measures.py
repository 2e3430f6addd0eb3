"""What is measured on one generated file and its reference, before any figure is formed over clips."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.audio.loudness import measure_loudness
from foleykit.audio.resample import fit_length, resample
from foleykit.core.errors import InputError, MediaError, MediaWarning
from foleykit.core.suffixes import VIDEO_SUFFIXES
from foleykit.evaluation.metrics.alignment_shift import alignment_shift
from foleykit.evaluation.metrics.ambience_to_action import ambience_to_action_db
from foleykit.evaluation.metrics.clipping import clipped_share
from foleykit.evaluation.metrics.diversity import take_diversity
from foleykit.evaluation.metrics.duration_error import duration_error
from foleykit.evaluation.metrics.effective_bandwidth import effective_bandwidth
from foleykit.evaluation.metrics.envelope_correlation import energy_envelope_db, envelope_correlation
from foleykit.evaluation.metrics.gap_level import SILENCE_DB
from foleykit.evaluation.metrics.noise_floor import noise_floor_db
from foleykit.evaluation.metrics.onset_f1 import onset_counts
from foleykit.evaluation.metrics.onset_offsets import onset_offsets
from foleykit.evaluation.metrics.quietest_window import quietest_window
from foleykit.evaluation.metrics.spectral_error import log_spectral_distance, multi_resolution_stft_error
from foleykit.evaluation.metrics.sync_score import sync_score
from foleykit.evaluation.onsets import ANALYSIS_RATE, OnsetConfig, onset_course
from foleykit.evaluation.pairing import LeftOut, Pair
from foleykit.video.probe import probe

QUIET_SECONDS = 0.5
"""Of the stretch in which a recording's ambience is heard."""
ENVELOPE_RATE = 100.0
EDGE_SECONDS = 0.03
"""At its ends every sound comes out of nothing and is cut off: no onset is told from that there."""


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """How a pair is listened to."""

    onsets: OnsetConfig = field(default_factory=OnsetConfig)
    """The detector, the same for reference and generated sound: without a truth there is nothing to tune it on."""
    tolerance: float = 0.06
    """Seconds between two onsets that agree."""
    seconds: float | None = None
    """Only the beginning of this length is compared; None compares whole clips."""
    length_tolerance: float = 0.1
    """A generated sound whose length differs from its reference's by more seconds than this is left out."""
    max_shift: float = 0.5
    """Seconds; the farthest that two sounds are moved to align them."""


@dataclass(frozen=True, kw_only=True)
class SoundMeasures:
    """What one sound is like."""

    seconds: float
    sample_rate: int
    onsets: NDArray[np.float64]
    """(N,) seconds"""
    strength: NDArray[np.float32]
    """(F,) how much begins, every `OnsetConfig.hop_seconds`"""
    envelope_db: NDArray[np.float64]
    """(F,) at 100 Hz"""
    values: dict[str, float]
    """By column; NaN where the sound has no such value, as silence has no loudness."""

    @property
    def is_silent(self) -> bool:
        return self.values["true_peak_dbtp"] == -math.inf


@dataclass(frozen=True, kw_only=True)
class PairMeasures:
    clip_id: str
    reference: SoundMeasures
    generated: SoundMeasures
    spectral: dict[str, float]
    """Columns that need both waveforms."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One pair and how to listen to it; it can be sent to another process."""

    pair: Pair
    config: MeasureConfig


def measure_pair(task: Task) -> PairMeasures | LeftOut:
    """Return what is measured on a pair, or why it is left out."""
    pair, config = task.pair, task.config
    name = pair.clip_id
    try:
        known, known_rate = read_sound(pair.reference)
    except MediaError as error:
        return LeftOut(clip_id=name, reason="reference cannot be used", detail=str(error))
    try:
        made, made_rate = read_sound(pair.generated)
        takes = [read_sound(path) for path in pair.takes]
    except MediaError as error:
        return LeftOut(clip_id=name, reason="generated sound cannot be used", detail=str(error))
    if not known.any():
        return LeftOut(clip_id=name, reason="reference is silent")
    seconds = picture_seconds(pair.reference) or known.shape[1] / known_rate
    compared = config.seconds or seconds
    for sound, rate in ((known, known_rate), (made, made_rate), *takes):
        if problem := wrong_length(sound.shape[1], rate, seconds, config):
            side = "reference has" if sound is known else "generated sound has"
            return LeftOut(clip_id=name, reason=f"{side} another length", detail=problem)
    cut = [
        (sound[:, : max(1, round(compared * rate))], rate)
        for sound, rate in ((known, known_rate), (made, made_rate), *takes)
    ]
    first, second = (measure_sound(sound, rate, config) for sound, rate in cut[:2])
    second.values["duration_error_ms"] = 1000 * duration_error(made.shape[1], made_rate, seconds)
    first.values["duration_error_ms"] = 1000 * duration_error(known.shape[1], known_rate, seconds)
    return PairMeasures(clip_id=name, reference=first, generated=second, spectral=_spectral(cut))


def read_sound(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return the whole sound (C, S) of a file and its rate; what is readable only in part raises MediaError too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", MediaWarning)
        try:
            return read_waveform(path)
        except MediaWarning as warning:
            raise MediaError(str(warning)) from warning


def picture_seconds(path: Path) -> float | None:
    """Return how long the pictures of a video last, None for a sound file."""
    return float(probe(path).duration) if path.suffix.lower() in VIDEO_SUFFIXES else None


def wrong_length(num_samples: int, sample_rate: int, seconds: float, config: MeasureConfig) -> str:
    """Return what is wrong with the length of a sound that should last `seconds`, an empty text where nothing is."""
    lasts = num_samples / sample_rate
    if config.seconds is not None:
        is_short = lasts < config.seconds - config.length_tolerance
        return f"lasts {lasts:.3f} s, {config.seconds:g} s are compared" if is_short else ""
    if abs(lasts - seconds) <= config.length_tolerance:
        return ""
    text = f"lasts {lasts:.3f} s, the reference {seconds:.3f} s"
    for true_rate in (8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000):
        if true_rate != sample_rate and abs(num_samples / true_rate - seconds) <= 0.02:
            return f"{text}: as if its {sample_rate} Hz were {true_rate} Hz"
    return f"{text}; --seconds compares beginnings"


def measure_sound(waveform: NDArray[np.float32], sample_rate: int, config: MeasureConfig) -> SoundMeasures:
    """Return what a waveform (C, S) is like."""
    mono = waveform.mean(axis=0)
    candidates, strength = onset_course(mono, sample_rate, config.onsets)
    loudness = measure_loudness(waveform, sample_rate)
    ambient_db, ratio_db = _ambience(mono, sample_rate)
    values = {
        "loudness_lufs": loudness.integrated_lufs if math.isfinite(loudness.integrated_lufs) else math.nan,
        "true_peak_dbtp": loudness.true_peak_dbtp,
        "ambient_level_db": ambient_db,
        "ambience_to_action_db": ratio_db,
        "bandwidth_hz": _or_nan(lambda: effective_bandwidth(mono, sample_rate)),
        "noise_floor_db": _or_nan(lambda: noise_floor_db(mono, sample_rate)),
        "clipped_ppm": 1e6 * clipped_share(waveform),
    }
    seconds, onsets = waveform.shape[1] / sample_rate, candidates.above(config.onsets.threshold)
    return SoundMeasures(
        seconds=seconds,
        sample_rate=sample_rate,
        onsets=onsets[(onsets >= EDGE_SECONDS) & (onsets <= seconds - EDGE_SECONDS)],
        strength=strength,
        envelope_db=energy_envelope_db(mono, sample_rate, frame_rate=ENVELOPE_RATE),
        values=values,
    )


def onset_columns(
    reference: SoundMeasures, generated: SoundMeasures, config: MeasureConfig
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Return the columns that count onsets over the common length, and the offsets (N,) in seconds of matching ones."""
    seconds = min(reference.seconds, generated.seconds) - EDGE_SECONDS
    known, made = (sound.onsets[sound.onsets <= seconds] for sound in (reference, generated))
    counts = onset_counts(known, made, tolerance=config.tolerance)
    offsets = onset_offsets(known, made, tolerance=config.tolerance)
    columns = {
        "onsets_matched": float(counts.num_matched),
        "onsets_reference": float(counts.num_reference),
        "onsets_generated": float(counts.num_generated),
        "offset_sum_ms": float(1000 * offsets.sum()),
        "offset_absolute_sum_ms": float(1000 * np.abs(offsets).sum()),
    }
    return columns, offsets


def compare_timing(
    reference: SoundMeasures, generated: SoundMeasures, config: MeasureConfig
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Return all columns that compare when things happen, over the common length, and the offsets (N,) in seconds."""
    columns, offsets = onset_columns(reference, generated, config)
    num_frames = min(len(reference.strength), len(generated.strength))
    first, second = reference.strength[:num_frames], generated.strength[:num_frames]
    frame_rate = 1 / config.onsets.hop_seconds
    num_levels = min(len(reference.envelope_db), len(generated.envelope_db))
    levels = reference.envelope_db[:num_levels], generated.envelope_db[:num_levels]
    columns["sync_score"] = _or_nan(lambda: sync_score(first, second, frame_rate, tolerance=config.tolerance))
    columns["envelope_correlation"] = _or_nan(lambda: envelope_correlation(*levels))
    columns["shift_ms"], columns["shift_found"] = _shift(first, second, frame_rate, config)
    return columns, offsets


def _shift(
    reference: NDArray[np.float32], generated: NDArray[np.float32], frame_rate: float, config: MeasureConfig
) -> tuple[float, float]:
    """Return the aligning shift in ms, NaN where there is none, and whether there is, NaN where there cannot be."""
    if not reference.any() or len(reference) < 2 * config.max_shift * frame_rate:
        return math.nan, math.nan
    if not generated.any():
        return math.nan, 0.0
    found = alignment_shift(reference, generated, frame_rate, max_seconds=config.max_shift)
    return (1000 * found.seconds if found.is_found else math.nan), float(found.is_found)


def _ambience(mono: NDArray[np.float32], sample_rate: int) -> tuple[float, float]:
    """Return the level of the quietest half second in dBFS, and how much louder that is than the action."""
    if len(mono) < 2 * QUIET_SECONDS * sample_rate:
        return math.nan, math.nan
    energy, start = quietest_window(mono, sample_rate, seconds=QUIET_SECONDS)
    length = round(QUIET_SECONDS * sample_rate)
    level_db = 10 * math.log10(max(energy / length, 10 ** (SILENCE_DB / 10)))
    gaps = np.zeros(len(mono), np.bool_)
    gaps[start : start + length] = True
    return level_db, _or_nan(lambda: ambience_to_action_db(mono, gaps, sample_rate))


def _spectral(cut: Sequence[tuple[NDArray[np.float32], int]]) -> dict[str, float]:
    """Return the columns that compare spectra of reference, generated sound and further takes, mono at 16 kHz."""
    sounds = [resample(sound.mean(axis=0), rate, ANALYSIS_RATE) for sound, rate in cut]
    length = min(len(sound) for sound in sounds)
    reference, generated, *takes = (torch.from_numpy(np.ascontiguousarray(fit_length(s, length))) for s in sounds)
    columns = {
        "log_spectral_distance_db": _or_nan(lambda: log_spectral_distance(reference, generated)),
        "multi_resolution_stft": _or_nan(lambda: multi_resolution_stft_error(reference, generated)),
    }
    if takes:
        columns["take_diversity_db"] = _or_nan(lambda: take_diversity([generated, *takes]))
    return columns


def _or_nan(measure: Callable[[], float]) -> float:
    """Return what `measure` returns, NaN where it says that there is no such value."""
    try:
        return measure()
    except InputError:
        return math.nan
