"""What the ambience of a place comes from, as far as it is seen: one source for every layer that can be heard.

Without it nothing in a picture tells a hum from a babble, and no encoder could learn which ambience fits a place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.world.parts import SceneDrawer
from foleykit.world.surroundings import CameraStyle
from foleykit.world.textures import hsv
from foleykit.world.types import AmbienceKind, Place

AUDIBLE_DB = -60.0
"""Level of the ambient stem (dBFS) above which its sources are shown."""
UNSEEN: tuple[AmbienceKind, ...] = ("room", "silence")

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Wave = Literal["swing", "pass", "hop"]
"""To and fro; from one end to the other, again and again; up and down like a ball."""


@dataclass(frozen=True, kw_only=True)
class MovingPart:
    """A body of a source, and how it moves about where it is drawn."""

    name: str
    """The MuJoCo mocap body's name."""
    centre: Vector
    turn: Quaternion
    """Takes right, up and towards the camera to the world."""
    sweep: Vector = (0.0, 0.0, 0.0)
    """Metres from the centre to the end of its way."""
    wave: Wave = "swing"
    rate: float = 1.0
    """Ways per second."""
    phase: float = 0.0
    spin: float = 0.0
    """Turns per second about the axis that points towards the camera."""
    rock: float = 0.0
    """Radians to either side about that axis, `rate` times per second."""

    def pose(self, time: float) -> tuple[Vector, Quaternion]:
        """Return position (metres) and orientation (w first) at `time` in seconds."""
        cycle = self.rate * time + self.phase
        match self.wave:
            case "swing":
                way = math.sin(2 * math.pi * cycle)
            case "pass":
                way = 2 * (cycle % 1.0) - 1
            case "hop":
                way = abs(math.sin(math.pi * cycle))
        angle = 2 * math.pi * self.spin * time + self.rock * math.sin(2 * math.pi * cycle)
        x, y, z = (c + way * s for c, s in zip(self.centre, self.sweep, strict=True))
        return (x, y, z), _times(self.turn, _about_z(angle))


@dataclass(frozen=True, kw_only=True)
class Rain:
    """Streaks over the whole picture and the grey light that goes with them."""

    seed: int
    num_streaks: int
    length: float
    """Share of the picture's height."""
    speed: float
    """Heights per second."""
    slant: float
    """Pixels to the right per pixel down."""
    greyness: float


def audible_sources(place: Place) -> tuple[AmbienceKind, ...]:
    """Return the layers of the place's ambience that can be heard and have something to show."""
    if place.ambient_level_db <= AUDIBLE_DB:
        return ()
    return tuple(kind for kind in place.ambience if kind not in UNSEEN)


def draw_sources(
    drawer: SceneDrawer, place: Place, camera: CameraStyle, extent: float, aspect: float
) -> tuple[MovingPart, ...]:
    """Add a source per audible layer beyond the work area, near the upper rim of the picture (`aspect` wide to high).

    Their look depends on the place's seed alone, so that it is as stationary as the sound.
    """
    kinds = [kind for kind in audible_sources(place) if kind != "rain"]
    rng = np.random.default_rng([place.seed, 13])
    rim = 0.62 if len(kinds) > 2 else 0.42
    columns = np.linspace(-rim, rim, len(kinds)) if len(kinds) > 1 else rng.uniform(-0.45, 0.45, len(kinds))
    reach = math.tan(math.radians(camera.field_of_view / 2))
    parts: list[MovingPart] = []
    for number, (kind, column) in enumerate(zip(kinds, columns, strict=True)):
        own = np.random.default_rng([place.seed, 13, number])
        across = float(column) * min(aspect, 1.4) * reach
        centre, turn = _spot(camera, extent, across, own.uniform(0.63, 0.69) * reach)
        depth = math.dist(centre, camera.position)
        unit = own.uniform(0.2, 0.26) * (0.85 if len(kinds) == 3 else 1) * reach * depth * min(aspect, 1.0)
        tilt = _times(turn, _about_z(own.uniform(-0.12, 0.12)))
        easel = _Easel(drawer, f"source{number}", centre, tilt, float(unit), own)
        easel.draw(kind)
        parts += easel.parts
    return tuple(parts)


