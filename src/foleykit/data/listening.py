"""Numbers that tell voices and music from everything else, measured on the signal alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
FEATURE_RATE = 16_000
"""Hz; features are defined at this sample rate only."""

FEATURE_NAMES = (
    "voiced_share",
    "harmonicity",
    "glide_share",
    "steady_share",
    "jump_share",
    "runs_per_second",
    "run_seconds",
    "pitch_span",
    "pitch_centre",
    "syllable_modulation",
    "fast_modulation",
    "level_deviation",
    "level_range",
    "hiss_share",
    "hiss_turns",
    "low_band",
    "middle_band",
    "high_band",
    "flatness",
    "centroid_deviation",
    "tonal_share",
    "constant_tone_share",
    "note_share",
    "notes_per_second",
    "grid_coherence",
    "chroma_turns",
    "attack_strength",
    "crest",
)
"""What `signal_features` returns, in order; each is of order one."""

_HOP = 320
_PITCH_FRAME = 640
_ENVELOPE_HOP = 160
_MIN_PITCH, _MAX_PITCH = 70.0, 420.0
_VOICED = 0.6
_AUDIBLE_DB = 28.0
_TONE_FRAME, _TONE_HOP = 2048, 768
_TONE_PROMINENCE_DB = 7.0
_AROUND = 12


def signal_features(waveform: Waveform) -> NDArray[np.float64]:
    """Return (len(FEATURE_NAMES),) of a mono waveform (S,) at FEATURE_RATE, at least 0.5 s long.

    They do not depend on its level; digital silence gives zeros.
    """
    samples = np.asarray(waveform, np.float64) - float(np.mean(waveform))
    if samples.size < FEATURE_RATE // 2:
        samples = np.pad(samples, (0, FEATURE_RATE // 2 - samples.size))
    rms = float(np.sqrt(np.mean(samples**2)))
    if rms < 1e-7:
        return np.zeros(len(FEATURE_NAMES))
    samples /= rms
    frames = _frames(samples, _PITCH_FRAME, _HOP)
    level_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-9)
    audible = level_db > level_db.max() - _AUDIBLE_DB
    values = [
        *_pitch_features(frames, audible),
        *_level_features(samples, level_db),
        *_spectrum_features(frames, audible),
    ]
    values += [*_tone_features(samples), *_attack_features(samples)]
    return np.array(values)


def _frames(samples: NDArray[np.float64], size: int, hop: int) -> NDArray[np.float64]:
    """Return (T, size) views."""
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]


@lru_cache(maxsize=4)
def _window(size: int) -> NDArray[np.float64]:
    return np.hanning(size + 1)[:size]


@lru_cache(maxsize=1)
def _window_correlation() -> NDArray[np.float64]:
    spectrum = np.abs(np.fft.rfft(_window(_PITCH_FRAME), 2 * _PITCH_FRAME)) ** 2
    correlation = np.fft.irfft(spectrum)
    return np.asarray(correlation / correlation[0])


def _pitch(frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (T,) strength in [0, 1] and (T,) Hz of the period of each frame (Boersma 1993)."""
    spectrum = np.abs(np.fft.rfft(frames * _window(_PITCH_FRAME), 2 * _PITCH_FRAME)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)
    correlation = correlation / (correlation[:, :1] + 1e-9) / _window_correlation()
    shortest, longest = int(FEATURE_RATE / _MAX_PITCH), int(FEATURE_RATE / _MIN_PITCH)
    lags = np.arange(shortest, longest)
    inside = correlation[:, shortest:longest]
    is_peak = (inside >= correlation[:, shortest - 1 : longest - 1]) & (
        inside > correlation[:, shortest + 1 : longest + 1]
    )
    # Of equal peaks the shortest lag is the period; the others are its multiples.
    score = np.where(is_peak, inside - 0.05 * np.log2(lags / shortest), -1.0)
    best = np.argmax(score, axis=1)
    rows = np.arange(len(frames))
    left, middle, right = (correlation[rows, best + shortest + shift] for shift in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(np.abs(bend) > 1e-9, 0.5 * (left - right) / np.where(np.abs(bend) > 1e-9, bend, 1.0), 0.0)
    return np.clip(inside[rows, best], 0, 1), FEATURE_RATE / (best + shortest + np.clip(shift, -1, 1))


def _pitch_features(frames: NDArray[np.float64], audible: NDArray[np.bool_]) -> list[float]:
    strength, pitch = _pitch(frames)
    voiced = (strength > _VOICED) & audible
    both = voiced[1:] & voiced[:-1]
    steps = 12 * np.abs(np.diff(np.log2(pitch)))[both]
    count = max(1, steps.size)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(int), [0]])))
    lengths = (edges[1::2] - edges[::2]) * _HOP / FEATURE_RATE
    runs = lengths[lengths >= 0.03]
    tones = 12 * np.log2(pitch[voiced] / 100) if voiced.any() else np.zeros(1)
    seconds = len(frames) * _HOP / FEATURE_RATE
    return [
        float(voiced.mean()),
        float(strength[audible].mean()) if audible.any() else 0.0,
        float(((steps > 0.04) & (steps < 1.2)).sum() / count),
        float((steps <= 0.04).sum() / count),
        float((steps >= 1.2).sum() / count),
        float(len(runs) / seconds / 5),
        float(np.log2(1 + runs.mean() * 10)) if runs.size else 0.0,
        float(np.percentile(tones, 85) - np.percentile(tones, 15)) / 12,
        float(np.median(tones)) / 12,
    ]


