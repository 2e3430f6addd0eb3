"""Stationary backgrounds: each place has its own hum, fan, rain, wind, traffic, birds, babble or other layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foleykit.world.noise import (
    Response,
    amplitude,
    band,
    fast_length,
    frequency_grid,
    shaped_noise,
    slow_curve,
    unit_rms,
)
from foleykit.world.recordings import Recordings
from foleykit.world.types import AmbienceKind, Place

_CHARACTER, _RECORDED = 201, 202

Layer = Callable[[int, int, np.random.Generator, np.random.Generator], NDArray[np.float32]]
"""(num_samples, sample_rate, character, rng) to a layer (S,): `character` belongs to the place, `rng` to the moment."""


def ambience(
    place: Place,
    *,
    num_samples: int,
    sample_rate: int,
    rng: np.random.Generator,
    recordings: Recordings | None = None,
    recording_share: float = 0.3,
) -> NDArray[np.float32]:
    """Return the background (S,) of `place`, at RMS `place.ambient_level_db` dBFS.

    `place.seed` draws what the background is (pitch of its hum, species of its birds), `rng` draws this stretch of it:
    two calls with other `rng`s sound like two moments in the same place. With `recordings`, `recording_share` of the
    layers of all places are real ones.
    """
    total = np.zeros(num_samples, np.float32)
    for position, kind in enumerate(place.ambience or ("room",)):
        character = np.random.default_rng((place.seed, _CHARACTER, position))
        share = 1.0 if position == 0 else amplitude(character.uniform(-14, -3))
        bed = None
        if (
            recordings is not None
            and np.random.default_rng((place.seed, _RECORDED, position)).random() < recording_share
        ):
            bed = recordings.bed(kind, num_samples, sample_rate, split=place.split, character=character, rng=rng)
        layer = bed if bed is not None else LAYERS[kind](num_samples, sample_rate, character, rng)
        total += np.float32(share) * unit_rms(_coloured(layer, sample_rate, character))
    return _at_level(total, place.ambient_level_db)


def _at_level(sound: NDArray[np.float32], level_db: float) -> NDArray[np.float32]:
    """Set the RMS; rare peaks that would pass -1.5 dBFS are rounded off first."""
    target = amplitude(level_db)
    for _ in range(3):
        sound = unit_rms(sound) * np.float32(target)
        if float(np.abs(sound).max(initial=0)) <= 0.84:
            break
        sound = np.asarray(0.8 * np.tanh(sound / 0.8), np.float32)
    return unit_rms(sound) * np.float32(target)


def _coloured(layer: NDArray[np.float32], sample_rate: int, character: np.random.Generator) -> NDArray[np.float32]:
    """Apply the place's own gentle equaliser: walls, distance, microphone."""
    length = fast_length(layer.size)
    frequencies = frequency_grid(length, sample_rate)
    knots = np.cumsum(character.normal(0, 2.2, 9))
    curve_db = np.interp(np.log2(frequencies), np.linspace(5, 14, 9), knots - knots.mean())
    spectrum = np.fft.rfft(layer, length) * (10 ** (curve_db / 20)).astype(np.float32)
    spectrum[frequencies < 25] = 0
    return np.fft.irfft(spectrum, length)[: layer.size].astype(np.float32)