def _spot(camera: CameraStyle, extent: float, across: float, upward: float) -> tuple[Vector, Quaternion]:
    """Return a point seen at (across, upward), in depths from the picture's middle, and the turn to face the camera."""
    position = np.array(camera.position)
    back = position - np.array(camera.focus)
    back /= np.linalg.norm(back)
    right = np.cross([0, 0, 1.0], back)
    right /= np.linalg.norm(right)
    ray = across * right + upward * np.cross(back, right) - back
    away = -np.array([back[0], back[1]]) / math.hypot(back[0], back[1])
    # Where the ray would meet the work surface, but neither among the objects nor as far as the clutter.
    meets = position[:2] @ away + (position[2] - 0.06) / max(-ray[2], 1e-3) * (ray[:2] @ away)
    beyond = float(np.clip(meets, extent + 0.06, extent + 0.35))
    centre = position + ray * (beyond - position[:2] @ away) / (ray[:2] @ away)
    centre[2] = max(centre[2], 0.03)
    towards = position - centre
    yaw = math.atan2(towards[0], -towards[1])
    pitch = math.atan2(math.hypot(towards[0], towards[1]), towards[2])
    x, y, z = centre.tolist()
    return (x, y, z), _times(_about_z(yaw), (math.cos(pitch / 2), math.sin(pitch / 2), 0.0, 0.0))


def draw_rain(place: Place) -> Rain | None:
    """Return the rain at the place; None where none can be heard."""
    if "rain" not in audible_sources(place):
        return None
    rng = np.random.default_rng([place.seed, 14])
    return Rain(
        seed=place.seed,
        num_streaks=int(rng.integers(50, 110)),
        length=float(rng.uniform(0.08, 0.16)),
        speed=float(rng.uniform(1.6, 3.2)),
        slant=float(rng.uniform(-0.3, 0.3)),
        greyness=float(rng.uniform(0.35, 0.6)),
    )


def rain_on(frames: NDArray[np.uint8], times: NDArray[np.float64], rain: Rain) -> NDArray[np.uint8]:
    """Return frames (T, H, W, 3) at `times` (T,) in seconds, greyer and crossed by falling streaks."""
    _, height, width, _ = frames.shape
    rng = np.random.default_rng([rain.seed, 15])
    left, phase, haste = rng.uniform([[0.0], [0.0], [0.8]], [[1.0], [1.0], [1.25]], (3, rain.num_streaks))
    along = np.arange(max(2, round(rain.length * height)))
    thickness = np.arange(max(1, round(height / 110)))
    out = np.empty_like(frames)
    keep, grey = round(256 * 0.88 * (1 - rain.greyness)), round(256 * 0.88 * rain.greyness / 3)
    for index, time in enumerate(times):
        lit = frames[index].astype(np.uint16)
        mean = lit.sum(axis=2, keepdims=True, dtype=np.uint16) * np.uint32(grey)
        lit = ((lit * np.uint32(keep) + mean) >> 8).astype(np.uint8)
        fallen = (phase + rain.speed * haste * time) % 1.0 * (1 + rain.length)
        # Every turn a streak falls elsewhere, or the eye would see columns.
        turn = np.floor(phase + rain.speed * haste * time)
        start = (left + 0.618 * turn) % 1.0 * width
        rows = (fallen * height).astype(int)[:, None] - along
        columns = ((start[:, None] + rain.slant * rows)[..., None] + thickness).astype(int) % width
        rows = np.broadcast_to(rows[..., None], columns.shape)
        inside = (rows >= 0) & (rows < height)
        where = (rows[inside], columns[inside])
        lit[where] = (lit[where] >> 1) + np.array([108, 114, 124], np.uint8)
        out[index] = lit
    return out


def _about_z(angle: float) -> Quaternion:
    return math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)


