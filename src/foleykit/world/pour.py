"""Pouring: bubbles that ring at Minnaert's pitch, and an air column that rises in pitch as the vessel fills."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.world.friction import intensity
from foleykit.world.modal import unit_peak
from foleykit.world.noise import band, convolve, fast_length, shaped_noise
from foleykit.world.types import SoundEvent

_POUR = 103


def pour(event: SoundEvent, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the sound (S,) of a liquid falling into a vessel, peak 1; its flow follows the event's profile."""
    body = np.random.default_rng((event.body_seed, _POUR))
    num_samples = max(64, round(event.duration * sample_rate))
    flow = intensity(event, num_samples, sample_rate)
    bubbles = _bubbles(flow, sample_rate, body.uniform(150, 500), rng)
    splash = shaped_noise(num_samples, sample_rate, band(1500, min(0.44 * sample_rate, 7000)), rng) * flow
    column = _air_column(flow, sample_rate, body, rng)
    return unit_peak((_level(bubbles, 1.0) + _level(splash, 0.22) + _level(column, 0.5)).astype(np.float32))


def _bubbles(flow: NDArray[np.float32], sample_rate: int, rate: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return bubbles of several sizes born at random, `rate` a second at full flow.

    A bubble of radius r metres rings at 3.26 / r Hz and decays at 0.13 / r + 0.0072 r^-1.5 per second (van den Doel,
    "Physically based models for liquid sounds", 2005); its pitch climbs as it rises to the surface.
    """
    num_samples = flow.size
    length = fast_length(num_samples + sample_rate // 8)
    spectrum = np.zeros(length // 2 + 1, np.complex64)
    time = np.arange(sample_rate // 8, dtype=np.float32) / sample_rate
    radii = np.exp(np.linspace(np.log(0.0006), np.log(0.0042), 9))
    for radius in radii * np.exp(rng.normal(0, 0.05, radii.size)):
        pitch = 3.26 / radius
        if pitch > 0.42 * sample_rate:
            continue
        decay = 0.13 / radius + 0.0072 * radius**-1.5
        rising = pitch * (time + 0.05 * decay * time**2)
        kernel = (np.exp(-decay * time) * np.sin(2 * np.pi * rising)).astype(np.float32)
        kernel[rising * 2 > 0.9 * sample_rate] = 0
        born = rng.random(num_samples, dtype=np.float32) < rate / radii.size / sample_rate * flow
        sizes = born * flow * rng.exponential(1.0, num_samples).astype(np.float32) * np.float32(radius / 0.002)
        spectrum += np.fft.rfft(sizes, length) * np.fft.rfft(kernel, length)
    return np.fft.irfft(spectrum, length)[:num_samples].astype(np.float32)


def _air_column(
    flow: NDArray[np.float32], sample_rate: int, body: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return narrow noise around a pitch that rises with the amount poured so far."""
    num_samples = flow.size
    filled = np.cumsum(flow, dtype=np.float64)
    filled /= max(float(filled[-1]), 1e-9)
    empty_hz = body.uniform(280, 600)
    pitch = empty_hz / (1 - body.uniform(0.5, 0.75) * filled)
    carrier = np.exp(2j * np.pi * np.cumsum(pitch) / sample_rate)
    low = band(5, 70)
    real = shaped_noise(num_samples, sample_rate, low, rng)
    imaginary = shaped_noise(num_samples, sample_rate, low, rng)
    tone = ((real + 1j * imaginary) * carrier).real.astype(np.float32) * flow
    smear = np.exp(-np.arange(sample_rate // 200, dtype=np.float32) / (sample_rate / 800))
    return convolve(tone, smear, num_samples)


def _level(sound: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    rms = float(np.sqrt((sound**2).mean()))
    return sound * np.float32(level / rms) if rms > 0 else sound
