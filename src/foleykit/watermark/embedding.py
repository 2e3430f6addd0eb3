"""Write the mark: small changes of level on tiles of time and frequency, where the sound itself hides them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.resample import resample_blocks
from foleykit.core.errors import InputError
from foleykit.core.signals import Signal, blocks_of, zeros
from foleykit.watermark.code import NUM_SLOTS, PUBLIC_KEY, marked_signs, signs
from foleykit.watermark.spectrum import (
    FRAME,
    HOP,
    NUM_BANDS,
    RATE,
    SLOT_HOPS,
    at_mark_rate,
    frames_of,
    inside_bins,
    levels_of,
    num_frames,
    overlap_add,
    power_of,
    to_bins,
)
from foleykit.watermark.tiles import (
    PERIOD_HOPS,
    agreement,
    by_period,
    louder_than_around,
    pattern_spectra,
    plane_of,
    weighted,
    weights_of,
)

_BLOCK_FRAMES = 8 * PERIOD_HOPS
# Twice the reach of the levels' smoothing, so that the result does not depend on where blocks end.
_MARGIN_FRAMES = 3 * PERIOD_HOPS
_DIP = 0.03
_LARGEST_CUT, _LARGEST_BOOST = -0.6, 1.5
# The detector's tiles are means of three frames and best in the middle of a slot's four.
_CENTRE = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Marked:
    """A sound with its mark."""

    waveform: Signal
    """(C, S)"""
    parts: tuple[Signal, ...]
    """What was given as `parts`, changed in the same places by the same factors."""
    snr_db: float
    """Level of the sound over that of the mark; inf where nothing was marked."""
    shift: int
    """Hops by which the pattern starts early."""


def embed(
    waveform: Signal,
    sample_rate: int,
    message: int,
    key: bytes = PUBLIC_KEY,
    *,
    parts: tuple[Signal, ...] = (),
    shift: int | None = None,
) -> Marked:
    """Return `waveform` (C, S) with a mark that carries the 16 bits of `message` for who knows `key`.

    The change is a gain for each cell of time and frequency, found from `waveform` alone. `parts` (C, S) are waveforms
    whose sum is `waveform`, or some of them: the same gains are applied to them, so that sums stay sums.
    Of the offsets at which the pattern may start, all alike to the detector, the one is taken with which the sound
    agrees best already: that costs no distortion (informed embedding, Cox et al. 1999). `shift` names an offset
    instead, with which the mark continues that of another version of the sound. Memory does not grow with the length.
    Digital silence stays silence.

    Raises InputError for a rate under 8 kHz, an empty waveform, a part of another shape, or a message beyond 16 bits.
    """
    check_waveform(waveform.shape, sample_rate)
    if any(part.shape != waveform.shape for part in parts):
        raise InputError(f"parts have the shape of the whole, {waveform.shape}")
    tiles = marked_signs(key, message)
    sounds = (waveform, *parts)
    heard = [at_mark_rate(sound, sample_rate) for sound in sounds]
    shift = _best_shift(heard[0], key) if shift is None else shift
    marks = [zeros(*sound.shape) for sound in heard]
    for block in _blocks(heard[0].shape[1]):
        gains = _gains(heard[0], block, tiles, shift)
        for sound, mark in zip(heard, marks, strict=True):
            _add_block(mark, overlap_add(gains * frames_of(sound, block.start, len(block))), block.start)
    marked = [_sum(sound, mark, sample_rate) for sound, mark in zip(sounds, marks, strict=True)]
    whole, snr_db = marked[0]
    return Marked(waveform=whole, parts=tuple(part for part, _ in marked[1:]), snr_db=snr_db, shift=shift)


def check_waveform(shape: tuple[int, ...], sample_rate: int) -> None:
    """Raise InputError for what is no waveform (C, S), is empty, or has a rate under 8 kHz."""
    if len(shape) != 2 or shape[1] == 0 or sample_rate < 8000:
        raise InputError(
            f"a mark needs a waveform (channels, samples) at 8 kHz or more; got {shape} at {sample_rate} Hz"
        )


def _blocks(num_samples: int) -> Iterator[range]:
    """Yield successive ranges of frames."""
    count = num_frames(num_samples)
    for first in range(0, count, _BLOCK_FRAMES):
        yield range(first, min(first + _BLOCK_FRAMES, count))


def _with_margin(waveform: Signal, block: range) -> tuple[NDArray[np.float32], slice]:
    """Return the power (F, bins) of `block` and its surroundings, and where in it the block lies."""
    first = max(0, block.start - _MARGIN_FRAMES)
    last = min(num_frames(waveform.shape[-1]), block.stop + _MARGIN_FRAMES)
    return power_of(frames_of(waveform, first, last - first)), slice(block.start - first, block.stop - first)


def _gains(waveform: Signal, block: range, tiles: NDArray[np.float32], shift: int) -> NDArray[np.float32]:
    """Return (F, bins): the mark of each cell relative to the cell.

    Power raised by log(power)'s own slope: cells below the local level change more, peaks less.
    """
    power, inner = _with_margin(waveform, block)
    levels = levels_of(power)
    wanted = tiles[(np.asarray(block) + shift) // SLOT_HOPS % len(tiles)] * levels.strength[inner]
    local = to_bins(levels.power[inner])
    gains = to_bins(wanted.astype(np.float32)) * local / (power[inner] + np.float32(_DIP) * local + np.float32(1e-20))
    return np.clip(gains, _LARGEST_CUT, _LARGEST_BOOST).astype(np.float32) * inside_bins()


def _best_shift(waveform: Signal, key: bytes) -> int:
    """Return the number of hops by which the pattern starts early, for the best agreement with the sound as it is."""
    blocks = list(_blocks(waveform.shape[-1]))
    loudest = max(float(power_of(frames_of(waveform, block.start, len(block))).max()) for block in blocks)
    fold = np.zeros((1, SLOT_HOPS, NUM_SLOTS, NUM_BANDS), np.float32)
    for block in blocks:
        power, inner = _with_margin(waveform, block)
        plane = plane_of(power, loudest)
        louder = weighted(louder_than_around(plane), weights_of(plane))
        fold += by_period(louder[inner], first=block.start).sum(0)
    scores = agreement(fold, pattern_spectra(signs(key)[None]))[0, 0]
    hop, slot = np.unravel_index(scores.argmax(), scores.shape)
    return int(-(hop - _CENTRE + SLOT_HOPS * slot) % PERIOD_HOPS)


def _add_block(mark: Signal, piece: NDArray[np.float32], first_frame: int) -> None:
    """Add `piece` (C, s), which begins half a frame before its first frame's centre, to `mark` (C, S) in place."""
    begin = first_frame * HOP - FRAME // 2
    skipped = max(0, -begin)
    span = slice(begin + skipped, min(begin + piece.shape[1], mark.shape[1]))
    mark[:, span] = mark[:, span] + piece[:, skipped : span.stop - begin]


def _sum(sound: Signal, mark: Signal, sample_rate: int) -> tuple[Signal, float]:
    """Return `sound` (C, S) with `mark`, which is at `RATE`, and the level in dB of the one over the other."""
    total = zeros(*sound.shape)
    energies = np.zeros(2)
    position = 0
    # The mark may end a sample before the sound, whose length the two clocks round differently.
    silence = np.zeros((sound.shape[0], sample_rate // RATE + 1), np.float32)
    for block in chain(resample_blocks(blocks_of(mark), RATE, sample_rate), (silence,)):
        part = sound[:, position : position + block.shape[1]]
        change = block[:, : part.shape[1]]
        total[:, position : position + part.shape[1]] = part + change
        energies += [np.vdot(part, part), np.vdot(change, change)]
        position += part.shape[1]
    level, cost = energies
    return total, 10 * math.log10(level / cost) if min(level, cost) > 0 else math.inf
