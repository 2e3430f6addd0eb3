"""A sketch as a camera takes it: a cluttered background, actors, hand-held motion, shutter, lens, codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from foleykit.world.sketches.actors import SCENE_SIZE, Actor, Dropper, Hand, Mover, Striker, Struck, Walker
from foleykit.world.sketches.motion import Values, wander
from foleykit.world.sketches.patches import TEXTURE_SIZE, Pixels, Textures, body, limb, middle_of, paste, placed

_SHUTTER_SAMPLES = 3
"""Moments that are averaged to a picture, as an open shutter does."""
_SUPERSAMPLING = 1.5
_CAMERA_RATES = (15, 24, 25, 25, 30, 30, 30, 50, 60)
"""Pictures per second of cameras; repeated or skipped to reach the rate that is asked for."""
_ASPECTS = (0.5625, 0.5625, 0.75, 1.0)
"""Height over width of the pictures, which are squeezed to squares."""


@dataclass(frozen=True, kw_only=True)
class SketchConfig:
    num_frames: int = 40
    fps: float = 25.0
    size: int = 96
    """Height and width in pixels."""


@dataclass(frozen=True, kw_only=True)
class SketchContact:
    """A visible impact."""

    time: float
    """Seconds from the first frame; may lie a little before it or behind the last."""
    point: tuple[float, float]
    """Right and down from the top left corner, each 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Sketch:
    frames: NDArray[np.uint8]
    """(T, H, W, 3)"""
    contacts: tuple[SketchContact, ...]
    """Sorted by time."""


def draw_sketch(rng: np.random.Generator, textures: Textures, config: SketchConfig = SketchConfig()) -> Sketch:
    """Return a new sketch; three in four hold something that strikes, falls or steps."""
    rate = float(rng.choice(_CAMERA_RATES))
    shown = np.round((np.arange(config.num_frames) / config.fps + rng.uniform(0, 1 / rate)) * rate)
    taken, of_taken = np.unique(shown, return_inverse=True)
    open_for = rng.uniform(0.2, 1.0) / rate
    within = ((np.arange(_SHUTTER_SAMPLES) + 0.5) / _SHUTTER_SAMPLES - 0.5) * open_for
    times = (taken[:, None] / rate + within).ravel()
    cast = _Cast(rng, textures, times)
    cameras = _cameras(rng, times, cast, config.size)
    frames = _develop(rng, _expose(_background(rng, textures), cast.in_order, cameras, config.size), config.fps)
    return Sketch(frames=frames[of_taken], contacts=_seen(cast.sounding, times, cameras, shown[0] / rate, config))


class _Cast:
    """Who is in a sketch."""

    def __init__(self, rng: np.random.Generator, textures: Textures, times: Values) -> None:
        chance = rng.random()
        self.sounding: list[Actor] = []
        if chance < 0.58:
            self.sounding = [Striker(rng, textures, times)]
        elif chance < 0.68:
            self.sounding = [Dropper(rng, textures, times)]
        elif chance < 0.74:
            self.sounding = [Walker(rng, textures, times)]
        if self.sounding and rng.random() < 0.08:
            self.sounding.append(Striker(rng, textures, times))
        silent: list[Actor] = []
        if not self.sounding or rng.random() < 0.3:
            for _ in range(1 if self.sounding else int(rng.integers(1, 3))):
                silent.append(_silent(rng, textures, times))
        strikers: list[Striker] = [actor for actor in self.sounding if isinstance(actor, Striker)]
        struck = [Struck(rng, textures, times, striker) for striker in strikers if rng.random() < 0.75]
        sprays = [thing.spray for thing in struck if thing.spray is not None]
        self.in_order: list[Actor] = [*silent[:1], *struck, *self.sounding, *silent[1:], *sprays]
        """From the farthest to the nearest."""
        self.focus = strikers[0].spot if strikers else np.full(2, SCENE_SIZE / 2)


def _silent(rng: np.random.Generator, textures: Textures, times: Values) -> Actor:
    chance = rng.random()
    if chance < 0.5:
        return Mover(rng, textures, times)
    return Hand(rng, textures, times) if chance < 0.75 else Striker(rng, textures, times, only_feints=True)


def _background(rng: np.random.Generator, textures: Textures) -> Pixels:
    """Return a wall, mostly with a floor, and things that stand around."""
    picture = textures.draw(rng, TEXTURE_SIZE, TEXTURE_SIZE).copy()
    if rng.random() < 0.6:
        horizon = int(TEXTURE_SIZE * rng.uniform(0.25, 0.8))
        picture[horizon:] = textures.draw(rng, TEXTURE_SIZE - horizon, TEXTURE_SIZE)
    for _ in range(int(rng.integers(0, 14))):
        size = np.exp(rng.uniform(np.log(10), np.log(150)))
        is_long = rng.random() < 0.25
        thing = (
            limb(rng, textures, 1.5 * size, rng.uniform(2, 12))
            if is_long
            else body(rng, textures, size * rng.uniform(0.4, 1.6), size)
        )
        angle = 0.0 if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)
        at = rng.uniform(0, TEXTURE_SIZE, 2)
        paste(picture, thing, placed(np.eye(2, 3), at, angle=angle, anchor=middle_of(thing)))
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 4)) if rng.random() < 0.3 else picture  # type: ignore[return-value]


