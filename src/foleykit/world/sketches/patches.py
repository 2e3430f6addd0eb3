"""Textures, cut-outs of them in many shapes, and how a cut-out is pasted into a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from foleykit.world.sketches.motion import Values, direction

Pixels = NDArray[np.uint8]
"""(H, W, 3), or (H, W, 4) of a cut-out, whose colours are multiplied by its fourth channel."""
Shape = Literal["ellipse", "box", "polygon"]

TEXTURE_SIZE = 288
_SKIN = np.array([(232, 190, 172), (198, 134, 102), (150, 98, 70), (96, 62, 46), (240, 205, 190)])
_SUBPIXEL_BITS = 4


class Textures:
    """A stock of noises with the spectra of natural pictures, and of pictures that are handed in."""

    def __init__(self, rng: np.random.Generator, count: int, pictures: Sequence[Pixels] = ()) -> None:
        self._noises = [_noise(rng) for _ in range(count)]
        self._pictures = pictures

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Pixels:
        """Return (`height`, `width`, 3): a part of a noise or picture, one colour or stripes, in another light."""
        chance = rng.random()
        if self._pictures and chance < 0.35:
            patch = _part(rng, self._pictures[int(rng.integers(len(self._pictures)))], height, width)
        elif chance < 0.85:
            patch = _part(rng, self._noises[int(rng.integers(len(self._noises)))], height, width)
        elif chance < 0.93:
            patch = np.broadcast_to(rng.integers(20, 235, 3).astype(np.uint8), (height, width, 3))
        else:
            patch = _stripes(rng, height, width)
        return _lit(rng, patch)


def _noise(rng: np.random.Generator) -> Pixels:
    """Return noise whose amplitude falls with a power of frequency, most of it along one mixture of colours."""
    size = TEXTURE_SIZE
    across, down = np.fft.rfftfreq(size)[None], np.fft.fftfreq(size)[:, None]
    frequency = np.hypot(across * rng.uniform(0.6, 1.6), down)
    frequency[0, 0] = 1
    amplitude = frequency ** -rng.uniform(0.6, 2.2)
    picture = np.full((size, size, 3), rng.uniform(0.1, 0.9)) + rng.normal(0, 0.06, 3)
    for least, most in ((0.05, 0.3), (0.0, 0.08)):
        phases = np.exp(2j * np.pi * rng.random(amplitude.shape))
        field = np.fft.irfft2(amplitude * phases, (size, size))
        colour = 1 + 0.3 * rng.normal(0, 1, 3)
        picture += (field / field.std())[..., None] * colour * rng.uniform(least, most)
    return _bytes(picture * 255)


def _part(rng: np.random.Generator, picture: Pixels, height: int, width: int) -> Pixels:
    """Return a square part of `picture`, a seventh of its side or more, stretched to `height` and `width`."""
    side = max(8, int(picture.shape[0] * np.exp(rng.uniform(np.log(0.15), 0))))
    top, left = rng.integers(0, picture.shape[0] - side + 1), rng.integers(0, picture.shape[1] - side + 1)
    part = cv2.resize(picture[top : top + side, left : left + side], (width, height), interpolation=cv2.INTER_LINEAR)
    return part[..., rng.permutation(3)] if rng.random() < 0.3 else part  # type: ignore[return-value]


def _stripes(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Return stripes or checks of two colours."""
    down, right = np.mgrid[:height, :width]
    along = direction(rng.uniform(0, np.pi)) * rng.uniform(0.05, 0.6)
    is_first = np.sin(right * along[0] + down * along[1]) > rng.uniform(-0.6, 0.6)
    if rng.random() < 0.5:
        is_first ^= np.sin(down * along[0] - right * along[1]) > 0
    first, second = rng.integers(10, 245, (2, 3))
    return np.where(is_first[..., None], first, second).astype(np.uint8)


def _lit(rng: np.random.Generator, patch: Pixels) -> Pixels:
    """Return `patch` less colourful, lighter or darker, in a light that falls off to one side."""
    height, width = patch.shape[:2]
    grey = patch.mean(axis=2, keepdims=True)
    light = rng.uniform(0.55, 1.4) * rng.uniform(0.88, 1.14, 3)
    if rng.random() < 0.7:
        down, right = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        away = direction(rng.uniform(0, 2 * np.pi)) * rng.uniform(0, 0.45)
        light = light * (1 + right * away[0] + down * away[1])[..., None]
    return _bytes((grey + (patch - grey) * rng.uniform(0.1, 1.0)) * light)


def _bytes(values: NDArray[np.floating]) -> Pixels:
    return np.clip(values, 0, 255).astype(np.uint8)


