"""From spectra to how much louder than its surroundings each tile is, and how well that agrees with patterns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foleykit.watermark.code import NUM_SLOTS, is_synchronisation
from foleykit.watermark.spectrum import (
    FLOOR_POWER,
    MAX_STRENGTH,
    NUM_BANDS,
    SLOT_HOPS,
    Levels,
    band_weights,
    box_mean,
    levels_of,
    to_bins,
)

PERIOD_HOPS = NUM_SLOTS * SLOT_HOPS

_DIP = 0.02
_SURROUNDING_HOPS = 30
_SURROUNDING_BANDS = 4
_DEVIATION_HOPS = 20
_LARGEST_DEVIATION = 2.5
_DEPTH = 1e-7
_NOISE_SHARE = 0.1
"""Part of the time in which a band is no louder than its noise."""
_CLEAR_OF_NOISE = 2.0
"""Times the noise at which a place counts half."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """A sound as the detector sees it."""

    log_power: NDArray[np.float32]
    """(F, bins)"""
    levels: Levels
    loudest: float
    """Highest power of a bin; what lies 70 dB below it says little."""


def plane_of(power: NDArray[np.float32], loudest: float) -> Plane:
    """Return the plane of frames with `power` (F, bins)."""
    levels = levels_of(power)
    faint = 0.1 * np.float32(FLOOR_POWER + loudest * _DEPTH)
    # The dips between the peaks of noise are deep and say little; a share of the local level fills them.
    log_power = np.log(power + np.float32(_DIP) * to_bins(levels.power) + faint)
    return Plane(log_power=log_power, levels=levels, loudest=loudest)


def louder_than_around(plane: Plane, speed: float = 1.0) -> NDArray[np.float32]:
    """Return (F, bands): how much louder each place is than what surrounds it.

    Differences are in standard deviations of their neighbourhood, clipped, so that the onset of a hit counts no more
    than a breath. `speed` is how many times as fast as it was made the sound is played.
    """
    bands = plane.log_power @ band_weights(speed) / np.sqrt(band_weights().sum(0))
    excess = bands - box_mean(bands, _SURROUNDING_HOPS, 0)
    excess -= box_mean(excess, _SURROUNDING_BANDS, 1)
    variance = box_mean(box_mean(np.square(excess), _DEVIATION_HOPS, 0), 1, 1)
    deviations = excess / np.sqrt(np.maximum(variance, 0) + 0.02)
    return np.clip(deviations, -_LARGEST_DEVIATION, _LARGEST_DEVIATION).astype(np.float32)


def weights_of(plane: Plane) -> NDArray[np.float32]:
    """Return (F, bands): how much each place tells, by what a mark would change there."""
    power = plane.levels.power
    is_loud = power / (power + np.float32(plane.loudest * _DEPTH + 1e-20))
    # The square root: an equaliser or a noise since then may have changed which places were quiet.
    weights = np.sqrt(plane.levels.strength / MAX_STRENGTH * band_weights().sum(0)) * is_loud
    return weights.astype(np.float32)


def clearance_of(plane: Plane) -> NDArray[np.float32]:
    """Return (F, bands), 0 to 1: how far each place stands above its band's noise.

    Noise that was added later covers the mark of what is quiet.
    """
    power = plane.levels.power
    noise = np.quantile(power, _NOISE_SHARE, axis=0).astype(np.float32)
    clearance = power / (power + np.float32(_CLEAR_OF_NOISE) * noise + np.float32(1e-20))
    return clearance.astype(np.float32)


def weighted(louder: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the means (F, bands) over three frames of `louder` (F, bands) times `weights` (F, bands)."""
    return box_mean((louder * weights).astype(np.float32), 1, 0)


def by_period(louder: NDArray[np.float32], speed: float = 1.0, *, first: int = 0) -> NDArray[np.float32]:
    """Return `louder` (F, bands) on the clock of the mark: (periods, hops of a slot, slots, bands), padded with zeros.

    `first` is the number of the first frame in its sound.
    """
    count = int(len(louder) * speed)
    if speed != 1.0:
        time = np.arange(count) / speed
        before = np.clip(time.astype(np.int64), 0, len(louder) - 2)
        share = (time - before)[:, None].astype(np.float32)
        louder = louder[before] * (1 - share) + louder[before + 1] * share
    lead = first % PERIOD_HOPS
    num_periods = max(1, -(-(lead + count) // PERIOD_HOPS))
    whole = np.zeros((num_periods * PERIOD_HOPS, NUM_BANDS), np.float32)
    whole[lead : lead + count] = louder[:count]
    return whole.reshape(num_periods, NUM_SLOTS, SLOT_HOPS, NUM_BANDS).transpose(0, 2, 1, 3)


def agreement(folds: NDArray[np.float32], patterns: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return (patterns, ..., hops of a slot, slots): how well `folds` (..., hops, slots, bands) agrees at each offset.

    Each value is a sum of numbers that are independent of the key, with the signs of the key, over the root of their
    sum of squares: for an unrelated key its variance is 1 and its tails are no heavier than a normal distribution's,
    whatever the sound is.
    """
    leading = folds.shape[:-2]
    flat = folds.reshape(-1, NUM_SLOTS, NUM_BANDS)
    spectra = np.fft.rfft(flat, axis=1).astype(np.complex64).transpose(1, 0, 2)
    sums = np.fft.irfft((spectra @ patterns.conj().transpose(1, 2, 0)).transpose(2, 1, 0), n=NUM_SLOTS, axis=-1)
    squares = np.fft.rfft(np.square(flat), axis=1).astype(np.complex64)
    mask = np.fft.rfft(is_synchronisation(), axis=0).astype(np.complex64)
    energy = np.fft.irfft(np.einsum("nfb,fb->nf", squares, mask.conj()), n=NUM_SLOTS, axis=-1)
    scores = sums / np.sqrt(np.maximum(energy, 0) + 1e-6)
    return scores.reshape(len(patterns), *leading, NUM_SLOTS).astype(np.float32)


def pattern_spectra(signs: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return synchronisation patterns (K, slots, bands) as `agreement` takes them."""
    return np.fft.rfft(signs * is_synchronisation(), axis=1).astype(np.complex64)


def aligned(fold: NDArray[np.float32], hop: int, slot: int) -> NDArray[np.float32]:
    """Return the tiles (slots, bands) of one fold (hops, slots, bands) whose pattern starts at `hop` and `slot`."""
    return np.roll(fold[hop], -slot, axis=0)
