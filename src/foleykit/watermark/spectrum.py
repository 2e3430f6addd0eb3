"""The time-frequency plane of the mark: frames, bands, and how strongly each place can hide a change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.resample import resample_blocks, resampled_length
from foleykit.core.signals import Signal, blocks_of, write_blocks, zeros

RATE = 16_000
"""Everything happens at this rate; sounds at other rates are marked and read through it."""
FRAME = 512
HOP = 128
NUM_BINS = FRAME // 2 + 1
SLOT_HOPS = 4

MARK_SNR_DB = 35.5
"""The mark takes this much less energy than the sound around it (2 s), unless even that is more than can hide."""
MAX_STRENGTH = 0.15
"""Largest change of an average cell, relative to its band's amplitude; with the dips the mark stays 11 dB below it."""

_FIRST_HZ, _LAST_HZ, _NARROWEST_HZ, _QUALITY = 190.0, 7400.0, 125.0, 9.0
_AROUND_HOPS = 100
_NEAR_HOPS = 2
FLOOR_POWER = (1e-5 * FRAME / 4) ** 2
"""Power of a bin below which there is nothing to mark: a tone at -100 dBFS, noise at about -80 dBFS."""
_SHARES = 10 ** np.arange(-4, 1.01, 0.25)
# The squares of four overlapping Hann windows sum to 1.5.
_SYNTHESIS = np.float32(1 / 1.5)


def _band_edges() -> NDArray[np.float64]:
    edges = [_FIRST_HZ]
    while edges[-1] < _LAST_HZ:
        edges.append(edges[-1] + max(_NARROWEST_HZ, edges[-1] / _QUALITY))
    return np.array(edges[:-1])


BAND_EDGES_HZ = _band_edges()
NUM_BANDS = len(BAND_EDGES_HZ) - 1


@cache
def band_weights(speed: float = 1.0) -> NDArray[np.float32]:
    """Return the share (bins, bands) of each bin that lies in each band of a sound played `speed` times as fast."""
    half = RATE / FRAME / 2
    centre = 2 * half * np.arange(NUM_BINS)[:, None]
    low, high = BAND_EDGES_HZ[:-1] * speed, BAND_EDGES_HZ[1:] * speed
    overlap = np.minimum(centre + half, high) - np.maximum(centre - half, low)
    return (np.clip(overlap, 0, None) / (2 * half)).astype(np.float32)


@cache
def _band_of_bin() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the band that most of each bin lies in, and 1 for bins inside the marked range, 0 for others."""
    weights = band_weights()
    return weights.argmax(1), (weights.sum(1) > 0.5).astype(np.float32)


def to_bins(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values of bands (F, bands) at bins (F, bins); bins outside the marked range take the nearest band's."""
    return bands[:, _band_of_bin()[0]]


def inside_bins() -> NDArray[np.float32]:
    """Return (bins,), 1 inside the marked range and 0 outside."""
    return _band_of_bin()[1]


def at_mark_rate(signal: Signal, sample_rate: int) -> Signal:
    """Return `signal` (C, S) at `RATE`."""
    if sample_rate == RATE:
        return signal
    length = resampled_length(signal.shape[1], sample_rate, RATE)
    return write_blocks(zeros(signal.shape[0], length), resample_blocks(blocks_of(signal), sample_rate, RATE))


