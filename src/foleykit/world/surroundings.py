"""What surrounds the work: walls, clutter, lights, the camera, and things that move without a sound."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from foleykit.world.parts import SceneDrawer
from foleykit.world.places import PlaceKind
from foleykit.world.textures import Finish, background, finish_of, hsv
from foleykit.world.types import MATERIALS

FLOOR_HEIGHT = -0.75
"""Metres from the work surface (height 0) down to the floor."""


@dataclass(frozen=True, kw_only=True)
class Distractor:
    """A body that moves for no reason and touches nothing."""

    name: str
    centre: tuple[float, float, float]
    sweep: tuple[float, float, float]
    """Metres from the centre to either end of its way."""
    rate: float
    """Ways there and back per second."""
    phase: float


@dataclass(frozen=True, kw_only=True)
class CameraStyle:
    """How the camera is held."""

    head_mounted: bool
    position: tuple[float, float, float]
    focus: tuple[float, float, float]
    field_of_view: float
    """Vertical, degrees."""
    native_fps: float
    jitter: float
    """Metres of head bob."""
    quick_turns: bool
    left_handed: bool
    """The actor's working arm comes from the left."""
    blur_shutter: float
    """Fraction of the frame interval during which the shutter is open; 0 for sharp frames."""


def draw_surroundings(
    drawer: SceneDrawer, kind: PlaceKind, camera: CameraStyle, rng: np.random.Generator, *, walls: bool
) -> None:
    """Add walls or a far backdrop, clutter that never moves, and lights."""
    static = 'contype="0" conaffinity="0" group="2"'
    for wall, (position, size) in enumerate(
        (
            ("2.2 0 0.6", "0.05 4 2.2"),
            ("0 2.4 0.6", "4 0.05 2.2"),
            ("0 -2.4 0.6", "4 0.05 2.2"),
            ("-2.6 0 0.6", "0.05 4 2.2"),
        )
    ):
        picture = background(rng, hue=kind.hue, saturation=kind.saturation, value=kind.value)
        drawer.add_finish(f"wall{wall}", Finish(picture=picture), flat=True, repeat=rng.uniform(0.4, 2))
        if walls:
            drawer.bodies.append(f'<geom type="box" pos="{position}" size="{size}" material="wall{wall}" {static}/>')
    for clutter in range(rng.integers(0, 7)):
        name = f"clutter{clutter}"
        picture = background(rng, 32, hue=rng.uniform(), saturation=rng.uniform(0.1, 0.7), value=rng.uniform(0.2, 0.8))
        drawer.add_finish(name, Finish(picture=picture))
        angle, distance = rng.uniform(-math.pi, math.pi), rng.uniform(1.1, 2.0)
        # Nothing may stand between the camera and the work by chance.
        off_view = walls and math.cos(angle - math.atan2(camera.position[1], camera.position[0])) < 0.3
        half = rng.uniform(0.08, 0.4, 3)
        shape, height = rng.choice(["box", "cylinder", "ellipsoid"]), rng.uniform(FLOOR_HEIGHT, 0.4)
        if off_view:
            drawer.bodies.append(
                f'<geom type="{shape}" material="{name}" {static} size="{half[0]:.3f} {half[1]:.3f} {half[2]:.3f}" '
                f'pos="{distance * math.cos(angle):.3f} {distance * math.sin(angle):.3f} {height:.3f}"/>'
            )
    for _ in range(rng.integers(1, 4)):
        azimuth, height = rng.uniform(-math.pi, math.pi), rng.uniform(0.8, 2.2)
        colour = np.clip(hsv(rng.choice([0.09, 0.12, 0.58]), rng.uniform(0, 0.25), rng.uniform(0.45, 0.9)), 0, 1)
        x, y = 1.5 * math.cos(azimuth), 1.5 * math.sin(azimuth)
        directional = rng.random() < 0.5
        drawer.bodies.append(
            f'<light pos="{x:.2f} {y:.2f} {height:.2f}" dir="{-x:.2f} {-y:.2f} {-height:.2f}" '
            f'type="{"directional" if directional else "spot"}" cutoff="80" castshadow="true" '
            f'diffuse="{colour[0]:.2f} {colour[1]:.2f} {colour[2]:.2f}" specular="0.5 0.5 0.5"/>'
        )


