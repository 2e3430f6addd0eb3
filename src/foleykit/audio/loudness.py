"""EBU R128 integrated loudness and true peak, and the gain that brings a sound to a wanted loudness."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
import av.filter
import numpy as np
import soxr
from numpy.typing import NDArray

from foleykit.core.errors import InputError

_GATE_LUFS = -70.0
_MIN_SECONDS = 0.4
_TRUE_PEAK_RATE = 192_000
_CONTEXT = 256
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True, kw_only=True)
class Loudness:
    integrated_lufs: float
    """Gated loudness of the whole sound; -inf for silence."""
    true_peak_dbtp: float
    """Highest peak between the samples too, in dB relative to full scale; -inf for silence."""


def measure_loudness(waveform: NDArray[np.float32] | Iterable[NDArray[np.float32]], sample_rate: int) -> Loudness:
    """Return the loudness of a waveform (C, S), or of its successive blocks (C, n), in constant memory.

    A sound shorter than one gating block of 0.4 s is measured as if it were repeated. Raises InputError for a channel
    count without a standard layout.
    """
    blocks = [waveform] if isinstance(waveform, np.ndarray) else waveform
    meter: _Meter | None = None
    for block in blocks:
        if block.shape[-1] == 0:
            continue
        meter = meter or _Meter(block.shape[0], sample_rate)
        for start in range(0, block.shape[-1], sample_rate):
            meter.push(block[:, start : start + sample_rate])
    return Loudness(integrated_lufs=-math.inf, true_peak_dbtp=-math.inf) if meter is None else meter.finish()


def normalise(
    waveform: NDArray[np.float32] | Iterable[NDArray[np.float32]],
    sample_rate: int,
    *,
    target_lufs: float | None,
    ceiling_dbtp: float = -1.0,
) -> float:
    """Return the gain in dB that brings a waveform (C, S), or its blocks, to `target_lufs` below `ceiling_dbtp`.

    The ceiling wins over the target. `target_lufs` None asks for the ceiling alone: the gain is then 0 or less. Silence
    needs no gain.
    """
    loudness = measure_loudness(waveform, sample_rate)
    if not math.isfinite(loudness.true_peak_dbtp):
        return 0.0
    headroom_db = ceiling_dbtp - loudness.true_peak_dbtp
    if target_lufs is None or not math.isfinite(loudness.integrated_lufs):
        return min(0.0, headroom_db)
    return min(target_lufs - loudness.integrated_lufs, headroom_db)


class _Meter:
    """FFmpeg's ebur128 filter for the loudness; it rounds peaks to 0.001 of full scale, so the peak is our own."""

    def __init__(self, num_channels: int, sample_rate: int) -> None:
        if num_channels not in _LAYOUTS:
            raise InputError(f"loudness is defined for 1 to 6 or 8 channels, not {num_channels}")
        self.layout = _LAYOUTS[num_channels]
        self.sample_rate = sample_rate
        self.num_samples = 0
        self.peak = 0.0
        self._tail = np.zeros((num_channels, _CONTEXT), np.float32)
        self._short: list[NDArray[np.float32]] = []
        self._metadata: dict[str, str] = {}
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(
            sample_rate=sample_rate, format="fltp", layout=self.layout, time_base=Fraction(1, sample_rate)
        )
        meter = self._graph.add("ebur128", "metadata=1:framelog=quiet")
        sink = self._graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        self._graph.configure()

    def push(self, block: NDArray[np.float32]) -> None:
        """Take at most one second (C, n)."""
        if self.num_samples < _MIN_SECONDS * self.sample_rate:
            self._short.append(block)
        self._feed(block)
        self._listen_between(block)

    def finish(self) -> Loudness:
        if self.num_samples < _MIN_SECONDS * self.sample_rate:
            whole = np.concatenate(self._short, axis=-1)
            for _ in range(math.ceil(2 * _MIN_SECONDS * self.sample_rate / whole.shape[-1])):
                self._feed(whole)
        self._listen_between(np.zeros_like(self._tail))
        self._graph.push(None)
        self._drain()
        lufs = float(self._metadata.get("lavfi.r128.I", "-inf"))
        return Loudness(
            integrated_lufs=lufs if lufs > _GATE_LUFS else -math.inf,
            true_peak_dbtp=20 * math.log10(self.peak) if self.peak > 0 else -math.inf,
        )

    def _listen_between(self, block: NDArray[np.float32]) -> None:
        """Raise the peak by what lies between the samples, up to half a context before the end of `block`."""
        joined = np.concatenate([self._tail, block], axis=-1)
        self._tail = joined[:, -_CONTEXT:]
        loudest = float(np.abs(joined).max())
        self.peak = max(self.peak, float(np.abs(block).max()))
        # Between samples a sound rises by well under 6 dB, so quiet stretches need not be oversampled.
        if loudest > 0.5 * self.peak and self.sample_rate < _TRUE_PEAK_RATE:
            factor = max(4, -(-_TRUE_PEAK_RATE // self.sample_rate))
            between = soxr.resample(np.ascontiguousarray(joined.T), self.sample_rate, self.sample_rate * factor)
            edge = _CONTEXT // 2 * factor
            self.peak = max(self.peak, float(np.abs(between[edge:-edge]).max()))

    def _feed(self, block: NDArray[np.float32]) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block, np.float32), format="fltp", layout=self.layout)
        frame.sample_rate = self.sample_rate
        frame.pts = self.num_samples
        frame.time_base = Fraction(1, self.sample_rate)
        self.num_samples += block.shape[-1]
        self._graph.push(frame)
        self._drain()

    def _drain(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self._metadata.update(frame.metadata)