def _cameras(rng: np.random.Generator, times: Values, cast: _Cast, size: int) -> Values:
    """Return for every moment the matrix (N, 2, 3) from the scene to the picture: on a tripod, in a hand, panning."""
    is_still = rng.random() < 0.35
    rate, unrest = rng.uniform(0.8, 5), 0.0 if is_still else float(np.exp(rng.uniform(np.log(0.3), np.log(10))))
    shift = np.stack([wander(rng, times, rate, unrest) for _ in range(2)], axis=1)
    roll, zoom = wander(rng, times, rate, 0.004 * unrest), np.exp(wander(rng, times, 0.5 * rate, 0.006 * unrest))
    if not is_still and rng.random() < 0.15:
        shift[:, 0] += rng.normal(0, 25) * (times - times.mean())
    if rng.random() < 0.12:  # A blow shakes what the camera stands on.
        for contact in (contact for actor in cast.sounding for contact in actor.contacts):
            since = np.maximum(times - contact.time, 0)
            shift[:, 1] += np.exp(-10 * since) * np.sin(40 * since) * rng.uniform(0.3, 2)
    width = round(_SUPERSAMPLING * size)
    zoom = zoom * np.exp(rng.uniform(np.log(0.75), np.log(1.6))) * width / SCENE_SIZE
    squeeze = rng.choice(_ASPECTS) / 0.75
    focus = 0.5 * cast.focus + 0.25 * SCENE_SIZE + rng.normal(0, 9, 2)
    cos, sin = np.cos(roll), np.sin(roll)
    turn = zoom[:, None, None] * np.stack([squeeze * cos, -squeeze * sin, sin, cos], axis=1).reshape(-1, 2, 2)
    offset = width / 2 - np.einsum("nij,nj->ni", turn, focus + shift)
    return np.concatenate([turn, offset[:, :, None]], axis=2)


def _expose(background: Pixels, actors: Sequence[Actor], cameras: Values, size: int) -> NDArray[np.float32]:
    """Return pictures (P, H, W, 3), each the mean of what the open shutter sees."""
    width = round(_SUPERSAMPLING * size)
    margin = np.full(2, (SCENE_SIZE - TEXTURE_SIZE) / 2)
    pictures = []
    for first in range(0, len(cameras), _SHUTTER_SAMPLES):
        light = np.zeros((width, width, 3), np.float32)
        for moment in range(first, first + _SHUTTER_SAMPLES):
            camera = cameras[moment]
            behind = np.column_stack([camera[:, :2], camera[:, 2] + camera[:, :2] @ margin])
            view = np.asarray(
                cv2.warpAffine(background, behind, (width, width), borderMode=cv2.BORDER_REFLECT_101), np.uint8
            )
            for actor in actors:
                actor.draw(view, camera, moment)
            light += view
        pictures.append(cv2.resize(light / _SHUTTER_SAMPLES, (size, size), interpolation=cv2.INTER_AREA))
    return np.stack(pictures)


def _develop(rng: np.random.Generator, pictures: NDArray[np.float32], fps: float) -> Pixels:
    """Return `pictures` (P, H, W, 3) as lens, sensor and codec leave them."""
    if rng.random() < 0.25:
        blur = rng.uniform(0.3, 0.9)
        pictures = np.stack([cv2.GaussianBlur(picture, (0, 0), blur) for picture in pictures])
    values = pictures * rng.uniform(0.55, 1.3) + rng.uniform(-25, 25)
    if rng.random() < 0.2:
        values = values * (1 + wander(rng, np.arange(len(values)) / fps, 3, 0.06))[:, None, None, None]
    values = values + rng.normal(0, rng.choice([0, 1.5, 4, 8]) * rng.random(), values.shape)
    developed = np.clip(values, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        packed = [cv2.imencode(".jpg", picture, quality)[1] for picture in developed]
        developed = np.stack([np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) for data in packed])
    return developed


def _seen(
    actors: Sequence[Actor], times: Values, cameras: Values, start: float, config: SketchConfig
) -> tuple[SketchContact, ...]:
    """Return the contacts that lie in the picture, on the clock of the first frame."""
    width, found = round(_SUPERSAMPLING * config.size), []
    for contact in (contact for actor in actors for contact in actor.contacts):
        time = contact.time - start
        if not -2 < time * config.fps < config.num_frames + 1:
            continue
        camera = cameras[min(int(np.searchsorted(times, contact.time)), len(times) - 1)]
        right, down = ((camera[:, :2] @ contact.point + camera[:, 2]) / width).tolist()
        if 0 <= right < 1 and 0 <= down < 1:
            found.append(SketchContact(time=time, point=(right, down)))
    return tuple(sorted(found, key=lambda contact: contact.time))
