"""Sustained contacts: scrapes and rolls, a body excited by the roughness it moves over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.world.modal import ACOUSTICS, body_modes, ring, unit_peak
from foleykit.world.noise import band, convolve, shaped_noise
from foleykit.world.types import SoundEvent

PROFILE_RATE = 100
"""Values of `SoundEvent.profile` per second."""


def intensity(event: SoundEvent, num_samples: int, sample_rate: int) -> NDArray[np.float32]:
    """Return the profile (S,) of a sustained event at the sample rate; 1 throughout where the event has none.

    The curve starts above zero, so that the first sample of the event is its onset, and ends in a short fade.
    """
    time = np.arange(num_samples, dtype=np.float32) / sample_rate
    if event.profile is None or event.profile.size == 0:
        curve = np.ones(num_samples, np.float32)
    else:
        knots = np.arange(event.profile.size) / PROFILE_RATE
        curve = np.interp(time, knots, np.clip(event.profile, 0, 1)).astype(np.float32)
    attack = 1 - np.exp(-(time + 1 / sample_rate) / 0.004)
    release = np.clip((num_samples / sample_rate - time) / 0.03, 0, 1)
    return np.asarray(np.maximum(curve, 0.02) * attack * release, np.float32)


def scrape(event: SoundEvent, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the sound (S,) of sliding, peak 1: noise and grains whose brightness and level follow the speed."""
    num_samples = max(64, round(event.duration * sample_rate))
    speed = intensity(event, num_samples, sample_rate)
    acoustics, striker = ACOUSTICS[event.material], ACOUSTICS[event.striker]
    limit = 0.44 * sample_rate
    hardness = 1 / (1 + (acoustics.contact_ms + striker.contact_ms) / 0.8)
    centre = min(limit * 0.8, 500 + 5200 * hardness * float(np.exp(rng.normal(0, 0.2))))
    slow = shaped_noise(num_samples, sample_rate, band(centre * 0.25, min(limit, centre)), rng)
    fast = shaped_noise(num_samples, sample_rate, band(centre * 0.6, min(limit, centre * 2.2)), rng)
    texture = slow * (1 - 0.6 * speed) + fast * speed
    # Asperities are hit one by one; their rate grows with the speed.
    density = rng.uniform(120, 420)
    struck = rng.random(num_samples, dtype=np.float32) < density / sample_rate * speed
    grains = struck * rng.exponential(1.0, num_samples).astype(np.float32) * rng.choice((-1, 1), num_samples)
    excitation = (0.5 * texture + 3.0 * grains).astype(np.float32) * speed**0.8
    return unit_peak(_through_body(event, excitation, sample_rate, damping=4.0, body_share=0.55))


def roll(event: SoundEvent, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the sound (S,) of rolling, peak 1: a rumble that repeats with every turn, and small knocks."""
    num_samples = max(64, round(event.duration * sample_rate))
    speed = intensity(event, num_samples, sample_rate)
    turns = np.cumsum(speed, dtype=np.float64) / sample_rate * rng.uniform(2.5, 7.0)
    wobble = 0.65 + 0.35 * np.cos(2 * np.pi * turns + rng.uniform(0, 6.28))
    top = min(0.44 * sample_rate, 400 + 900 / (1 + ACOUSTICS[event.material].contact_ms))
    rumble = shaped_noise(num_samples, sample_rate, band(60, top, order=1.5), rng)
    struck = rng.random(num_samples, dtype=np.float32) < rng.uniform(25, 90) / sample_rate * speed
    knocks = struck * rng.exponential(1.0, num_samples).astype(np.float32)
    excitation = ((rumble + 4.0 * knocks) * wobble * speed**0.8).astype(np.float32)
    return unit_peak(_through_body(event, excitation, sample_rate, damping=2.5, body_share=0.7))


def _through_body(
    event: SoundEvent, excitation: NDArray[np.float32], sample_rate: int, *, damping: float, body_share: float
) -> NDArray[np.float32]:
    """Mix the bare excitation with what it makes the body's modes do."""
    modes = body_modes(event.material, event.shape, event.size, event.body_seed)
    if modes.frequencies.size == 0:
        kernel = shaped_noise(256, sample_rate, band(80, 900), np.random.default_rng(event.body_seed))
        kernel *= np.exp(-np.arange(256, dtype=np.float32) / 60)
        return convolve(excitation, unit_peak(kernel), excitation.size)
    num_kernel = max(64, int(min(1.0, modes.ring_seconds / damping) * sample_rate))
    time = np.arange(num_kernel, dtype=np.float32) / sample_rate
    contact_slope = 1 / (1 + modes.frequencies / 3000)
    kernel = ring(modes, modes.gains * contact_slope, num_kernel, sample_rate)
    kernel *= np.exp(-(damping - 1) * float(modes.decays.min()) * time)
    ringing = convolve(excitation, kernel, excitation.size)
    scale = float(np.sqrt((excitation**2).mean()) / (np.sqrt((ringing**2).mean()) + 1e-9))
    return (1 - body_share) * excitation + body_share * scale * ringing


def sustained_level_db(strength: float) -> float:
    """Return the peak level in dBFS, -34 to -8, of a sustained contact of `strength` watts."""
    return float(np.clip(-18 + 8 * np.log10(max(strength, 1e-6)), -34, -8))
