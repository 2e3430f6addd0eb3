"""Procedural textures, one family of looks per material; all pictures are (S, S, 3) uint8 and tile seamlessly."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from foleykit.world.types import Material

Picture = NDArray[np.uint8]
Field = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How the renderer shows one body: its texture and how light meets it."""

    picture: Picture
    """(S, S, 3)"""
    alpha: float = 1.0
    """Opacity; glass is below 1."""
    specular: float = 0.0
    shininess: float = 0.2
    emission: float = 0.0


@lru_cache(maxsize=64)
def _upsampling(size: int, cells: int) -> Field:
    """Return the periodic, smoothed linear interpolation matrix (size, cells)."""
    position = np.arange(size) * cells / size
    left = position.astype(int)
    fraction = position - left
    fraction = fraction * fraction * (3 - 2 * fraction)
    matrix = np.zeros((size, cells), np.float32)
    matrix[np.arange(size), left % cells] += 1 - fraction
    matrix[np.arange(size), (left + 1) % cells] += fraction
    return matrix


def smooth_noise(rng: np.random.Generator, size: int, rows: int, columns: int) -> Field:
    """Return (size, size) periodic noise in [-1, 1] that changes over `rows` by `columns` cells."""
    grid = rng.uniform(-1, 1, (min(rows, size), min(columns, size))).astype(np.float32)
    columns_up = _upsampling(size, grid.shape[1])
    return (_upsampling(size, grid.shape[0]) @ grid @ columns_up.T).astype(np.float32)


