"""The sound of a take: every event rendered from its cause, and the background of the place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foleykit.world.ambience import ambience
from foleykit.world.friction import intensity, roll, scrape, sustained_level_db
from foleykit.world.modal import impact, impact_level_db, strike_rng, unit_peak
from foleykit.world.noise import amplitude, band, convolve, shaped_noise
from foleykit.world.pour import pour
from foleykit.world.recordings import Recordings
from foleykit.world.types import AMBIENCE_KINDS, MATERIALS, AmbienceKind, Place, SoundEvent, Split, Stems, Take

_RECORDED, _ECHO, _AMBIENT, _VARIANT, _BODY, _REVOICED = 301, 302, 303, 304, 305, 306


def voice(
    take: Take, *, sample_rate: int, seed: int, recordings: Recordings | None = None, recording_share: float = 0.3
) -> Stems:
    """Return the stems of `take`, each round(seconds * sample_rate) long.

    An event's sound starts at sample round(time * sample_rate) exactly. With `recordings`, `recording_share` of the
    bodies and of the backgrounds sound from a recording; a body is one or the other for all its events.
    """
    num_samples = round(take.seconds * sample_rate)
    return Stems(
        sample_rate=sample_rate,
        action=voice_events(
            take,
            sample_rate=sample_rate,
            seed=seed,
            on_screen=True,
            recordings=recordings,
            recording_share=recording_share,
        ),
        off_screen=voice_events(
            take,
            sample_rate=sample_rate,
            seed=seed,
            on_screen=False,
            recordings=recordings,
            recording_share=recording_share,
        ),
        ambient=ambience(
            take.place,
            num_samples=num_samples,
            sample_rate=sample_rate,
            rng=np.random.default_rng((seed, _AMBIENT)),
            recordings=recordings,
            recording_share=recording_share,
        ),
    )


def voice_events(
    take: Take,
    *,
    sample_rate: int,
    seed: int,
    on_screen: bool,
    recordings: Recordings | None = None,
    recording_share: float = 0.3,
) -> NDArray[np.float32]:
    """Return the sum (S,) of the events in the picture, or of those outside it, in the acoustics of the place."""
    num_samples = round(take.seconds * sample_rate)
    stem = np.zeros(num_samples, np.float32)
    for index, event in enumerate(take.events):
        start = round(event.time * sample_rate)
        if event.on_screen != on_screen or not 0 <= start < num_samples:
            continue
        rng = strike_rng(seed, index)
        sound = _recorded(event, take.place.split, sample_rate, rng, recordings, recording_share)
        if sound is None:
            sound = _synthesised(event, sample_rate, rng)
        sound = sound[: num_samples - start] * np.float32(amplitude(event_level_db(event) + rng.normal(0, 1.0)))
        stem[start : start + sound.size] += sound
    if stem.any():
        stem = _in_room(stem, take.place, sample_rate, distant=not on_screen)
    peak = float(np.abs(stem).max(initial=0))
    return stem * np.float32(0.9 / peak) if peak > 0.9 else stem


def revoiced(take: Take, *, seed: int, number: int) -> Take:
    """Return `take` with every body in the picture made of another material: it looks as it did and sounds otherwise.

    A body is of one material throughout, `number` tells one re-voicing from the next.
    """

    def other(event: SoundEvent) -> SoundEvent:
        if not event.on_screen:
            return event
        rng = np.random.default_rng((seed, _REVOICED, number, event.body_seed))
        materials = [material for material in MATERIALS if material != event.material]
        material = materials[rng.integers(len(materials))]
        # What is stuffed has no modes, whatever it is made of.
        is_hardened = event.shape == "soft" and material != "cloth"
        return replace(event, material=material, shape="block" if is_hardened else event.shape)

    return replace(take, events=tuple(other(event) for event in take.events))


def event_level_db(event: SoundEvent) -> float:
    """Return the peak level of an event in dBFS before the acoustics of the place, -60 to -3."""
    if event.kind == "impact":
        return impact_level_db(event.strength, event.material)
    return sustained_level_db(event.strength)


def ambient_variants(
    take: Take,
    *,
    sample_rate: int,
    seed: int,
    count: int,
    recordings: Recordings | None = None,
    recording_share: float = 0.3,
) -> NDArray[np.float32]:
    """Return `count` backgrounds (A, S) for the same take, so that one take can be heard in several places.

    The first is the place's own, the second is a quiet one, the others are of other kinds and levels.
    """
    num_samples = round(take.seconds * sample_rate)
    sounds = [
        ambience(
            place,
            num_samples=num_samples,
            sample_rate=sample_rate,
            rng=np.random.default_rng((seed, _AMBIENT, *((index,) if index else ()))),
            recordings=recordings,
            recording_share=recording_share,
        )
        for index, place in enumerate(variant_places(take.place, seed=seed, count=count))
    ]
    return np.stack(sounds)


def variant_places(place: Place, *, seed: int, count: int) -> tuple[Place, ...]:
    """Return the `count` places whose backgrounds `ambient_variants` renders; the first is `place`."""
    places = [place]
    for index in range(1, count):
        rng = np.random.default_rng((seed, _VARIANT, index))
        if index == 1:
            kinds: tuple[AmbienceKind, ...] = (rng.choice(("silence", "room")),)  # type: ignore[assignment]
            level_db = rng.uniform(-78, -58)
        else:
            others = [kind for kind in AMBIENCE_KINDS if kind != "silence" and kind not in place.ambience]
            kinds = tuple(rng.choice(others, size=int(rng.integers(1, 3)), replace=False))
            # Louder than places are: a user may turn any background up.
            level_db = rng.uniform(-56, -15)
        places.append(
            replace(place, seed=int(rng.integers(2**62)), ambience=kinds, ambient_level_db=round(float(level_db), 2))
        )
    return tuple(places[:count])


def _synthesised(event: SoundEvent, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    match event.kind:
        case "impact":
            return _step(event, sample_rate, rng) if event.action == "step" else _impact(event, sample_rate, rng)
        case "scrape":
            return scrape(event, sample_rate, rng)
        case "roll":
            return roll(event, sample_rate, rng)
        case "pour":
            return pour(event, sample_rate, rng)


def _impact(
    event: SoundEvent, sample_rate: int, rng: np.random.Generator, *, damping: float = 1.0
) -> NDArray[np.float32]:
    return impact(
        material=event.material,
        striker=event.striker,
        shape=event.shape,
        size=event.size,
        strength=event.strength,
        body_seed=event.body_seed,
        sample_rate=sample_rate,
        rng=rng,
        damping=damping,
    )


def _step(event: SoundEvent, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a footstep (S,): the heel, whose weight mutes the floor, then the softer toe."""
    heel = _impact(event, sample_rate, rng, damping=3.0)
    toe = 0.3 * _impact(event, sample_rate, rng, damping=4.0)
    delay = int(rng.uniform(0.06, 0.13) * sample_rate)
    step = np.zeros(max(heel.size, delay + toe.size), np.float32)
    step[: heel.size] += heel
    step[delay : delay + toe.size] += toe
    return unit_peak(step)