def num_frames(num_samples: int) -> int:
    """Return how many frames, centred on multiples of the hop, cover `num_samples`."""
    return -(-num_samples // HOP) + 1


def frames_of(waveform: Signal, first: int, count: int) -> NDArray[np.complex64]:
    """Return the spectra (C, count, bins) of the frames of `waveform` (C, S) from `first` on."""
    begin = first * HOP - FRAME // 2
    end = begin + (count - 1) * HOP + FRAME
    part = waveform[:, max(begin, 0) : max(end, 0)]
    part = np.pad(part, ((0, 0), (max(-begin, 0), end - max(begin, 0) - part.shape[1])))
    windows = np.lib.stride_tricks.sliding_window_view(part, FRAME, axis=-1)[:, ::HOP]
    return np.fft.rfft(windows * _window(), axis=-1).astype(np.complex64)


def overlap_add(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the waveform (C, (count - 1) * HOP + FRAME) of frames (C, count, bins), from the first one's start on."""
    pieces = np.fft.irfft(spectra, n=FRAME, axis=-1).astype(np.float32) * (_window() * _SYNTHESIS)
    num_channels, count, _ = pieces.shape
    overlap = FRAME // HOP
    waveform = np.zeros((num_channels, count + overlap - 1, HOP), np.float32)
    for part in range(overlap):
        waveform[:, part : part + count] += pieces[:, :, part * HOP : (part + 1) * HOP]
    return waveform.reshape(num_channels, -1)


def power_of(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the power (count, bins) of all channels together: neither polarity nor channel order matters."""
    return (np.square(spectra.real) + np.square(spectra.imag)).sum(0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """How loud the bands are and how much of the mark each of them hides."""

    power: NDArray[np.float32]
    """(F, bands) per bin, smoothed over neighbours."""
    strength: NDArray[np.float32]
    """(F, bands) amplitude of the mark relative to the band's, 0 to `MAX_STRENGTH`."""


def levels_of(power: NDArray[np.float32]) -> Levels:
    """Return the levels of frames with `power` (F, bins).

    Loud places hold most of the energy and quiet ones as much of the information: amplitude falls with the inverse of
    the local power, limited to `MAX_STRENGTH`, scaled so that over about 2 s the mark lies `MARK_SNR_DB` below the
    sound. Digital silence and what is not above about -80 dBFS is left alone.
    """
    width = band_weights().sum(0)
    local = box_mean(box_mean(power @ band_weights() / width, _NEAR_HOPS, 0), 1, 1)
    # Differences of running sums can fall below zero by rounding.
    local = np.maximum(local, 0)
    around = np.maximum(box_mean(power.sum(1, keepdims=True), _AROUND_HOPS, 0), 0)
    is_above_floor = local / (local + np.float32(FLOOR_POWER))
    relative = around / width.sum() / (local + np.float32(1e-20))
    spent = np.stack(
        [
            (np.square(np.minimum(MAX_STRENGTH, share * relative) * is_above_floor) * local * width).sum(1)
            for share in _SHARES
        ],
        axis=1,
    )
    budget = around[:, 0] * np.float32(10 ** (-MARK_SNR_DB / 10))
    share = _share_within(box_mean(spent, _AROUND_HOPS, 0), budget)
    strength = np.minimum(MAX_STRENGTH, share[:, None] * relative) * is_above_floor
    return Levels(power=local, strength=strength.astype(np.float32))


def _share_within(spent: NDArray[np.float32], budget: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return, per frame, the share whose spending `spent` (F, shares) meets `budget` (F,), between the listed ones."""
    log_spent = np.log(np.maximum.accumulate(spent, axis=1) + 1e-30)
    log_budget = np.log(budget + 1e-30)
    above = (log_spent <= log_budget[:, None]).sum(1)
    low, high = np.clip(above - 1, 0, len(_SHARES) - 1), np.clip(above, 0, len(_SHARES) - 1)
    frame = np.arange(len(spent))
    rise = np.maximum(log_spent[frame, high] - log_spent[frame, low], 1e-6)
    position = np.clip((log_budget - log_spent[frame, low]) / rise, 0, 1)
    return np.exp(np.log(_SHARES)[low] * (1 - position) + np.log(_SHARES)[high] * position)


def box_mean(values: NDArray[np.float32], half: int, axis: int) -> NDArray[np.float32]:
    """Return the mean of each value with `half` neighbours on both sides along `axis`, fewer at the ends."""
    if axis == 1:
        return box_mean(values.T, half, 0).T
    count = len(values)
    sums = np.zeros((count + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    place = np.arange(count)
    first, last = np.maximum(place - half, 0), np.minimum(place + half + 1, count)
    return ((sums[last] - sums[first]) / (last - first)[:, None]).astype(np.float32)


@cache
def _window() -> NDArray[np.float32]:
    return np.hanning(FRAME + 1)[:FRAME].astype(np.float32)