def _skin(rng: np.random.Generator, grain: NDArray[np.floating]) -> Pixels:
    return _bytes(_SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.7, 1.15) + grain)


def _cut_out(colours: Pixels, outline: Values) -> Pixels:
    """Return `colours` within an `outline` (N, 2), with soft edges."""
    mask = np.zeros(colours.shape[:2], np.uint8)
    corners = np.round(outline * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [corners], (255,), cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.dstack([(colours.astype(np.uint16) * mask[..., None] // 255).astype(np.uint8), mask])


def limb(rng: np.random.Generator, textures: Textures, length: float, width: float, *, is_bare: bool = False) -> Pixels:
    """Return a cut-out of an arm, leg or stick that begins at the middle of its left edge; bare ones have skin."""
    height, long = max(2, round(width)) + 2, max(6, round(length)) + 2
    colours = _skin(rng, rng.normal(0, 6, (height, long, 3))) if is_bare else textures.draw(rng, height, long)
    across = np.linspace(-1, 1, height)[:, None, None]
    round_ = _bytes(colours * (1.08 - rng.uniform(0, 0.5) * across**2))
    middle, half = height / 2, max(2, round(width)) / 2
    end = half * rng.uniform(0.5, 1.1)
    outline = [(0, middle - half), (long, middle - end), (long, middle + end), (0, middle + half)]
    return _cut_out(round_, np.array(outline))


def body(
    rng: np.random.Generator,
    textures: Textures,
    height: float,
    width: float,
    shape: Shape | None = None,
    *,
    is_bare: bool = False,
) -> Pixels:
    """Return a cut-out of something compact, of any shape unless told one."""
    rows, columns = max(6, round(height)), max(6, round(width))
    colours = textures.draw(rng, rows, columns)
    if is_bare:
        colours = _skin(rng, 0.25 * (colours - colours.mean()))
    if rng.random() < 0.4:
        down, right = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
        colours = _bytes(colours * (1.15 - 0.25 * (down**2 + right**2))[..., None])
    kinds: tuple[Shape, ...] = ("ellipse", "box", "polygon")
    match shape or kinds[rng.integers(len(kinds))]:
        case "box":
            outline = np.array([(1, 1), (columns - 1, 1), (columns - 1, rows - 1), (1, rows - 1)], np.float64)
        case "ellipse":
            outline = _around(np.linspace(0, 2 * np.pi, 24, endpoint=False), np.ones(24), rows, columns)
        case _:
            count = int(rng.integers(4, 11))
            outline = _around(np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(0.5, 1, count), rows, columns)
    return _cut_out(colours, outline)


def _around(angles: Values, radii: Values, rows: int, columns: int) -> Values:
    right = columns / 2 + np.cos(angles) * radii * (columns / 2 - 1)
    return np.stack([right, rows / 2 + np.sin(angles) * radii * (rows / 2 - 1)], axis=1)


def placed(
    camera: Values, at: Values, *, angle: float = 0.0, scale: tuple[float, float] = (1.0, 1.0), anchor: Values
) -> Values:
    """Return the matrix (2, 3) from a cut-out's pixels to a picture's.

    Its pixel `anchor` lies at the point `at` of the scene, turned by `angle` and scaled along its own axes; `camera`
    (2, 3) maps the scene to the picture.
    """
    right, down = direction(angle) * scale[0], direction(angle + np.pi / 2) * scale[1]
    turn = np.stack([right, down], axis=1)
    return np.column_stack([camera[:, :2] @ turn, camera[:, :2] @ (at - turn @ anchor) + camera[:, 2]])


def middle_of(cut_out: Pixels) -> Values:
    return np.array([cut_out.shape[1] / 2, cut_out.shape[0] / 2])


def paste(view: Pixels, cut_out: Pixels, matrix: Values) -> None:
    """Lay `cut_out` over `view` (H, W, 3), in place, where `matrix` (2, 3) maps it."""
    height, width = cut_out.shape[:2]
    corners = matrix @ np.array([(0, width, width, 0), (0, 0, height, height), (1, 1, 1, 1)])
    left, top = np.maximum(np.floor(corners.min(axis=1)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=1)).astype(int) + 1, (view.shape[1], view.shape[0]))
    if right <= left or bottom <= top:
        return
    within = np.column_stack([matrix[:, :2], matrix[:, 2] - (left, top)])
    over = cv2.warpAffine(cut_out, within, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
    under = view[top:bottom, left:right]
    kept = under.astype(np.uint16) * (255 - over[..., 3:].astype(np.uint16)) >> 8
    np.copyto(under, over[..., :3] + kept.astype(np.uint8))