def fractal_noise(rng: np.random.Generator, size: int, cells: int, *, octaves: int = 4, stretch: int = 1) -> Field:
    """Return (size, size) noise of several scales in about [-1, 1]; `stretch` lengthens it along the columns."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        total += smooth_noise(rng, size, cells * stretch << octave, cells << octave) * 0.55**octave
    return total


def hsv(hue: float, saturation: float, value: float) -> Field:
    """Return the colour (3,) in [0, 1]; the hue wraps around."""
    saturation, value = min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32)


def blend(first: Field, second: Field, weight: Field) -> Field:
    """Mix two colours (3,) by a (S, S) weight in [0, 1] into a (S, S, 3) picture."""
    return first + (second - first) * np.clip(weight, 0, 1)[..., None]


def to_picture(colour: Field) -> Picture:
    """Return the (S, S, 3) picture of colours in [0, 1]."""
    return (np.clip(colour, 0, 1) * 255).astype(np.uint8)


def _wood(rng: np.random.Generator, size: int) -> Finish:
    hue = rng.uniform(0.055, 0.105)
    value = rng.uniform(0.32, 0.88)
    light = hsv(hue, rng.uniform(0.42, 0.72), value)
    dark = hsv(hue - 0.015, rng.uniform(0.55, 0.8), value * rng.uniform(0.45, 0.72))
    rings = int(rng.integers(3, 10))
    across = np.linspace(0, 1, size, endpoint=False, dtype=np.float32)[:, None]
    warp = smooth_noise(rng, size, 3, 2) * rng.uniform(0.4, 1.3) + fractal_noise(rng, size, 2, stretch=8) * 0.25
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * (rings * across + warp))
    fibres = smooth_noise(rng, size, size, 4) * 0.3
    colour = blend(light, dark, grain ** rng.uniform(1, 3) * 0.85 + fibres)
    if rng.random() < 0.35:
        planks = int(rng.integers(2, 6))
        board = (across * planks).astype(int)[:, 0]
        colour *= rng.uniform(0.75, 1.1, planks).astype(np.float32)[board][:, None, None]
        colour[np.flatnonzero(np.diff(board, prepend=-1))] *= 0.4
    return Finish(picture=to_picture(colour), specular=rng.uniform(0, 0.25), shininess=0.2)


def _metal(rng: np.random.Generator, size: int) -> Finish:
    kind = rng.choice(["steel", "dark", "brass", "copper"], p=[0.62, 0.14, 0.15, 0.09])
    match kind:
        case "steel":
            base = hsv(rng.uniform(0.5, 0.68), rng.uniform(0, 0.09), rng.uniform(0.55, 0.78))
        case "dark":
            base = hsv(rng.uniform(0.5, 0.68), rng.uniform(0, 0.1), rng.uniform(0.28, 0.42))
        case "brass":
            base = hsv(rng.uniform(0.115, 0.14), rng.uniform(0.45, 0.68), rng.uniform(0.65, 0.85))
        case _:
            base = hsv(rng.uniform(0.03, 0.05), rng.uniform(0.38, 0.52), rng.uniform(0.7, 0.9))
    # Bands of light and dark stand for the surroundings that a real metal mirrors.
    bands = smooth_noise(rng, size, int(rng.integers(4, 9)), 1) * rng.uniform(0.35, 0.6)
    brushed = smooth_noise(rng, size, size, 3) * rng.uniform(0.03, 0.13)
    shine = np.maximum(smooth_noise(rng, size, 6, 1) - 0.45, 0) * 1.3
    level = 1 + bands + brushed
    colour = base * level[..., None] + shine[..., None]
    if rng.random() < 0.15:
        rust = np.clip(fractal_noise(rng, size, 3) * 1.5 - 0.5, 0, 0.7)
        colour = colour * (1 - rust[..., None]) + hsv(0.05, 0.7, 0.4) * rust[..., None]
    return Finish(picture=to_picture(colour), specular=1.0, shininess=rng.uniform(0.5, 0.95))


def _glass(rng: np.random.Generator, size: int) -> Finish:
    tint = hsv(
        rng.choice([0.33, 0.42, 0.5, 0.55, 0.6, 0.1], p=[0.2, 0.2, 0.2, 0.25, 0.1, 0.05]) + rng.normal(0, 0.02),
        rng.choice([0.1, 0.3, 0.55], p=[0.5, 0.3, 0.2]),
        rng.uniform(0.75, 1.0),
    )
    streaks = np.maximum(smooth_noise(rng, size, 1, int(rng.integers(5, 9))) - 0.5, 0) * 1.6
    edge = np.maximum(smooth_noise(rng, size, 1, 7) - 0.4, 0)
    colour = tint * (1 - 0.5 * edge)[..., None] + streaks[..., None]
    return Finish(
        picture=to_picture(colour),
        alpha=rng.uniform(0.28, 0.5),
        specular=1.0,
        shininess=1.0,
        emission=rng.uniform(0, 0.15),
    )


def _ceramic(rng: np.random.Generator, size: int) -> Finish:
    glaze = hsv(rng.uniform(0, 1), rng.uniform(0.0, 0.12), rng.uniform(0.88, 1.0))
    paint = hsv(
        rng.choice([0.6, 0.62, 0.0, 0.35, 0.08]) + rng.normal(0, 0.02), rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.75)
    )
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    match rng.choice(["plain", "bands", "dots", "flowers", "tiles"], p=[0.3, 0.22, 0.18, 0.15, 0.15]):
        case "plain":
            mask = np.zeros((size, size), np.float32)
        case "bands":
            mask = (np.abs((rows * rng.integers(1, 4)) % 1 - 0.5) < rng.uniform(0.05, 0.14)).astype(np.float32)
        case "dots":
            count = rng.integers(3, 7)
            mask = ((rows * count % 1 - 0.5) ** 2 + (columns * count % 1 - 0.5) ** 2 < 0.06).astype(np.float32)
        case "flowers":
            mask = (fractal_noise(rng, size, 5, octaves=2) > 0.55).astype(np.float32)
        case _:
            count = rng.integers(2, 5)
            joint = np.minimum(rows * count % 1, columns * count % 1)
            mask = (joint < 0.07).astype(np.float32) * 0.6
    colour = blend(glaze, paint, mask) * (1 + smooth_noise(rng, size, 3, 3) * 0.05)[..., None]
    return Finish(picture=to_picture(colour), specular=0.9, shininess=0.9, emission=0.08)


def _plastic(rng: np.random.Generator, size: int) -> Finish:
    base = hsv(rng.uniform(0, 1), rng.uniform(0.78, 1.0), rng.uniform(0.6, 1.0))
    shade = smooth_noise(rng, size, 2, 2) * rng.uniform(0, 0.06)
    if rng.random() < 0.2:
        second = hsv(rng.uniform(0, 1), rng.uniform(0.8, 1), rng.uniform(0.6, 1.0))
        rows = np.arange(size, dtype=np.float32)[:, None] / size
        stripe = np.broadcast_to((rows > rng.uniform(0.4, 0.7)).astype(np.float32), (size, size))
        colour = blend(base, second, stripe)
    else:
        colour = np.broadcast_to(base, (size, size, 3))
    return Finish(picture=to_picture(colour * (1 + shade)[..., None]), specular=rng.uniform(0.3, 0.6), shininess=0.6)


def _stone(rng: np.random.Generator, size: int) -> Finish:
    hue, saturation = rng.uniform(0.05, 0.14), rng.uniform(0.0, 0.2)
    value = rng.uniform(0.28, 0.72)
    base = hsv(hue, saturation, value)
    blotch = fractal_noise(rng, size, int(rng.integers(3, 9)), octaves=4) * rng.uniform(0.12, 0.3)
    speckle = rng.normal(0, 1, (size, size)).astype(np.float32) * rng.uniform(0.08, 0.25)
    colour = base * (1 + blotch + speckle)[..., None]
    flecks = rng.random((size, size)) < rng.uniform(0.0, 0.1)
    colour[flecks] = hsv(hue, saturation, value * rng.choice([0.3, 1.7]))
    if rng.random() < 0.3:
        veins = np.abs(fractal_noise(rng, size, 3, octaves=3)) < 0.04
        colour[veins] *= rng.choice([0.6, 1.4])
    return Finish(picture=to_picture(colour), specular=rng.uniform(0, 0.1), shininess=0.1)


def _cloth(rng: np.random.Generator, size: int) -> Finish:
    hue, value = rng.uniform(0, 1), rng.uniform(0.4, 0.9)
    base = hsv(hue, rng.uniform(0.15, 0.5), value)
    other = hsv(hue + rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.6), rng.uniform(0.3, 0.95))
    rows, columns = np.mgrid[0:size, 0:size]
    count = int(rng.integers(3, 9))
    stripes = (np.sin(2 * np.pi * count * columns / size) > rng.uniform(-0.2, 0.6)).astype(np.float32)
    crossing = (np.sin(2 * np.pi * count * rows / size) > 0.2).astype(np.float32)
    match rng.choice(["plain", "stripes", "checks", "gingham"], p=[0.2, 0.3, 0.25, 0.25]):
        case "plain":
            weight = np.zeros((size, size), np.float32)
        case "stripes":
            weight = stripes
        case "checks":
            weight = np.abs(stripes - crossing)
        case _:
            weight = (stripes + crossing) / 2
    weave = (((rows // 2 + columns // 2) % 2) * 2 - 1) * rng.uniform(0.06, 0.16)
    folds = smooth_noise(rng, size, int(rng.integers(2, 5)), int(rng.integers(2, 5))) * rng.uniform(0.1, 0.25)
    colour = blend(base, other, weight) * (1 + weave + folds)[..., None]
    return Finish(picture=to_picture(colour), specular=0.0, shininess=0.0)


def finish_of(material: Material, rng: np.random.Generator, size: int = 64) -> Finish:
    """Return one random look of a material."""
    match material:
        case "wood":
            return _wood(rng, size)
        case "metal":
            return _metal(rng, size)
        case "glass":
            return _glass(rng, size)
        case "ceramic":
            return _ceramic(rng, size)
        case "plastic":
            return _plastic(rng, size)
        case "stone":
            return _stone(rng, size)
        case "cloth":
            return _cloth(rng, size)
        case _:
            assert_never(material)


def background(rng: np.random.Generator, size: int = 64, *, hue: float, saturation: float, value: float) -> Picture:
    """Return a wall, floor or meadow around one colour: plain, mottled, tiled, papered or cluttered."""
    base = hsv(hue + rng.normal(0, 0.03), saturation * rng.uniform(0.5, 1.4), value * rng.uniform(0.75, 1.2))
    other = hsv(hue + rng.normal(0, 0.1), saturation * rng.uniform(0.3, 1.5), value * rng.uniform(0.5, 1.3))
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    match rng.choice(["mottled", "tiles", "stripes", "clutter", "plain"]):
        case "mottled":
            weight = 0.5 + fractal_noise(rng, size, int(rng.integers(2, 8))) * 0.6
        case "tiles":
            count = rng.integers(2, 9)
            weight = (np.minimum(rows * count % 1, columns * count % 1) < 0.1).astype(np.float32)
        case "stripes":
            weight = (columns * rng.integers(2, 9) % 1 > rng.uniform(0.3, 0.7)).astype(np.float32)
        case "clutter":
            weight = (smooth_noise(rng, size, 12, 12) > 0.15).astype(np.float32)
        case _:
            weight = np.zeros((size, size), np.float32)
    texture = 1 + fractal_noise(rng, size, 6, octaves=3) * rng.uniform(0.02, 0.2)
    return to_picture(blend(base, other, weight) * texture[..., None])
