"""When sounds begin: a spectral-flux onset detector that stationary background hardly disturbs."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from foleykit.core.errors import ConfigError, InputError
from foleykit.evaluation.spectrogram import mel_filter_bank, power_spectrogram

ANALYSIS_RATE = 16_000
MIN_STRENGTH = 0.04
"""Weaker maxima of the flux are never onsets; a threshold below this changes nothing."""


@dataclass(frozen=True, kw_only=True)
class OnsetConfig:
    """How the detector listens; everything is analysed at 16 kHz."""

    threshold: float = 0.3
    """Least strength of an onset: the mean rise over mel bands, in nepers above the local median."""
    min_gap_seconds: float = 0.05
    """Of two onsets closer than this only the stronger one is kept."""
    num_mels: int = 48
    window_seconds: float = 0.024
    hop_seconds: float = 0.004
    lag_seconds: float = 0.012
    """A rise is measured against the spectrum this much earlier."""
    background_seconds: float = 2.0
    """Length of the stretch whose low quantile is the background of each band."""
    background_quantile: float = 0.3
    background_factor: float = 4.0
    """Power below this multiple of the background is treated as background."""
    floor_db: float = -75.0
    """Band power in dBFS below which nothing counts as sound."""
    dynamic_range_db: float = 60.0
    """Band power this far below the loudest band of the recording counts as silence."""
    median_seconds: float = 0.4
    """Stretch over which the local median of the flux is taken."""

    def __post_init__(self) -> None:
        if not 0 < self.background_quantile < 1:
            raise ConfigError(f"background_quantile must lie between 0 and 1, got {self.background_quantile:g}")
        if min(self.min_gap_seconds, self.hop_seconds, self.lag_seconds, self.window_seconds) <= 0:
            raise ConfigError("min_gap_seconds, hop_seconds, lag_seconds and window_seconds must be positive")


@dataclass(frozen=True, kw_only=True)
class OnsetCandidates:
    """Every local maximum of the flux, so that a threshold can be tuned without listening again."""

    times: NDArray[np.float64]
    """(N,) seconds, sorted."""
    strengths: NDArray[np.float64]
    """(N,) heights above the local median."""

    def above(self, threshold: float) -> NDArray[np.float64]:
        """Return the times (N,) whose strength reaches `threshold`."""
        return self.times[self.strengths >= threshold]


def detect_onsets(
    waveform: NDArray[np.float32], sample_rate: int, config: OnsetConfig = OnsetConfig()
) -> NDArray[np.float64]:
    """Return the onset times (N,) in seconds of a mono `waveform` (S,), sorted; silence has none."""
    return onset_candidates(waveform, sample_rate, config).above(config.threshold)


def onset_candidates(
    waveform: NDArray[np.float32], sample_rate: int, config: OnsetConfig = OnsetConfig()
) -> OnsetCandidates:
    """Return all candidate onsets of a mono `waveform` (S,); `config.threshold` is not applied.

    Raises InputError when the waveform is not one channel of finite samples.
    """
    return onset_course(waveform, sample_rate, config)[0]


def onset_course(
    waveform: NDArray[np.float32], sample_rate: int, config: OnsetConfig = OnsetConfig()
) -> tuple[OnsetCandidates, NDArray[np.float32]]:
    """Return the candidate onsets of a mono `waveform` (S,) and the flux (F,) they are the peaks of.

    The flux has a value every `config.hop_seconds`, is never negative and 0 where nothing begins. It is 0 at both ends
    too, where every sound comes out of nothing and is cut off. Raises InputError as `onset_candidates` does.
    """
    if waveform.ndim != 1 or not len(waveform):
        raise InputError(f"onsets need one channel with at least one sample, got shape {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise InputError("onsets need finite samples, this waveform holds NaN or infinity")
    samples = np.asarray(waveform, dtype=np.float32)
    if sample_rate != ANALYSIS_RATE:
        samples = np.asarray(soxr.resample(samples, sample_rate, ANALYSIS_RATE), dtype=np.float32)
    flux = _flux(samples, config)
    excess = flux - _running_median(flux, round(config.median_seconds / config.hop_seconds))
    peaks = _separate_peaks(excess, round(config.min_gap_seconds / config.hop_seconds))
    times = np.array([_attack_time(samples, peak * config.hop_seconds) for peak in peaks], dtype=np.float64)
    order = _separate_times(times, config.min_gap_seconds)
    candidates = OnsetCandidates(times=times[order], strengths=excess[peaks][order].astype(np.float64))
    course, reach = flux.copy(), round((config.lag_seconds + config.window_seconds / 2) / config.hop_seconds) + 1
    course[:reach] = course[max(0, len(course) - reach) :] = 0
    return candidates, course


def _flux(samples: NDArray[np.float32], config: OnsetConfig) -> NDArray[np.float32]:
    """Return the mean rise (F,) over bands of log(1 + power / background)."""
    hop_length = round(config.hop_seconds * ANALYSIS_RATE)
    power = power_spectrogram(
        torch.from_numpy(samples),
        window_length=round(config.window_seconds * ANALYSIS_RATE),
        num_fft=512,
        hop_length=hop_length,
    )
    bands = (mel_filter_bank(257, config.num_mels, ANALYSIS_RATE, 80.0, 7800.0) @ power).numpy()
    floor = max(10 ** (config.floor_db / 10), float(bands.max()) * 10 ** (-config.dynamic_range_db / 10))
    level = np.log1p(bands / (config.background_factor * _background(bands, config) + floor))
    lag = max(1, round(config.lag_seconds / config.hop_seconds))
    earlier = np.concatenate([np.zeros((len(level), lag), np.float32), level[:, :-lag]], axis=1)[:, : level.shape[1]]
    # The neighbouring bands' maximum keeps a gliding tone from counting as a rise.
    padded = np.pad(earlier, ((1, 1), (0, 0)), mode="edge")
    earlier = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(level - earlier, 0).mean(axis=0).astype(np.float32)


def _background(bands: NDArray[np.float32], config: OnsetConfig) -> NDArray[np.float32]:
    """Return the slowly varying background power of each band (M, F): a running low quantile."""
    stride = 4
    coarse = bands[:, ::stride]
    reach = min(max(1, round(config.background_seconds / config.hop_seconds / stride / 2)), coarse.shape[1] - 1)
    padded = np.pad(coarse, ((0, 0), (reach, reach)), mode="reflect") if reach else coarse
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1)
    rank = int(config.background_quantile * (2 * reach))
    quantile = np.partition(windows, rank, axis=-1)[..., rank]
    return np.repeat(quantile, stride, axis=1)[:, : bands.shape[1]]


def _running_median(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return the median (F,) over a centred stretch of about `width` frames."""
    reach = max(1, width // 2)
    padded = np.pad(values, reach, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=-1))