def _recorded(
    event: SoundEvent,
    split: Split,
    sample_rate: int,
    rng: np.random.Generator,
    recordings: Recordings | None,
    recording_share: float,
) -> NDArray[np.float32] | None:
    """Return the event's recording (S,) with peak 1, or None when its body is a synthetic one."""
    body = np.random.default_rng((event.body_seed, _RECORDED))
    if recordings is None or event.action == "step" or body.random() >= recording_share:
        return None
    if event.kind == "impact":
        return recordings.hit(event.material, split=split, body=body, rng=rng, sample_rate=sample_rate)
    num_samples = max(64, round(event.duration * sample_rate))
    texture = recordings.texture(
        event.kind, event.material, num_samples, split=split, body=body, rng=rng, sample_rate=sample_rate
    )
    return None if texture is None else unit_peak(texture * intensity(event, num_samples, sample_rate) ** 0.8)


def _in_room(stem: NDArray[np.float32], place: Place, sample_rate: int, *, distant: bool) -> NDArray[np.float32]:
    """Return `stem` with the place's reflections and tail; a `distant` source is duller, softer, more reverberant."""
    rng = np.random.default_rng((place.seed, _ECHO))
    reverberation_s = rng.uniform(0.12, 0.5)
    tail_db = rng.uniform(-34, -22) + (12 if distant else 0)
    num_taps = int(rng.integers(3, 8))
    delays = rng.uniform(0.004, 0.04, num_taps)
    gains = 10 ** (rng.uniform(-26, -14, num_taps) / 20) * rng.choice((-1, 1), num_taps)
    num_tail = int(reverberation_s * 1.2 * sample_rate)
    time = np.arange(num_tail, dtype=np.float32) / sample_rate
    tail = shaped_noise(num_tail, sample_rate, band(150, 0.25 * sample_rate, order=1), rng) * np.exp(
        -6.9 * time / reverberation_s
    )
    tail *= np.clip(time / 0.008, 0, 1)
    tail *= amplitude(tail_db) / np.sqrt((tail**2).sum() + 1e-9)
    kernel = tail.astype(np.float32)
    for delay, gain in zip(delays, gains, strict=True):
        kernel[int(delay * sample_rate)] += gain
    if not distant:
        return stem + convolve(stem, kernel, stem.size)
    kernel[0] += 1
    muffle_s = 1 / (2 * np.pi * rng.uniform(700, 2500))
    muffle = np.exp(-np.arange(int(8 * muffle_s * sample_rate) + 2, dtype=np.float32) / sample_rate / muffle_s)
    muffle /= muffle.sum()
    kernel = convolve(kernel, muffle, kernel.size)
    return convolve(stem, kernel * np.float32(amplitude(rng.uniform(-9, -3))), stem.size)