def _slope(corner: float, db_per_octave: float) -> Response:
    """Return a response flat below `corner` Hz that falls by `db_per_octave` above it."""
    power = db_per_octave / 6.0206

    def response(frequencies: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((1 + (frequencies / corner) ** 2) ** (-power / 2), np.float32)

    return response


def _swell(
    num_samples: int, sample_rate: int, rate_hz: float, depth_db: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a slow gain (S,) around 1 with a standard deviation of `depth_db`."""
    curve = np.clip(slow_curve(num_samples, sample_rate, rate_hz, rng), -2, 2)
    return np.exp(curve * np.float32(depth_db / 8.686))


def _tones(
    num_samples: int,
    sample_rate: int,
    frequencies: NDArray[np.floating],
    gains: NDArray[np.floating],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return steady sinusoids (S,) by two complex tables and one matrix product."""
    kept = (frequencies < 0.46 * sample_rate) & (frequencies > 20)
    step = 2j * np.pi * frequencies[kept] / sample_rate
    fine_size = 512
    phases = np.exp(2j * np.pi * rng.random(int(kept.sum())))
    coarse = np.exp(np.outer(np.arange(-(-num_samples // fine_size)) * fine_size, step)) * (gains[kept] * phases)
    fine = np.exp(np.outer(step, np.arange(fine_size)))
    left = np.concatenate([coarse.real, -coarse.imag], 1).astype(np.float32)
    right = np.concatenate([fine.real, fine.imag], 0).astype(np.float32)
    return (left @ right).reshape(-1)[:num_samples]


def _strewn(
    num_samples: int, sample_rate: int, rate: float, kernel: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return copies (S,) of a short `kernel` at random instants, `rate` a second, of random sizes."""
    length = fast_length(num_samples + kernel.size)
    count = int(rng.poisson(rate * num_samples / sample_rate))
    starts = np.zeros(length, np.float32)
    np.add.at(starts, rng.integers(0, num_samples, count), rng.exponential(1.0, count) * rng.choice((-1, 1), count))
    spectrum = np.fft.rfft(starts) * np.fft.rfft(kernel, length)
    return np.fft.irfft(spectrum, length)[:num_samples].astype(np.float32)


def silence(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The noise of a good microphone in a still room."""
    return shaped_noise(num_samples, sample_rate, _slope(character.uniform(300, 4000), character.uniform(1, 4)), rng)


def room(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Room tone: low air noise with a trace of the building's mains."""
    noise = shaped_noise(num_samples, sample_rate, _slope(character.uniform(80, 500), character.uniform(4, 9)), rng)
    mains = character.choice((50.0, 60.0)) * np.arange(1, 7)
    gains = character.exponential(1.0, 6) / np.arange(1, 7)
    return noise + np.float32(character.uniform(0, 0.35)) * unit_rms(
        _tones(num_samples, sample_rate, mains, gains, rng)
    )


def hum(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Mains hum: harmonics of 50 or 60 Hz over faint noise."""
    order = np.arange(1, 31)
    mains = character.choice((50.0, 60.0)) * character.choice((1.0, 2.0)) * order
    gains = character.exponential(1.0, order.size) * order ** -character.uniform(0.3, 1.4)
    noise = shaped_noise(num_samples, sample_rate, _slope(character.uniform(200, 2000), 5), rng)
    return (
        unit_rms(_tones(num_samples, sample_rate, mains, gains, rng)) + np.float32(character.uniform(0.05, 0.4)) * noise
    )


def fan(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A fan or a vent: broad noise, blade tones, a slight throb at the turning rate."""
    turning = character.uniform(7, 28)
    order = np.arange(1, 9)
    tones = _tones(
        num_samples, sample_rate, turning * character.integers(3, 8) * order, character.exponential(1.0, 8) / order, rng
    )
    noise = shaped_noise(
        num_samples, sample_rate, band(character.uniform(40, 200), character.uniform(500, 3500), order=1.2), rng
    )
    time = np.arange(num_samples, dtype=np.float32) / sample_rate
    throb = 1 + np.float32(character.uniform(0.02, 0.25)) * np.sin(2 * np.pi * turning * time + rng.uniform(0, 6.28))
    return np.asarray(noise * throb + np.float32(character.uniform(0.1, 0.7)) * unit_rms(tones), np.float32)


def rain(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Rain: a hiss of far drops and single near ones."""
    hiss = shaped_noise(num_samples, sample_rate, band(character.uniform(500, 1500), 0.4 * sample_rate, order=0.9), rng)
    near = np.zeros(num_samples, np.float32)
    for _ in range(2):
        time = np.arange(sample_rate // 60, dtype=np.float32) / sample_rate
        pitch = character.uniform(1500, min(6500, 0.4 * sample_rate))
        kernel = np.exp(-time * character.uniform(500, 1500)) * np.sin(2 * np.pi * pitch * time)
        near += unit_rms(_strewn(num_samples, sample_rate, character.uniform(40, 400), kernel.astype(np.float32), rng))
    return hiss + np.float32(character.uniform(0.15, 0.6)) * unit_rms(near)


def wind(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Wind: low noise in gusts, with a whistle that comes and goes with them."""
    corner = character.uniform(120, 500)
    body = shaped_noise(num_samples, sample_rate, _slope(corner, character.uniform(6, 10)), rng)
    gust = slow_curve(num_samples, sample_rate, character.uniform(0.3, 0.8), rng)
    pitch = character.uniform(350, 1100)
    whistle = shaped_noise(num_samples, sample_rate, band(pitch * 0.9, pitch * 1.1, order=3), rng)
    leaves = shaped_noise(num_samples, sample_rate, band(2000, 0.4 * sample_rate, order=1.5), rng)
    depth = np.float32(character.uniform(0.1, 0.28))
    strength = np.exp(depth * np.clip(gust, -2, 2))
    return np.asarray(
        strength * body
        + strength**2
        * (np.float32(character.uniform(0.02, 0.15)) * whistle + np.float32(character.uniform(0, 0.2)) * leaves),
        np.float32,
    )


def traffic(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A road: a steady roar, tyres that swell and fade, engines."""
    roar = shaped_noise(num_samples, sample_rate, _slope(character.uniform(100, 400), character.uniform(5, 8)), rng)
    tyres = shaped_noise(num_samples, sample_rate, band(300, character.uniform(1000, 2500)), rng)
    passing = _swell(num_samples, sample_rate, character.uniform(0.25, 0.5), character.uniform(1.5, 4), rng)
    order = np.arange(1, 12)
    engine = _tones(
        num_samples, sample_rate, character.uniform(28, 60) * order, character.exponential(1.0, 11) / order, rng
    )
    engine *= _swell(num_samples, sample_rate, 0.4, 2.0, rng)
    return np.asarray(
        roar
        + np.float32(character.uniform(0.15, 0.5)) * tyres * passing
        + np.float32(character.uniform(0.05, 0.4)) * unit_rms(engine),
        np.float32,
    )


def birds(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Outdoors with birds: each species of the place repeats a motif of its own over faint air."""
    sound = 0.12 * shaped_noise(num_samples, sample_rate, _slope(character.uniform(200, 800), 5), rng)
    top = min(7200.0, 0.42 * sample_rate)
    for _ in range(int(character.integers(2, 5))):
        motif = _motif(sample_rate, top, character)
        calls = _calls(num_samples, sample_rate, motif, character.uniform(0.35, 1.1), rng)
        sound += np.float32(character.uniform(0.4, 1.0)) * unit_rms(calls)
    return sound.astype(np.float32)


def _motif(sample_rate: int, top: float, character: np.random.Generator) -> NDArray[np.float32]:
    """Return one call (S,): a few syllables that sweep, with a vibrato."""
    syllables = []
    base = character.uniform(1900, 0.75 * top)
    for _ in range(int(character.integers(1, 6))):
        num_samples = int(character.uniform(0.04, 0.16) * sample_rate)
        time = np.linspace(0, 1, num_samples)
        sweep = base * np.exp(character.normal(0, 0.12) + character.normal(0, 0.18) * time)
        sweep *= 1 + 0.03 * np.sin(2 * np.pi * character.uniform(1, 5) * time)
        phase = 2 * np.pi * np.cumsum(np.clip(sweep, 500, top)) / sample_rate
        syllables.append(np.sin(phase) * np.sin(np.pi * time) ** 1.5)
        syllables.append(np.zeros(int(character.uniform(0.02, 0.08) * sample_rate)))
    return np.concatenate(syllables).astype(np.float32)


def _calls(
    num_samples: int, sample_rate: int, motif: NDArray[np.float32], pause: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    sound = np.zeros(num_samples + 2 * motif.size, np.float32)
    at = int(rng.uniform(0, pause) * sample_rate)
    while at < num_samples:
        sound[at : at + motif.size] += np.float32(rng.uniform(0.5, 1.0)) * motif
        at += motif.size + int(rng.uniform(0.5, 1.5) * pause * sample_rate)
    return sound[:num_samples]


def babble(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Many people talking at once, none of them intelligible: pulse trains through wandering formants."""
    length = fast_length(num_samples)
    frequencies = frequency_grid(length, sample_rate)
    total = np.zeros(num_samples, np.float32)
    for _ in range(3):
        pitch = character.uniform(95, 230) * np.exp(0.12 * slow_curve(num_samples, sample_rate, 1.2, rng))
        phase = np.cumsum(pitch, dtype=np.float64) / sample_rate
        pulse = np.diff(np.floor(phase), prepend=0).astype(np.float32) + 0.02 * rng.standard_normal(
            num_samples, np.float32
        )
        spectrum = np.fft.rfft(pulse, length)
        blend = (slow_curve(num_samples, sample_rate, 2.5, rng) > 0).astype(np.float32)
        syllables = np.clip(slow_curve(num_samples, sample_rate, character.uniform(2.5, 4), rng) + 0.4, 0, None)
        spoken = np.zeros(num_samples, np.float32)
        for vowel in range(2):
            formants = np.array(
                [character.uniform(280, 800), character.uniform(900, 2200), character.uniform(2300, 3200)]
            )
            shape = sum(
                g / (1 + ((frequencies - f) / w) ** 2)
                for f, g, w in zip(formants, (1, 0.5, 0.2), (70, 110, 170), strict=True)
            )
            voiced = np.fft.irfft(spectrum * np.asarray(shape, np.float32), length)[:num_samples]
            spoken += (blend if vowel else 1 - blend) * unit_rms(voiced.astype(np.float32))
        spoken *= syllables
        # The same talker again at other times passes for another one, at no cost.
        for _ in range(3):
            total += np.float32(character.uniform(0.4, 1.0)) * np.roll(spoken, int(rng.integers(num_samples)))
    air = shaped_noise(num_samples, sample_rate, _slope(character.uniform(200, 500), 6), rng)
    return unit_rms(total) + np.float32(0.25) * air


def stream(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Running water: bubbles of several sizes over a rush."""
    rush = shaped_noise(
        num_samples, sample_rate, band(character.uniform(250, 700), character.uniform(1500, 4000), order=1.3), rng
    )
    time = np.arange(sample_rate // 20, dtype=np.float32) / sample_rate
    bubbles = np.zeros(num_samples, np.float32)
    for _ in range(4):
        pitch = float(np.exp(character.uniform(np.log(450), np.log(min(4000, 0.35 * sample_rate)))))
        decay = pitch * 0.08 + 20
        kernel = np.exp(-decay * time) * np.sin(2 * np.pi * pitch * time * (1 + character.uniform(0.5, 3) * time))
        bubbles += unit_rms(
            _strewn(num_samples, sample_rate, character.uniform(15, 120), kernel.astype(np.float32), rng)
        )
    return rush + np.float32(character.uniform(0.3, 1.2)) * unit_rms(bubbles)


def machine(
    num_samples: int, sample_rate: int, character: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A motor: harmonics that waver, and a noise that beats with its strokes."""
    turning = character.uniform(18, 90)
    order = np.arange(1, 25)
    gains = character.exponential(1.0, order.size) * order ** -character.uniform(0.2, 1.0)
    tones = unit_rms(_tones(num_samples, sample_rate, turning * order, gains, rng)) * _swell(
        num_samples, sample_rate, 0.8, 0.8, rng
    )
    noise = shaped_noise(
        num_samples, sample_rate, band(character.uniform(80, 400), character.uniform(800, 4500), order=1.3), rng
    )
    time = np.arange(num_samples, dtype=np.float32) / sample_rate
    stroke = turning / character.integers(2, 7)
    beat = 0.5 + 0.5 * np.cos(2 * np.pi * stroke * time + rng.uniform(0, 6.28))
    depth = np.float32(character.uniform(0.1, 0.8))
    return np.asarray(
        tones + np.float32(character.uniform(0.3, 1.0)) * noise * (1 - depth + depth * beat**2), np.float32
    )


LAYERS: dict[AmbienceKind, Layer] = {
    "silence": silence,
    "room": room,
    "hum": hum,
    "fan": fan,
    "rain": rain,
    "wind": wind,
    "traffic": traffic,
    "birds": birds,
    "babble": babble,
    "stream": stream,
    "machine": machine,
}