def _separate_peaks(values: NDArray[np.float32], min_gap: int) -> NDArray[np.int64]:
    """Return frames of local maxima, strongest first, none closer than `min_gap` frames to a stronger one."""
    padded = np.pad(values, 1, constant_values=-np.inf)
    is_peak = (values >= MIN_STRENGTH) & (values >= padded[:-2]) & (values > padded[2:])
    taken = np.zeros(len(values), dtype=bool)
    kept = []
    for frame in sorted(np.flatnonzero(is_peak), key=lambda frame: -values[frame]):
        if not taken[frame]:
            kept.append(frame)
            taken[max(0, frame - min_gap + 1) : frame + min_gap] = True
    return np.array(kept, dtype=np.int64)


def _separate_times(times: NDArray[np.float64], min_gap: float) -> list[int]:
    """Return which of `times` (N,), strongest first, lie no closer than `min_gap` to a stronger one, in order of time.

    Two peaks of the flux may belong to one attack, and are then moved to it both.
    """
    kept: list[tuple[float, int]] = []
    for index, time in enumerate(times.tolist()):
        place = bisect(kept, (time, index))
        if all(abs(time - near) >= min_gap for near, _ in kept[max(0, place - 1) : place + 1]):
            kept.insert(place, (time, index))
    return [index for _, index in kept]


def _attack_time(samples: NDArray[np.float32], peak_seconds: float) -> float:
    """Return the start of the attack near a flux peak: where the loudness has gone half its way up, to 1 ms.

    The flux window is 32 ms long and sees an attack before it happens; 4 ms windows on the waveform do not.
    """
    hop_length, window_length = 16, 64
    first = max(0, round((peak_seconds - 0.05) * ANALYSIS_RATE))
    last = min(len(samples), round((peak_seconds + 0.04) * ANALYSIS_RATE))
    piece = torch.from_numpy(samples[first:last])
    power = power_spectrogram(piece, window_length=window_length, num_fft=window_length, hop_length=hop_length).numpy()
    before = np.median(power[:, : max(1, power.shape[1] // 4)], axis=1, keepdims=True)
    rise = np.log1p(power / (4 * before + 1e-9 + power.max() * 1e-5)).mean(axis=0)
    top = int(np.argmax(rise))
    half = (rise[top] + np.median(rise[: max(1, top)])) / 2
    start = top
    while start > 0 and rise[start - 1] >= half:
        start -= 1
    return float((first + start * hop_length) / ANALYSIS_RATE)
