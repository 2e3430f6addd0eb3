"""Sounds that a filter must drop: a talking voice, music, next to nothing, nothing.

They are simple models of the real thing, good enough to exercise and to measure a filter without anybody's recordings.
"""

from __future__ import annotations

from typing import Literal, assert_never, get_args

import numpy as np
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
PlantedKind = Literal["silence", "speech", "music", "low-energy"]
PLANTED_KINDS: tuple[PlantedKind, ...] = get_args(PlantedKind)

_VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
    (660, 1720, 2410),
    (440, 1020, 2240),
    (490, 1350, 1690),
)
"""First three formants in Hz of English vowels (Peterson and Barney 1952, men)."""
_NASALS = ((250, 1100, 2200), (250, 1500, 2500))
_FRICATIVES = ((4500, 2500), (2800, 1600), (6000, 3000), (2000, 3000))
"""(centre, width) in Hz of hissing."""
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10), (0, 2, 4, 7, 9))


def planted_sound(kind: PlantedKind, num_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return (S,) of `kind`: speech and music at an RMS of -32 to -16 dBFS, "low-energy" a room at -63 to -56 dBFS."""
    match kind:
        case "silence":
            return np.zeros(num_samples, np.float32)
        case "low-energy":
            return _at_level(_room(num_samples, sample_rate, rng), rng.uniform(-63, -56))
        case "speech":
            return _at_level(speech(num_samples, sample_rate, rng), rng.uniform(-32, -16))
        case "music":
            return _at_level(music(num_samples, sample_rate, rng), rng.uniform(-32, -16))
        case _:
            assert_never(kind)


def speech(num_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return one talker (S,) of random voice, pace and room: syllables of hisses, stops, vowels and nasals."""
    time = np.arange(num_samples) / sample_rate
    hop = sample_rate // 125
    window = 5 * hop
    num_frames = num_samples // hop + 2
    formants = np.full((num_frames, 3), 500.0)
    voiced, hissing = np.zeros(num_frames), np.zeros(num_frames)
    hiss_shape = np.zeros((num_frames, 2))
    hiss_shape[:] = _FRICATIVES[0]
    scale = rng.uniform(0.95, 1.25)
    syllables_per_second = rng.uniform(3.0, 6.5)
    accent = np.zeros(num_frames)
    position = int(rng.uniform(0, 0.25) * 125)
    left = rng.integers(4, 14)
    while position < num_frames:
        length = max(6, round(125 / syllables_per_second * rng.uniform(0.6, 1.5)))
        onset = round(length * rng.uniform(0.15, 0.4)) if rng.random() < 0.8 else 0
        here = slice(position, position + onset)
        kind = rng.random()
        if kind < 0.45:
            hissing[here] = rng.uniform(0.08, 0.35)
            hiss_shape[here] = _FRICATIVES[rng.integers(len(_FRICATIVES))]
        elif kind < 0.75:
            # A stop: closure, then a short burst.
            burst = slice(max(position, position + onset - 2), position + onset)
            hissing[burst] = rng.uniform(0.2, 0.6)
            hiss_shape[burst] = _FRICATIVES[rng.integers(len(_FRICATIVES))]
        else:
            voiced[here] = rng.uniform(0.2, 0.5)
            formants[here] = _NASALS[rng.integers(2)]
        rest = slice(position + onset, position + length)
        size = min(position + length, num_frames) - position - onset
        if size > 0:
            voiced[rest] = rng.uniform(0.6, 1.0) * np.hanning(size + 4)[2:-2] ** 0.4
            first, second = rng.integers(len(_VOWELS), size=2)
            glide = np.linspace(0, 1, size)[:, None] * (rng.random() < 0.5)
            formants[rest] = (1 - glide) * np.array(_VOWELS[first]) + glide * np.array(_VOWELS[second])
            accent[rest] = rng.normal(0, 0.06)
        position += length
        left -= 1
        if left <= 0:
            position += int(rng.uniform(0.15, 0.6) * 125)
            left = rng.integers(4, 14)
    blur = np.hanning(7) / np.hanning(7).sum()
    formants = scale * np.stack([np.convolve(np.pad(track, 3, "edge"), blur, "valid") for track in formants.T], 1)
    frame_time = np.arange(num_frames) * hop / sample_rate
    base = np.log(rng.uniform(85, 260)) + np.convolve(np.pad(accent, 12, "edge"), np.hanning(25) / 12, "valid")
    base -= 0.12 * (frame_time % rng.uniform(1.5, 3.0)) + 0.05 * np.sin(frame_time * rng.uniform(3, 8))
    pitch = np.exp(np.interp(time, frame_time, base))
    pulses = np.diff(np.floor(np.cumsum(pitch) / sample_rate), prepend=0)
    air = rng.standard_normal(num_samples)
    frequencies = np.fft.rfftfreq(window * 2, 1 / sample_rate)[None]
    # A glottal pulse falls by 12 dB per octave, and lips radiate 6 dB per octave.
    tilt = 1 / np.sqrt(1 + (frequencies / 500) ** 2)
    widths, gains = (80, 110, 160), (1.0, 0.6, 0.3)
    throat = np.zeros((num_frames, frequencies.size))
    for centre, width, gain in zip(formants.T[:, :, None], widths, gains, strict=True):
        ratio = frequencies / centre
        throat += gain / np.sqrt((1 - ratio**2) ** 2 + (ratio * width / centre) ** 2)
    hiss = np.exp(-(((frequencies - hiss_shape[:, :1]) / hiss_shape[:, 1:]) ** 2))
    voice = _filtered(pulses + rng.uniform(0.005, 0.04) * air, throat * tilt * voiced[:, None], hop, window)
    noise = _filtered(air, hiss * hissing[:, None], hop, window)
    voice /= max(1e-9, float(np.sqrt(np.mean(voice**2))))
    noise *= 0.35 / max(1e-9, float(np.sqrt(np.mean(noise**2))))
    return _with_echo((voice + noise).astype(np.float32), sample_rate, rng)


def music(num_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return a piece (S,) in one key and tempo: some of chords, melody, bass and drums, on random timbres."""
    scale = np.array(_SCALES[rng.integers(len(_SCALES))])
    root = rng.integers(45, 62) + rng.uniform(-0.3, 0.3)
    beat = 60 / rng.uniform(70, 150)
    total = np.zeros(num_samples)
    parts = [part for part in ("chords", "melody", "bass", "drums") if rng.random() < 0.6]
    if not {"chords", "melody"} & set(parts):
        parts.append(("chords", "melody")[rng.integers(2)])
    seconds = num_samples / sample_rate
    begin = -rng.uniform(0, 4) * beat
    if "chords" in parts:
        timbre, hold = _timbre(rng), rng.integers(1, 3)
        for start in np.arange(begin, seconds, hold * beat):
            degree = int(rng.integers(len(scale)))
            for step in (0, 2, 4):
                tone = root + scale[(degree + step) % len(scale)] + 12 * ((degree + step) // len(scale))
                _play(total, tone, start, hold * beat, 0.5, timbre, sample_rate, rng)
    if "melody" in parts:
        timbre, start, melody = _timbre(rng), begin, int(rng.integers(len(scale)))
        while start < seconds:
            length = beat * (0.5, 0.5, 1.0, 1.0, 2.0)[rng.integers(5)]
            melody = int(np.clip(melody + rng.integers(-2, 3), 0, 2 * len(scale) - 1))
            if rng.random() < 0.9:
                tone = root + 12 + scale[melody % len(scale)] + 12 * (melody // len(scale))
                _play(total, tone, start, length, 1.0, timbre, sample_rate, rng)
            start += length
    if "bass" in parts:
        timbre = _timbre(rng)
        for start in np.arange(begin, seconds, beat):
            _play(total, root - 12 + scale[rng.integers(len(scale))], start, beat, 0.8, timbre, sample_rate, rng)
    if "drums" in parts:
        _drum(total, begin, beat, rng.uniform(0.3, 0.9), sample_rate, rng)
    return _with_echo(total.astype(np.float32), sample_rate, rng)


def _timbre(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return (decay in 1/s, attack in s, spectral slope, vibrato in semitones): from a bell-like pluck to a pad."""
    if rng.random() < 0.5:
        return rng.uniform(1.5, 8), rng.uniform(0.002, 0.01), rng.uniform(0.8, 2.2), 0.0
    return rng.uniform(0, 0.8), rng.uniform(0.02, 0.15), rng.uniform(0.7, 1.8), rng.uniform(0, 0.35)


def _play(
    total: NDArray[np.float64],
    tone: float,
    start: float,
    length: float,
    gain: float,
    timbre: tuple[float, float, float, float],
    sample_rate: int,
    rng: np.random.Generator,
) -> None:
    decay, attack, slope, vibrato = timbre
    first = round(start * sample_rate)
    size = round((length + 0.15) * sample_rate)
    time = np.arange(size) / sample_rate
    bend = vibrato * np.sin(2 * np.pi * 5.5 * time + rng.uniform(0, 6)) if vibrato else 0.0
    phase = np.cumsum(440 * 2 ** ((tone - 69 + bend) / 12) * np.ones(size)) / sample_rate
    highest = int(min(14, 0.45 * sample_rate / (440 * 2 ** ((tone - 69) / 12))))
    turn = np.exp(2j * np.pi * phase)
    partial, note = np.ones(size, np.complex128), np.zeros(size)
    for number in range(1, highest + 1):
        partial *= turn
        note += (partial * np.exp(1j * rng.uniform(0, 6))).imag / number**slope
    note = note * np.exp(-decay * time) * np.clip(time / attack, 0, 1) * np.clip((length + 0.15 - time) / 0.15, 0, 1)
    low, high = max(first, 0), min(first + size, total.size)
    if low < high:
        total[low:high] += gain * rng.uniform(0.7, 1) * note[low - first : high - first]


def _drum(
    total: NDArray[np.float64], begin: float, beat: float, gain: float, sample_rate: int, rng: np.random.Generator
) -> None:
    size = round(0.18 * sample_rate)
    time = np.arange(size) / sample_rate
    kick = np.sin(2 * np.pi * (50 * time + 6 * (1 - np.exp(-time * 25)))) * np.exp(-time * 18)
    for number, start in enumerate(np.arange(begin, total.size / sample_rate, beat / 2)):
        hat = np.diff(rng.standard_normal(size + 1)) * np.exp(-time * 60) * 0.25
        snare = rng.standard_normal(size) * np.exp(-time * 25) * 0.5
        hit = hat + (kick if number % 4 == 0 else snare if number % 4 == 2 else 0)
        first = round(start * sample_rate)
        low, high = max(first, 0), min(first + size, total.size)
        if low < high:
            total[low:high] += gain * hit[low - first : high - first]


def _room(num_samples: int, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return steady noise (S,) that falls with frequency."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequencies = np.fft.rfftfreq(num_samples, 1 / sample_rate)
    corner, order = rng.uniform(100, 1500), rng.uniform(0.5, 1.5)
    return np.fft.irfft(spectrum / (1 + (frequencies / corner) ** 2) ** order, num_samples).astype(np.float32)


def _filtered(source: NDArray[np.float64], gains: NDArray[np.float64], hop: int, window: int) -> NDArray[np.float64]:
    """Return `source` (S,) through a filter that changes with time: gains (T, F), one row per hop."""
    taper = np.hanning(window + 1)[:window]
    num_frames = len(gains)
    padded = np.pad(source, (window // 2, num_frames * hop + 2 * window))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:num_frames]
    pieces = np.fft.irfft(np.fft.rfft(frames * taper, 2 * window) * gains, axis=1)
    # Windows are a whole number of hops long, so that they add up hop by hop.
    count = 2 * window // hop
    pieces = pieces.reshape(num_frames, count, hop)
    result = np.zeros((num_frames + count, hop))
    for index in range(count):
        result[index : index + num_frames] += pieces[:, index]
    return result.ravel()[window // 2 : window // 2 + source.size] * (2 * hop / window)


def _with_echo(dry: Waveform, sample_rate: int, rng: np.random.Generator) -> Waveform:
    """Return `dry` (S,) with a short reverberation of random strength."""
    size = round(rng.uniform(0.1, 0.4) * sample_rate)
    tail = rng.standard_normal(size) * np.exp(-6.9 * np.arange(size) / size)
    tail *= 10 ** (rng.uniform(-24, -8) / 20) / np.sqrt((tail**2).sum())
    length = dry.size + size
    wet = np.fft.irfft(np.fft.rfft(dry, length) * np.fft.rfft(tail, length), length)[: dry.size]
    return np.asarray(dry + wet, np.float32)


def _at_level(waveform: Waveform, level_db: float) -> Waveform:
    """Return `waveform` at an RMS of `level_db` dBFS, or a little less where it would clip."""
    rms = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    gain = 10 ** (level_db / 20) / max(rms, 1e-9)
    return np.asarray(waveform * min(gain, 0.95 / max(float(np.abs(waveform).max()), 1e-9)), np.float32)