def draw_camera(rng: np.random.Generator) -> CameraStyle:
    head_mounted = rng.random() < 0.72
    focus = rng.uniform([-0.06, -0.05, 0.0], [0.05, 0.05, 0.06])
    view = rng.uniform(42, 72)
    # The nearer the wider: the work area fills about the same part of the picture.
    distance = rng.uniform(0.19, 0.29) / math.tan(math.radians(view / 2)) + 0.12
    if head_mounted:
        azimuth, elevation = math.pi + rng.uniform(-0.35, 0.35), rng.uniform(0.55, 1.1)
    else:
        azimuth, elevation = rng.uniform(-2.6, 2.6), rng.uniform(0.35, 0.95)
        distance *= 0.88
    direction = np.array(
        [math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    tripod = not head_mounted and rng.random() < 0.6
    position = focus + distance * direction
    return CameraStyle(
        head_mounted=head_mounted,
        position=(float(position[0]), float(position[1]), float(position[2])),
        focus=(float(focus[0]), float(focus[1]), float(focus[2])),
        field_of_view=float(view),
        native_fps=float(rng.choice([24, 25, 29.97, 30, 50, 60])),
        jitter=0.0 if tripod else float(rng.uniform(0.002, 0.018)),
        quick_turns=bool(head_mounted and rng.random() < 0.15),
        left_handed=bool(rng.random() < 0.25),
        blur_shutter=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.25 else 0.0,
    )


def draw_walking_camera(rng: np.random.Generator) -> CameraStyle:
    return replace(
        draw_camera(rng),
        head_mounted=True,
        position=(float(rng.uniform(-0.25, 0.05)), float(rng.normal(0, 0.03)), float(rng.uniform(1.0, 1.5))),
        focus=(float(rng.uniform(0.2, 0.45)), 0.0, 0.0),
        field_of_view=float(rng.uniform(50, 75)),
        jitter=float(rng.uniform(0.006, 0.02)),
    )


def draw_path_side(drawer: SceneDrawer, length: float, width: float, rng: np.random.Generator) -> None:
    """Add things beside a path and marks on it, so that walking shows."""
    for number in range(5):
        picture = background(rng, 32, hue=rng.uniform(), saturation=rng.uniform(0.1, 0.6), value=rng.uniform(0.2, 0.8))
        drawer.add_finish(f"side{number}", Finish(picture=picture))
    for x in np.arange(-1, min(length, 24), 0.5):
        side = rng.choice([-1, 1])
        half = rng.uniform(0.03, 0.16, 3)
        y = side * (width + half[1] + rng.uniform(-0.05, 0.3))
        shape = rng.choice(["box", "cylinder", "ellipsoid"])
        drawer.bodies.append(
            f'<geom type="{shape}" pos="{x + rng.uniform(0, 0.4):.3f} {y:.3f} {half[2] * 0.6:.3f}" '
            f'size="{half[0]:.3f} {half[1]:.3f} {half[2]:.3f}" material="side{rng.integers(5)}" '
            'contype="0" conaffinity="0" group="2"/>'
        )


def draw_distractors(
    drawer: SceneDrawer, camera: CameraStyle, extent: float, rng: np.random.Generator
) -> tuple[Distractor, ...]:
    """Add what moves without sound: a lamp that swings, a ball that passes behind, a shadow over the table."""
    distractors = []
    for number in range(rng.choice([0, 1, 2], p=[0.62, 0.28, 0.1])):
        name = f"distractor{number}"
        away = -np.array(camera.position[:2]) / max(math.hypot(*camera.position[:2]), 1e-6)
        across = np.array([-away[1], away[0]])
        colour = hsv(rng.uniform(), rng.uniform(0, 0.9), rng.uniform(0.2, 1))
        drawer.add_flat_colour(name, colour)
        look = f'material="{name}" contype="0" conaffinity="0" group="1"'
        match rng.choice(["lamp", "passer", "shadow"]):
            case "lamp":
                centre = (*(away * rng.uniform(0.3, 0.7) + across * rng.uniform(-0.3, 0.3)), rng.uniform(0.25, 0.5))
                sweep = (*(across * rng.uniform(0.05, 0.2)), 0.0)
                geom = f'<geom type="ellipsoid" size="0.06 0.06 0.05" {look}/>'
                rate = rng.uniform(0.3, 0.9)
            case "passer":
                centre = (*(away * rng.uniform(0.6, 1.3)), rng.uniform(-0.1, 0.3))
                sweep = (*(across * rng.uniform(0.5, 1.5)), 0.0)
                size = rng.uniform(0.04, 0.15, 3)
                geom = f'<geom type="ellipsoid" size="{size[0]:.3f} {size[1]:.3f} {size[2]:.3f}" {look}/>'
                rate = rng.uniform(0.08, 0.3)
            case _:
                drawer.assets[-1] = f'<material name="{name}" rgba="0 0 0 0.35"/>'
                centre = (*rng.uniform(-extent, extent, 2), 0.002)
                sweep = (*rng.uniform(-0.4, 0.4, 2), 0.0)
                geom = f'<geom type="ellipsoid" size="0.12 0.08 0.001" {look}/>'
                rate = rng.uniform(0.08, 0.4)
        drawer.bodies.append(f'<body name="{name}" mocap="true">{geom}</body>')
        distractors.append(
            Distractor(
                name=name,
                centre=(float(centre[0]), float(centre[1]), float(centre[2])),
                sweep=(float(sweep[0]), float(sweep[1]), float(sweep[2])),
                rate=float(rate),
                phase=float(rng.uniform(0, 2 * math.pi)),
            )
        )
    return tuple(distractors)


def draw_occluder(drawer: SceneDrawer, camera: CameraStyle, rng: np.random.Generator) -> None:
    """Put something between the camera and one side of the work."""
    position, focus = np.array(camera.position), np.array(camera.focus)
    sight = position - focus
    across = np.array([-sight[1], sight[0], 0.0]) / max(math.hypot(sight[0], sight[1]), 1e-6)
    near = rng.uniform(0.3, 0.6)
    half = rng.uniform(0.02, 0.06, 3)
    x, y, z = focus + near * sight + across * rng.choice([-1, 1]) * rng.uniform(0.06, 0.16)
    drawer.add_finish("occluder", finish_of(MATERIALS[rng.integers(len(MATERIALS))], rng))
    drawer.bodies.append(
        f'<geom type="{rng.choice(["box", "cylinder"])}" pos="{x:.3f} {y:.3f} {z - 0.08:.3f}" '
        f'size="{half[0]:.3f} {half[1]:.3f} {2 * half[2]:.3f}" material="occluder" '
        'group="2" contype="0" conaffinity="0"/>'
    )
