"""Waveforms of any length in flat memory: blocks in a row, and signals, on disk where long, of which parts are read."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import MediaError

Block = NDArray[np.float32]
"""(C, n), one of several in a row."""

IN_MEMORY_BYTES = 8 * 2**20
"""Signals up to this size are arrays: 44 s of 48 kHz mono."""
BLOCK_SAMPLES = 480_000
"""Samples that are looked at at a time."""


class Signal(Protocol):
    """A waveform (C, S), in memory or on disk; `signal[:, a:b]` reads samples and `signal[:, a:b] = ...` writes them.

    Arrays are signals. Slices have no step and lie inside the signal.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, part: tuple[slice, slice], /) -> NDArray[np.float32]: ...

    def __setitem__(self, part: tuple[slice, slice], values: NDArray[np.float32], /) -> None: ...


class _Spool:
    """A signal in a temporary file without a name, which disappears with this object."""

    def __init__(self, num_channels: int, num_samples: int) -> None:
        self.shape = (num_channels, num_samples)
        with _told_of_room():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the object)
            # What is not written yet reads as zeros and takes no room.
            self._file.truncate(4 * num_channels * num_samples)
        weakref.finalize(self, _close, self._file)

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        start, stop = self._seek(part)
        values = np.empty((max(stop - start, 0), self.shape[0]), np.float32)
        self._file.readinto(values.reshape(-1).data)
        return values.T[part[0]]

    def __setitem__(self, part: tuple[slice, slice], values: NDArray[np.float32]) -> None:
        assert part[0] == slice(None), "all channels are written at once"
        start, stop = self._seek(part)
        assert values.shape == (self.shape[0], stop - start), f"{values.shape} does not fit {self.shape} there"
        with _told_of_room():
            self._file.write(np.ascontiguousarray(values.T, np.float32).data)
            self._file.flush()

    def _seek(self, part: tuple[slice, slice]) -> tuple[int, int]:
        start, stop, step = part[1].indices(self.shape[1])
        assert step == 1, "a signal is read without steps"
        self._file.seek(4 * self.shape[0] * start)
        return start, stop


@contextmanager
def _told_of_room() -> Iterator[None]:
    """Turn a refusal of the file system into one line."""
    try:
        yield
    except OSError as error:
        raise MediaError(
            f"a long sound is kept in {tempfile.gettempdir()} while it is made, where it could not be written "
            f"({error.strerror}); make room there, or name another folder in the environment variable TMPDIR"
        ) from error


def _close(file: IO[bytes]) -> None:
    # What a full disk did not take is tried again here.
    with suppress(OSError):
        file.close()


class _Stretch:
    """A part of another signal."""

    def __init__(self, whole: Signal, start: int, stop: int) -> None:
        self.shape = (whole.shape[0], stop - start)
        self._whole = whole
        self._start = start

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        return self._whole[part[0], self._moved(part[1])]

    def __setitem__(self, part: tuple[slice, slice], values: NDArray[np.float32]) -> None:
        self._whole[part[0], self._moved(part[1])] = values

    def _moved(self, samples: slice) -> slice:
        start, stop, _ = samples.indices(self.shape[1])
        return slice(self._start + start, self._start + max(start, stop))


def zeros(num_channels: int, num_samples: int) -> Signal:
    """Return a silent signal to be written to; a long one lies on disk, in the system's folder for temporary files.

    Raises MediaError where there is no room; so does writing.
    """
    if 4 * num_channels * num_samples <= IN_MEMORY_BYTES:
        return np.zeros((num_channels, num_samples), np.float32)
    return _Spool(num_channels, num_samples)


def stretch(signal: Signal, start: int, stop: int) -> Signal:
    """Return samples `start` to `stop` of `signal`, or up to its end, without reading them."""
    stop = min(stop, signal.shape[1])
    return signal[:, start:stop] if isinstance(signal, np.ndarray) else _Stretch(signal, start, stop)


def write_blocks(signal: Signal, blocks: Iterable[Block], *, at: int = 0) -> Signal:
    """Write `blocks` into `signal` from sample `at` on, as many as there is room for, and return it."""
    position = at
    for block in blocks:
        part = block[:, : max(0, signal.shape[1] - position)]
        signal[:, position : position + part.shape[1]] = part
        position += part.shape[1]
    return signal


def blocks_of(signal: Signal, size: int = BLOCK_SAMPLES) -> Iterator[Block]:
    """Yield `signal` in blocks of `size` samples, the last of which may be shorter."""
    for start in range(0, signal.shape[1], size):
        yield signal[:, start : start + size]


def between(blocks: Iterable[Block], start: int, stop: int) -> Iterator[Block]:
    """Yield what lies between samples `start` and `stop` of `blocks`."""
    position = 0
    for block in blocks:
        part = block[:, max(0, start - position) : max(0, stop - position)]
        if part.shape[1]:
            yield part
        position += block.shape[1]