def _level_features(samples: NDArray[np.float64], level_db: NDArray[np.float64]) -> list[float]:
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(samples.size, 1 / FEATURE_RATE)
    spectrum[(frequencies < 250) | (frequencies > 4000)] = 0
    band = np.fft.irfft(spectrum, samples.size)
    envelope = np.sqrt(np.mean(_frames(band, _ENVELOPE_HOP, _ENVELOPE_HOP) ** 2, axis=1))
    envelope = envelope / (envelope.mean() + 1e-9)
    power = np.abs(np.fft.rfft((envelope - 1) * _window(envelope.size))) ** 2
    rates = np.fft.rfftfreq(envelope.size, _ENVELOPE_HOP / FEATURE_RATE)
    total = power[(rates > 0.4) & (rates < 45)].sum() + 1e-9
    return [
        float(power[(rates >= 2) & (rates <= 8)].sum() / total),
        float(power[(rates > 12) & (rates < 45)].sum() / total),
        float(np.std(np.maximum(level_db, level_db.max() - 50))) / 10,
        float(np.percentile(level_db, 90) - np.percentile(level_db, 10)) / 20,
    ]


def _spectrum_features(frames: NDArray[np.float64], audible: NDArray[np.bool_]) -> list[float]:
    power = np.abs(np.fft.rfft(frames * _window(_PITCH_FRAME))) ** 2 + 1e-9
    frequencies = np.fft.rfftfreq(_PITCH_FRAME, 1 / FEATURE_RATE)
    loud = power[audible]
    is_high, is_low = frequencies > 2500, frequencies < 1200
    hiss = loud[:, is_high].sum(1) > loud[:, is_low].sum(1)
    bands = [loud[:, (frequencies >= low) & (frequencies < high)].sum() for low, high in _BANDS]
    shares = np.array(bands) / loud.sum()
    centroid = np.log2((loud * frequencies).sum(1) / loud.sum(1) + 50)
    inside = (frequencies > 100) & (frequencies < 7000)
    flatness = np.exp(np.mean(np.log(loud[:, inside]), axis=1)) / np.mean(loud[:, inside], axis=1)
    seconds = len(frames) * _HOP / FEATURE_RATE
    return [
        float(hiss.mean()),
        float(np.abs(np.diff(hiss.astype(int))).sum() / seconds / 10),
        *(float(np.log10(share + 1e-3)) for share in shares),
        float(np.log10(flatness + 1e-4).mean()),
        float(np.std(centroid)),
    ]


