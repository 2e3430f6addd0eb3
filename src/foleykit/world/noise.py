"""Noise of a wanted spectrum, FFT convolution and slow random curves: what every sound of the world is made from."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Response = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Frequencies in Hz (F,) to magnitudes (F,)."""


@lru_cache(maxsize=4096)
def fast_length(minimum: int) -> int:
    """Return the smallest even number with no prime factor above 5 that is at least `minimum`."""
    best = 1 << max(1, (minimum - 1).bit_length())
    five = 1
    while five < best:
        three = five
        while three < best:
            two = max(1, -(-minimum // three) - 1).bit_length()
            best = min(best, three << max(1, two))
            three *= 3
        five *= 5
    return best


@lru_cache(maxsize=16)
def frequency_grid(length: int, sample_rate: int) -> NDArray[np.float32]:
    """Return the bin frequencies (length // 2 + 1,) in Hz; the first is a small positive number, so that logs exist."""
    grid = np.fft.rfftfreq(length, 1 / sample_rate).astype(np.float32)
    grid[0] = grid[1] / 2
    grid.flags.writeable = False
    return grid


def shaped_noise(
    num_samples: int, sample_rate: int, response: Response, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return stationary Gaussian noise (S,) with unit RMS whose magnitude spectrum follows `response`."""
    length = fast_length(max(16, num_samples))
    frequencies = frequency_grid(length, sample_rate)
    spectrum = rng.standard_normal((frequencies.size, 2), dtype=np.float32).view(np.complex64)[:, 0]
    spectrum = spectrum * response(frequencies).astype(np.float32)
    spectrum[0] = 0
    return unit_rms(np.fft.irfft(spectrum, length)[:num_samples].astype(np.float32))


def convolve(signal: NDArray[np.float32], kernel: NDArray[np.float32], num_samples: int) -> NDArray[np.float32]:
    """Return the first `num_samples` of the causal convolution of two one-dimensional arrays."""
    length = fast_length(max(16, min(signal.size + kernel.size, num_samples + kernel.size)))
    product = np.fft.rfft(signal[:num_samples], length) * np.fft.rfft(kernel, length)
    result = np.fft.irfft(product, length)[:num_samples].astype(np.float32)
    return np.pad(result, (0, num_samples - result.size)) if result.size < num_samples else result


def unit_rms(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `signal` scaled to RMS 1, or unchanged when it is all zeros."""
    rms = float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if signal.size else 0.0
    return signal / np.float32(rms) if rms > 0 else signal


def slow_curve(num_samples: int, sample_rate: int, rate_hz: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth random curve (S,) of zero mean and unit variance that turns about `rate_hz` times a second."""
    num_knots = max(4, int(num_samples / sample_rate * rate_hz * 2) + 4)
    knots = rng.standard_normal(num_knots)
    position = np.linspace(0, num_knots - 1, max(8, 8 * num_knots))
    below = np.minimum(position.astype(int), num_knots - 2)
    blend = 0.5 - 0.5 * np.cos(np.pi * (position - below))
    coarse = knots[below] * (1 - blend) + knots[below + 1] * blend
    coarse = (coarse - coarse.mean()) / (coarse.std() + 1e-9)
    return np.interp(np.linspace(0, coarse.size - 1, num_samples), np.arange(coarse.size), coarse).astype(np.float32)


def band(low: float, high: float, *, order: float = 2.0) -> Response:
    """Return a response that is 1 between `low` and `high` Hz and falls by 6 * `order` dB an octave outside."""

    def response(frequencies: NDArray[np.float32]) -> NDArray[np.float32]:
        falling = 1 + (frequencies / high) ** (2 * order)
        rising = 1 + (low / frequencies) ** (2 * order)
        return np.asarray(1 / np.sqrt(falling * rising), np.float32)

    return response


def amplitude(level_db: float) -> float:
    """Return the linear amplitude of a level in dB."""
    return float(10 ** (level_db / 20))