def _times(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the turn b followed by a."""
    return (
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    )


class _Easel:
    """Draws one source in its own frame: x right, y up, z towards the camera, its half height the unit of length."""

    def __init__(
        self, drawer: SceneDrawer, name: str, centre: Vector, turn: Quaternion, unit: float, rng: np.random.Generator
    ) -> None:
        self._drawer, self._name, self._rng = drawer, name, rng
        self._centre, self._turn, self._unit = centre, turn, unit
        w, x, y, z = turn
        self._axes = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        self._num_colours = 0
        self.parts: list[MovingPart] = []

    def _colour(self, hue: float, saturation: float, value: float, *, glow: float = 0.25) -> str:
        """Register a colour and return its material; some glow keeps a source from drowning in shade."""
        name = f"{self._name}_{self._num_colours}"
        self._num_colours += 1
        red, green, blue = np.clip(hsv(hue % 1.0, saturation, value), 0, 1)
        self._drawer.assets.append(
            f'<material name="{name}" rgba="{red:.3f} {green:.3f} {blue:.3f} 1" emission="{glow}" specular="0.1"/>'
        )
        return name

    def _geom(self, shape: str, size: Vector, colour: str, *, at: Vector = (0, 0, 0), turn: float = 0.0) -> str:
        """Return a box or ellipsoid of half extents `size`, or a cylinder (radius, half depth) facing the camera."""
        half = " ".join(f"{self._unit * s:.5f}" for s in size)
        place = " ".join(f"{self._unit * p:.5f}" for p in at)
        return (
            f'<geom type="{shape}" size="{half}" pos="{place}" euler="0 0 {turn:.3f}" material="{colour}" '
            'contype="0" conaffinity="0" group="2" mass="0"/>'
        )

    def _still(self, *geoms: str) -> None:
        position, turn = (" ".join(f"{v:.5f}" for v in vector) for vector in (self._centre, self._turn))
        self._drawer.bodies.append(f'<body pos="{position}" quat="{turn}">{"".join(geoms)}</body>')

    def _moving(
        self, *geoms: str, at: Vector = (0, 0, 0), sweep: Vector = (0, 0, 0), wave: Wave = "swing", rate: float = 1.0,
        phase: float = 0.0, spin: float = 0.0, rock: float = 0.0,
    ) -> None:  # fmt: skip
        name = f"{self._name}_part{len(self.parts)}"
        self._drawer.bodies.append(f'<body name="{name}" mocap="true">{"".join(geoms)}</body>')
        x, y, z = (np.array(self._centre) + self._unit * self._axes @ np.array(at)).tolist()
        dx, dy, dz = (self._unit * self._axes @ np.array(sweep)).tolist()
        self.parts.append(
            MovingPart(
                name=name, centre=(x, y, z), turn=self._turn, sweep=(dx, dy, dz), wave=wave, rate=float(rate),
                phase=float(phase), spin=float(spin), rock=float(rock),
            )
        )  # fmt: skip

    def draw(self, kind: AmbienceKind) -> None:
        match kind:
            case "fan":
                self._fan()
            case "machine":
                self._machine()
            case "hum":
                self._hum()
            case "traffic":
                self._traffic()
            case "babble":
                self._babble()
            case "birds":
                self._birds()
            case "stream":
                self._stream()
            case "wind":
                self._wind()

    def _fan(self) -> None:
        rng = self._rng
        hue, num_blades = rng.choice([0.0, 0.33, 0.55, 0.8]), int(rng.integers(3, 5))
        ring, dark = self._colour(0.6, 0.05, 0.9), self._colour(0.6, 0.2, 0.12, glow=0.0)
        blade = self._colour(hue, rng.uniform(0.1, 0.6), 0.95)
        self._still(
            self._geom("cylinder", (0.95, 0.05, 0), ring),
            self._geom("cylinder", (0.82, 0.06, 0), dark),
            self._geom("box", (0.12, 0.25, 0.05), ring, at=(0, -1.1, -0.05)),
            self._geom("box", (0.5, 0.07, 0.2), ring, at=(0, -1.35, 0)),
        )
        blades = [
            self._geom("ellipsoid", (0.38, 0.2, 0.03), blade, at=(0.4 * math.cos(a), 0.4 * math.sin(a), 0), turn=a)
            for a in 2 * math.pi * np.arange(num_blades) / num_blades
        ]
        # Below half a blade's distance per frame, or a camera would see it turn backwards.
        self._moving(
            *blades, self._geom("cylinder", (0.14, 0.06, 0), ring), at=(0, 0, 0.12),
            spin=rng.choice([-1, 1]) * rng.uniform(1.0, 2.6),
        )  # fmt: skip

    def _machine(self) -> None:
        rng = self._rng
        hue, width = rng.choice([0.0, 0.07, 0.14, 0.4]), rng.uniform(0.8, 1.15)
        paint, dark = self._colour(hue, 0.85, rng.uniform(0.6, 0.9)), self._colour(0.6, 0.1, 0.15, glow=0.0)
        pale = self._colour(0.1, 0.1, 0.9)
        self._moving(
            self._geom("box", (width, 0.7, 0.35), paint),
            self._geom("box", (0.15, 0.35, 0.15), dark, at=(-0.6 * width, 0.85, 0)),
            self._geom("box", (0.25, 0.08, 0.02), dark, at=(-0.5 * width, 0.45, 0.36)),
            sweep=(0.07, 0.05, 0), rate=rng.uniform(5, 9), rock=0.03,
        )  # fmt: skip
        bars = [self._geom("box", (0.48, 0.07, 0.03), pale, turn=a, at=(0, 0, 0.06)) for a in (0.0, math.pi / 2)]
        self._moving(
            self._geom("cylinder", (0.55, 0.05, 0), dark), *bars, at=(0.25 * width, -0.1, 0.42),
            spin=rng.choice([-1, 1]) * rng.uniform(0.6, 1.8),
        )  # fmt: skip

    def _hum(self) -> None:
        rng = self._rng
        body = self._colour(rng.uniform(0.1, 0.6), 0.08, rng.uniform(0.75, 0.95))
        lamp = self._colour(rng.choice([0.17, 0.35, 0.5, 0.75]), 0.9, 1.0, glow=1.0)
        dark = self._colour(0.6, 0.1, 0.35, glow=0.0)
        width, lamp_height = rng.uniform(0.6, 0.85), rng.choice([0.25, 0.75])
        vents = [self._geom("box", (0.7 * width, 0.05, 0.02), dark, at=(0, -0.2 - 0.22 * n, 0.36)) for n in range(4)]
        self._still(
            self._geom("box", (width, 1.1, 0.35), body),
            self._geom("box", (0.75 * width, 0.16, 0.04), lamp, at=(0, lamp_height, 0.36)),
            *vents,
        )

    def _traffic(self) -> None:
        rng = self._rng
        road, white = self._colour(0.6, 0.05, 0.22, glow=0.1), self._colour(0.15, 0.1, 0.95)
        dark, length = self._colour(0.6, 0.1, 0.08, glow=0.0), 1.7
        marks = [self._geom("box", (0.16, 0.035, 0.02), white, at=(0.65 * n, -0.05, 0.03)) for n in range(-2, 3)]
        self._still(self._geom("box", (length, 0.62, 0.02), road), *marks)
        first, rate = rng.uniform(), rng.uniform(0.25, 0.55)
        for number, (lane, way) in enumerate(((0.25, -1), (-0.35, 1), (-0.35, 1))):
            paint = self._colour(first + 0.37 * number, 0.85, 0.9)
            wheels = [self._geom("cylinder", (0.1, 0.17, 0), dark, at=(x, -0.14, 0)) for x in (-0.2, 0.2)]
            self._moving(
                self._geom("box", (0.36, 0.13, 0.14), paint),
                self._geom("box", (0.19, 0.11, 0.12), paint, at=(-0.05 * way, 0.2, 0)),
                *wheels, at=(0, lane + 0.1, 0.2), sweep=(way * (length - 0.3), 0, 0), wave="pass",
                rate=rate * (0.8 if number == 0 else 1.0), phase=first + 0.5 * number,
            )  # fmt: skip

    def _babble(self) -> None:
        rng = self._rng
        first = rng.uniform()
        for number in range(3):
            cloth = self._colour(first + 0.31 * number, rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.9))
            skin = self._colour(rng.uniform(0.04, 0.08), rng.uniform(0.3, 0.6), rng.uniform(0.4, 0.95))
            hair = self._colour(rng.uniform(0.02, 0.12), 0.6, rng.uniform(0.05, 0.5), glow=0.0)
            tall = rng.uniform(0.9, 1.1)
            self._moving(
                self._geom("ellipsoid", (0.36, 0.75 * tall, 0.2), cloth, at=(0, 0.55 * tall, 0)),
                self._geom("ellipsoid", (0.25, 0.3, 0.22), skin, at=(0, 1.5 * tall, 0.05)),
                self._geom("ellipsoid", (0.26, 0.18, 0.2), hair, at=(0, 1.68 * tall, 0)),
                at=(0.68 * (number - 1), -1.0, 0.1 * (number % 2)), sweep=(0.05, 0.03, 0),
                rate=rng.uniform(0.4, 1.0), phase=rng.uniform(), rock=rng.uniform(0.08, 0.2),
            )  # fmt: skip

    def _birds(self) -> None:
        rng = self._rng
        wood = self._colour(0.07, 0.6, 0.3)
        coat = self._colour(rng.choice([0.0, 0.12, 0.58, 0.9]), rng.uniform(0.5, 0.9), rng.uniform(0.55, 0.95))
        wing = self._colour(0.08, 0.3, rng.uniform(0.1, 0.35), glow=0.0)
        beak = self._colour(0.11, 0.95, 1.0)
        self._still(self._geom("box", (1.3, 0.07, 0.07), wood, at=(0, -0.85, 0), turn=rng.uniform(-0.1, 0.1)))
        for number, x in enumerate((-0.75, 0.75)):
            look = 1 - 2 * number
            self._moving(
                self._geom("ellipsoid", (0.42, 0.27, 0.25), coat),
                self._geom("ellipsoid", (0.2, 0.2, 0.2), coat, at=(0.36 * look, 0.27, 0)),
                self._geom("ellipsoid", (0.14, 0.06, 0.06), beak, at=(0.6 * look, 0.25, 0)),
                self._geom("ellipsoid", (0.28, 0.14, 0.06), wing, at=(-0.12 * look, 0.02, 0.24)),
                at=(x, -0.5, 0), sweep=(0.1 * look, 0.3, 0), wave="hop", rate=rng.uniform(0.8, 1.8),
                phase=rng.uniform(), rock=0.12,
            )  # fmt: skip
        rate, phase, rise = rng.uniform(2, 4), rng.uniform(), (0, 0.1, 0)
        self._moving(
            self._geom("ellipsoid", (0.18, 0.28, 0.2), coat),
            self._geom("ellipsoid", (0.06, 0.06, 0.1), beak, at=(0, 0.12, 0.2)),
            at=(0, 0.55, 0.1), sweep=rise, rate=rate, phase=phase + 0.5,
        )  # fmt: skip
        for side in (-1, 1):
            self._moving(
                self._geom("ellipsoid", (0.4, 0.12, 0.08), wing, at=(0.48 * side, 0, 0)),
                at=(0, 0.62, 0.1), sweep=rise, rate=rate, phase=phase + 0.5, rock=0.75 * side,
            )  # fmt: skip

    def _stream(self) -> None:
        rng = self._rng
        water = self._colour(rng.uniform(0.53, 0.62), rng.uniform(0.65, 0.9), rng.uniform(0.65, 0.9))
        foam, stone = self._colour(0.55, 0.12, 1.0, glow=0.5), self._colour(0.1, 0.1, rng.uniform(0.3, 0.6))
        slope = rng.choice([-1, 1]) * rng.uniform(0.25, 0.6)
        self._turn = _times(self._turn, _about_z(slope))
        self._axes = self._axes @ np.array(
            [[math.cos(slope), -math.sin(slope), 0], [math.sin(slope), math.cos(slope), 0], [0, 0, 1]]
        )
        banks = [
            self._geom("ellipsoid", (0.28, 0.18, 0.12), stone, at=(x + 0.2 * side, 0.55 * side, 0.05))
            for side in (-1, 1)
            for x in (-0.9, 0.0, 0.9)
        ]
        self._still(self._geom("box", (1.35, 0.5, 0.03), water), *banks)
        rate, down = rng.uniform(0.5, 1.0), -math.copysign(1, slope)
        for number in range(3):
            flecks = [
                self._geom("ellipsoid", (rng.uniform(0.14, 0.24), 0.05, 0.03), foam, at=(rng.uniform(-0.2, 0.2), y, 0))
                for y in rng.uniform(-0.38, 0.38, 3)
            ]
            self._moving(*flecks, at=(0, 0, 0.05), sweep=(1.1 * down, 0, 0), wave="pass", rate=rate, phase=number / 3)

    def _wind(self) -> None:
        rng = self._rng
        hue, rate = rng.uniform(0.2, 0.36), rng.uniform(0.5, 1.3)
        greens = [self._colour(hue + 0.04 * n, rng.uniform(0.6, 0.95), 0.5 + 0.2 * n) for n in range(3)]
        for number in range(3):
            blades = [
                self._geom(
                    "ellipsoid", (0.1, tall, 0.04), greens[blade % 3], turn=-lean,
                    at=(0.16 * (blade - 1.5) + tall * math.sin(lean), tall * math.cos(lean), 0.03 * blade),
                )
                for blade, (tall, lean) in enumerate(rng.uniform([0.7, -0.35], [1.1, 0.35], (4, 2)))
            ]  # fmt: skip
            self._moving(
                *blades, at=(0.6 * (number - 1), -1.0, 0.05 * number), rate=rate, phase=-0.13 * number,
                rock=rng.uniform(0.25, 0.5),
            )  # fmt: skip
