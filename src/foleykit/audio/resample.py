"""Change the sample rate of waveforms, whole or in pieces, with exact output lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
import soxr
from numpy.typing import NDArray

from foleykit.core.errors import InputError


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """Return how many samples `num_samples` at `from_rate` become at `to_rate`."""
    return round(Fraction(num_samples * to_rate, from_rate))


def resample(waveform: NDArray[np.float32], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Return `waveform` (C, S) or (S,) at `to_rate`, exactly `resampled_length` samples long.

    Raises InputError when a rate is not positive.
    """
    _check_rates(from_rate, to_rate)
    if from_rate == to_rate:
        return waveform
    length = resampled_length(waveform.shape[-1], from_rate, to_rate)
    if waveform.shape[-1] == 0:
        return np.zeros((*waveform.shape[:-1], length), np.float32)
    channels_last = np.ascontiguousarray(waveform.T, dtype=np.float32)
    converted = soxr.resample(channels_last, from_rate, to_rate, quality="HQ").T
    return fit_length(np.ascontiguousarray(converted, dtype=np.float32), length)


def fit_length(waveform: NDArray[np.float32], num_samples: int) -> NDArray[np.float32]:
    """Return `waveform` (..., S) cut or padded with zeros at its end to `num_samples`."""
    missing = num_samples - waveform.shape[-1]
    if missing <= 0:
        return waveform[..., :num_samples]
    return np.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(0, missing)])


class StreamResampler:
    """Resamples one long waveform (C, S) given in pieces; the joined output equals `resample` of the whole."""

    def __init__(self, from_rate: int, to_rate: int, num_channels: int) -> None:
        _check_rates(from_rate, to_rate)
        self.from_rate = from_rate
        self.to_rate = to_rate
        self.num_channels = num_channels
        self._stream = soxr.ResampleStream(from_rate, to_rate, num_channels, dtype="float32", quality="HQ")
        self._num_in = 0
        self._num_out = 0

    def push(self, piece: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        """Return the samples (C, N) that became ready; after the `last` piece the total length is exact."""
        self._num_in += piece.shape[-1]
        channels_last = np.ascontiguousarray(piece.T, dtype=np.float32)
        ready = np.asarray(self._stream.resample_chunk(channels_last, last=last), np.float32)
        ready = np.ascontiguousarray(ready.reshape(-1, self.num_channels).T)
        total = resampled_length(self._num_in, self.from_rate, self.to_rate)
        if last:
            ready = fit_length(ready, total - self._num_out)
        self._num_out += ready.shape[-1]
        return ready


def resample_blocks(
    blocks: Iterable[NDArray[np.float32]], from_rate: int, to_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Yield `resample` of the waveform that `blocks` (C, n) make up, in blocks of other sizes."""
    if from_rate == to_rate:
        yield from blocks
        return
    resampler: StreamResampler | None = None
    for block in blocks:
        resampler = resampler or StreamResampler(from_rate, to_rate, len(block))
        yield resampler.push(block)
    if resampler is not None:
        yield resampler.push(np.zeros((resampler.num_channels, 0), np.float32), last=True)


def _check_rates(from_rate: int, to_rate: int) -> None:
    if from_rate < 1 or to_rate < 1:
        raise InputError(f"sample rates are positive integers in Hz; got {from_rate} and {to_rate}")
