"""Impacts by modal synthesis: a body rings with modes of its own, and each contact excites them differently."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from foleykit.world.noise import amplitude, band, shaped_noise
from foleykit.world.types import Material, Shape

_MODES, _STRIKE = 101, 102


@dataclass(frozen=True, kw_only=True)
class Acoustics:
    """How a material sounds: its modes and what its contacts are like."""

    pitch: float
    """Lowest mode of a body of 0.2 m, in Hz."""
    num_modes: int
    tilt_db: float
    """Fall of the mode gains in dB per octave above the lowest mode."""
    loss: float
    """Loss factor: the decay rate of a mode grows by pi * frequency * loss."""
    base_decay: float
    """Decay rate in 1/s that every mode has at least."""
    contact_ms: float
    """Contact time with a perfectly hard partner."""
    burst_db: float
    """Level of the contact noise relative to the ringing."""
    burst_band: tuple[float, float]
    """Hz."""
    burst_decay: float
    """1/s."""
    loudness_db: float
    """Level relative to other materials at an equal impulse."""


ACOUSTICS: dict[Material, Acoustics] = {
    "wood": Acoustics(
        pitch=210, num_modes=6, tilt_db=5, loss=0.026, base_decay=34, contact_ms=0.45,
        burst_db=-7, burst_band=(120, 1100), burst_decay=120, loudness_db=0,
    ),
    "metal": Acoustics(
        pitch=520, num_modes=22, tilt_db=0.5, loss=0.0009, base_decay=3.0, contact_ms=0.10,
        burst_db=-14, burst_band=(2500, 9000), burst_decay=260, loudness_db=1,
    ),
    "glass": Acoustics(
        pitch=1750, num_modes=9, tilt_db=1.5, loss=0.0022, base_decay=9, contact_ms=0.11,
        burst_db=-12, burst_band=(4000, 11000), burst_decay=320, loudness_db=0,
    ),
    "ceramic": Acoustics(
        pitch=950, num_modes=10, tilt_db=1.5, loss=0.0075, base_decay=26, contact_ms=0.14,
        burst_db=-9, burst_band=(1800, 6000), burst_decay=260, loudness_db=0,
    ),
    "plastic": Acoustics(
        pitch=720, num_modes=4, tilt_db=7, loss=0.05, base_decay=110, contact_ms=0.3,
        burst_db=-4, burst_band=(1100, 3200), burst_decay=240, loudness_db=-2,
    ),
    "stone": Acoustics(
        pitch=2300, num_modes=24, tilt_db=-0.5, loss=0.022, base_decay=120, contact_ms=0.12,
        burst_db=-1, burst_band=(2800, 9000), burst_decay=300, loudness_db=0,
    ),
    "cloth": Acoustics(
        pitch=75, num_modes=0, tilt_db=0, loss=0.3, base_decay=60, contact_ms=2.2,
        burst_db=0, burst_band=(60, 420), burst_decay=38, loudness_db=-5,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Modes:
    """The resonances of one body, each (M,), sorted by frequency."""

    frequencies: NDArray[np.float64]
    """Hz, up to 20 kHz whatever the sample rate."""
    decays: NDArray[np.float64]
    """1/s"""
    gains: NDArray[np.float64]

    @property
    def ring_seconds(self) -> float:
        """Time until the slowest mode has fallen by 70 dB, at most 4 s."""
        return min(4.0, 8.0 / float(self.decays.min())) if self.decays.size else 0.0


@lru_cache(maxsize=1024)
def body_modes(material: Material, shape: Shape, size: float, body_seed: int) -> Modes:
    """Return the modes of a body; equal arguments give equal modes."""
    acoustics = ACOUSTICS[material]
    rng = np.random.default_rng((body_seed, _MODES))
    # Real pitch falls with size squared for plates; the square root keeps materials apart and small things audible.
    lowest = acoustics.pitch * (0.2 / float(np.clip(size, 0.03, 2.0))) ** 0.4 * float(np.exp(rng.normal(0, 0.16)))
    num_modes = 0 if shape == "soft" else max(acoustics.num_modes + int(rng.integers(-1, 2)), 0)
    if acoustics.num_modes == 0 or num_modes == 0:
        empty = np.zeros(0)
        return Modes(frequencies=empty, decays=empty, gains=empty)
    frequencies = lowest * _mode_ratios(shape, num_modes, rng) * np.exp(rng.normal(0, 0.02, num_modes))
    frequencies = np.sort(frequencies)
    loss = acoustics.loss * float(np.exp(rng.normal(0, 0.2)))
    decays = acoustics.base_decay * float(np.exp(rng.normal(0, 0.2))) + np.pi * frequencies * loss
    decays *= np.exp(rng.normal(0, 0.15, num_modes))
    octaves = np.log2(frequencies / frequencies[0])
    gains = 10 ** ((-acoustics.tilt_db * octaves + rng.normal(0, 4, num_modes)) / 20)
    kept = frequencies < 20_000
    return Modes(frequencies=frequencies[kept], decays=decays[kept], gains=gains[kept])


def _mode_ratios(shape: Shape, num_modes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return mode frequencies (M,) relative to the lowest, by the textbook formula of each shape."""
    order = np.arange(1, 40, dtype=np.float64)
    match shape:
        case "bar":
            # Free bar: ((2 n + 1) / 3.0112)^2, plus the torsional series that a real bar has beside it.
            bending = ((2 * order + 1) / 3.0112) ** 2
            ratios = np.concatenate([bending, rng.uniform(1.6, 2.4) * order])
        case "vessel":
            # Ring modes of a shell; imperfect roundness splits each into a beating pair.
            circular = order + 1
            ring = circular * (circular**2 - 1) / np.sqrt(circular**2 + 1) / 2.6833
            ratios = np.concatenate([ring, ring * rng.uniform(1.002, 1.02)])
        case "block":
            sides = np.sort(rng.uniform(1.0, 2.2, 3))
            grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3, indexing="ij"), -1).reshape(-1, 3)[1:]
            ratios = np.sqrt(((grid * sides) ** 2).sum(-1))
        case "plate" | "soft":
            aspect = rng.uniform(1.1, 2.0)
            first, second = np.meshgrid(order[:12], order[:12], indexing="ij")
            ratios = (first**2 + (aspect * second) ** 2).ravel()
    ratios = np.sort(ratios)[:num_modes]
    return np.asarray(ratios / ratios[0], np.float64)