_BANDS = ((0.0, 250.0), (250.0, 2000.0), (4000.0, 8000.0))


def _tone_features(samples: NDArray[np.float64]) -> list[float]:
    """Return what can be said about partials that hold their frequency."""
    if samples.size < _TONE_FRAME + 8 * _TONE_HOP:
        samples = np.pad(samples, (0, _TONE_FRAME + 8 * _TONE_HOP - samples.size))
    power = np.abs(np.fft.rfft(_frames(samples, _TONE_FRAME, _TONE_HOP) * _window(_TONE_FRAME))) ** 2 + 1e-6
    power = power[:, 8:512]
    level = 10 * np.log10(power)
    sums = np.cumsum(np.pad(level, ((0, 0), (_AROUND + 1, _AROUND)), mode="edge"), axis=1)
    around = (sums[:, 2 * _AROUND + 1 :] - sums[:, : -2 * _AROUND - 1]) / (2 * _AROUND + 1)
    is_peak = (level > np.roll(level, 1, 1)) & (level >= np.roll(level, -1, 1)) & (level > around + _TONE_PROMINENCE_DB)
    is_peak &= level > level.max() - 45
    is_peak[:, [0, -1]] = False
    # A partial may wander by one bin between frames.
    near = is_peak | np.roll(is_peak, 1, 1) | np.roll(is_peak, -1, 1)
    held = is_peak.copy()
    for shift in (1, 2):
        held[shift:] &= near[:-shift]
        held[:shift] = False
    for shift in (1, 2):
        held[:-shift] |= is_peak[:-shift] & near[shift:] & held[shift:]
    energy = np.where(held, power + np.roll(power, 1, 1) + np.roll(power, -1, 1), 0)
    presence = near.mean(axis=0)
    always = presence > 0.75
    total = power.sum() + 1e-9
    steady, notes = energy[:, always].sum() / total, energy[:, ~always].sum() / total
    starts = held[1:] & ~(held | np.roll(held, 1, 1) | np.roll(held, -1, 1))[:-1]
    seconds = samples.size / FEATURE_RATE
    rows, bins = np.nonzero(held[:, :] & ~always[None])
    coherence, turns = 0.0, 0.0
    if rows.size:
        left, middle, right = (level[rows, bins + shift] for shift in (-1, 0, 1))
        offset = 0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-6)
        frequency = (bins + 8 + offset) * FEATURE_RATE / _TONE_FRAME
        tones = 12 * np.log2(frequency / 440)
        weights = np.sqrt(power[rows, bins]) * (frequency > 180)
        coherence = float(np.abs((weights * np.exp(2j * np.pi * tones)).sum()) / (weights.sum() + 1e-9))
        chroma = np.zeros((len(level), 12))
        np.add.at(chroma, (rows, np.round(tones).astype(int) % 12), weights)
        chroma /= np.linalg.norm(chroma, axis=1, keepdims=True) + 1e-9
        turns = 1 - float((chroma[5:] * chroma[:-5]).sum(1).mean())
    return [
        float(steady + notes),
        float(steady),
        float(notes),
        float(starts.sum() / seconds / 50),
        coherence,
        turns,
    ]


def _attack_features(samples: NDArray[np.float64]) -> list[float]:
    power = np.abs(np.fft.rfft(_frames(samples, 512, _ENVELOPE_HOP) * _window(512))) ** 2
    level = np.log(power + 1e-3 * power.mean())
    rise = np.maximum(level[2:] - level[:-2], 0).mean(axis=1)
    return [float(np.percentile(rise, 98)), float(np.log10(np.abs(samples).max()))]