def ring(modes: Modes, gains: NDArray[np.float64], num_samples: int, sample_rate: int) -> NDArray[np.float32]:
    """Return the sum (S,) of damped sinusoids that start at sample 0.

    A sinusoid over n = a * B + b is a product of two complex tables, so that the sum over modes is one matrix product.
    """
    audible = (modes.frequencies < 0.46 * sample_rate) & (gains > 1e-5 * gains.max(initial=0))
    if num_samples < 1 or not audible.any():
        return np.zeros(max(0, num_samples), np.float32)
    pole = (-modes.decays[audible] + 2j * np.pi * modes.frequencies[audible]) / sample_rate
    fine_size = 256
    coarse = np.exp(np.outer(np.arange(-(-num_samples // fine_size)) * fine_size, pole)) * gains[audible]
    coarse[np.abs(coarse) < 1e-12] = 0
    # The quarter-sample phase makes the first sample non-zero: the onset is exactly there.
    fine = np.exp(np.outer(pole, np.arange(fine_size)) + 1j * np.pi / 16)
    left = np.concatenate([coarse.imag, coarse.real], 1).astype(np.float32)
    right = np.concatenate([fine.real, fine.imag], 0).astype(np.float32)
    return (left @ right).reshape(-1)[:num_samples]


def contact_seconds(material: Material, striker: Material, strength: float) -> float:
    """Return how long the two bodies touch: Hertz's law shortens it weakly as the blow gets harder."""
    pair_ms = np.hypot(ACOUSTICS[material].contact_ms, 0.65 * ACOUSTICS[striker].contact_ms)
    return float(pair_ms * 1e-3 * np.clip(strength / 0.1, 1e-3, 1e3) ** -0.2)


def impact(
    *,
    material: Material,
    striker: Material,
    shape: Shape,
    size: float,
    strength: float,
    body_seed: int,
    sample_rate: int,
    rng: np.random.Generator,
    damping: float = 1.0,
) -> NDArray[np.float32]:
    """Return one impact (S,) with peak 1 whose first sample is the contact.

    `rng` draws where the body is struck and the grain of the contact; `damping` above 1 shortens the ringing, as a hand
    or a heavy shoe on the body does.
    """
    acoustics = ACOUSTICS[material]
    modes = body_modes(material, shape, size, body_seed)
    if damping != 1.0:
        modes = Modes(frequencies=modes.frequencies, decays=modes.decays * damping, gains=modes.gains)
    contact = contact_seconds(material, striker, strength)
    burst = _contact_burst(acoustics, contact, sample_rate, rng)
    num_samples = max(burst.size, int(modes.ring_seconds * sample_rate))
    sound = np.zeros(num_samples, np.float32)
    if modes.frequencies.size:
        position = rng.uniform(0.1, 0.9)
        place_gain = 0.3 + 0.7 * np.abs(np.sin(np.pi * position * np.arange(1, modes.frequencies.size + 1)))
        pulse_gain = 1 / (1 + (1.6 * modes.frequencies * contact) ** 2)
        ringing = ring(modes, modes.gains * place_gain * pulse_gain, num_samples, sample_rate)
        sound += ringing / max(1e-9, float(np.abs(ringing).max()))
    sound[: burst.size] += amplitude(acoustics.burst_db + rng.normal(0, 1.5)) * burst
    return _normalised(_rise(sound, contact, sample_rate))


def _contact_burst(
    acoustics: Acoustics, contact: float, sample_rate: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the noise (S,) of the surfaces meeting, peak 1: brighter and shorter for hard contacts."""
    decay = acoustics.burst_decay / (1 + contact / 0.004)
    num_samples = max(32, int(7.0 / decay * sample_rate))
    low, high = acoustics.burst_band
    softness = 1 / (1 + contact / 0.0012)
    limit = 0.45 * sample_rate
    response = band(min(low * (0.4 + 0.6 * softness), 0.6 * limit), min(high * (0.25 + 0.75 * softness), limit))
    noise = shaped_noise(num_samples, sample_rate, response, rng)
    time = np.arange(num_samples, dtype=np.float32) / sample_rate
    burst = noise * np.exp(-decay * time)
    if acoustics.num_modes == 0:
        # Stuffing gives way: a low thump whose pitch sinks goes with the noise.
        pitch = acoustics.pitch * float(np.exp(rng.normal(0, 0.2)))
        sinking = 2 * np.pi * pitch * (time + 0.012 * (1 - np.exp(-time / 0.02)))
        burst = unit_peak(burst) + np.float32(1.1) * np.exp(-0.9 * decay * time) * np.sin(sinking)
    return unit_peak(np.asarray(burst, np.float32))


def _rise(sound: NDArray[np.float32], contact: float, sample_rate: int) -> NDArray[np.float32]:
    """Let the sound rise over half the contact time, from a first sample that is small but not zero."""
    num_rise = min(sound.size, max(1, int(contact / 2 * sample_rate)))
    sound[:num_rise] *= np.sin(0.5 * np.pi * (np.arange(num_rise) + 1) / (num_rise + 1)).astype(np.float32)
    return sound


def unit_peak(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `sound` scaled to peak 1, or unchanged when it is all zeros."""
    peak = float(np.abs(sound).max(initial=0))
    return sound / np.float32(peak) if peak > 0 else sound


def _normalised(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    sound = unit_peak(sound)
    if abs(float(sound[0])) < 1e-4:
        sound[0] = 1e-4
    return sound


def impact_level_db(strength: float, material: Material) -> float:
    """Return the peak level in dBFS, -60 to -3, of an impulse in N s: amplitude is proportional to it."""
    level_db = -5 + 20 * np.log10(max(strength, 1e-6)) + ACOUSTICS[material].loudness_db
    return float(np.clip(level_db, -60, -3))


def strike_rng(seed: int, index: int) -> np.random.Generator:
    """Return the random numbers of one event of one long video."""
    return np.random.default_rng((seed, index, _STRIKE))
