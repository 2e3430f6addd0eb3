"""Draws one place as a MuJoCo model and its description: work surface, objects, tools, camera and lights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from foleykit.world.config import WorldConfig
from foleykit.world.parts import PARKING_HEIGHT, SceneDrawer, Thing, Tool, draw_objects, draw_tool, draw_tools, solref
from foleykit.world.places import PlaceKind
from foleykit.world.sources import MovingPart, draw_sources
from foleykit.world.surroundings import (
    FLOOR_HEIGHT,
    CameraStyle,
    Distractor,
    draw_camera,
    draw_distractors,
    draw_occluder,
    draw_path_side,
    draw_surroundings,
    draw_walking_camera,
)
from foleykit.world.textures import Finish, Picture, background, finish_of, hsv
from foleykit.world.types import Material, Place

WALKED_SURFACES: tuple[Material, ...] = ("wood", "metal", "ceramic", "plastic", "stone", "cloth")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A drawn place, ready to compile."""

    place: Place
    xml: str
    pictures: tuple[tuple[str, Picture], ...]
    """Texture name and its picture, written into the compiled model."""
    surface: Thing
    floor: Thing
    objects: tuple[Thing, ...]
    tools: tuple[Tool, ...]
    distractors: tuple[Distractor, ...]
    sources: tuple[MovingPart, ...]
    """What moves where the ambience comes from."""
    walking: bool
    """The actor walks over the surface instead of handling what lies on it."""
    camera: CameraStyle
    extent: float
    """Metres from the middle of the work area to its rim."""


def draw_scene(config: WorldConfig, place: Place, kind: PlaceKind, rng: np.random.Generator) -> Scene:
    """Return a scene at the place; the place's seed fixes its look, `rng` what lies and happens there."""
    look = np.random.default_rng([place.seed, 12])
    drawer = SceneDrawer(look)
    walking = bool(look.random() < 0.1)
    camera = draw_walking_camera(rng) if walking else draw_camera(rng)
    if walking:
        material = WALKED_SURFACES[look.integers(len(WALKED_SURFACES))]
        half = (max(14.0, 0.7 * config.seconds + 3), float(look.uniform(0.35, 1.2)), 0.02)
        noun = "path" if kind.outdoors else "floor"
        floor_height, extent = -0.03, 0.3
    else:
        material = kind.surfaces[look.integers(len(kind.surfaces))]
        half = (float(look.uniform(0.36, 0.7)), float(look.uniform(0.4, 0.9)), float(look.uniform(0.012, 0.04)))
        noun = kind.surface_names[look.integers(len(kind.surface_names))]
        floor_height, extent = FLOOR_HEIGHT, min(half[0] - 0.1, half[1] - 0.1, float(look.uniform(0.17, 0.27)))
    draw_surroundings(drawer, kind, camera, look, walls=not walking)
    finish = finish_of(material, look, 128)
    if material == "glass":
        finish = replace(finish, alpha=0.75)
    drawer.add_finish("surface", finish, flat=True, repeat=float(look.uniform(1.5, 4)))
    ground = background(look, hue=kind.hue, saturation=kind.saturation, value=kind.value * 0.7)
    drawer.add_finish("floor", Finish(picture=ground), flat=True, repeat=float(look.uniform(0.5, 2)))
    surface = Thing(
        name="surface", noun=noun, material=material, form="pad" if material == "cloth" else "plate",
        size=min(2.0, 2 * half[1]), half=half, seed=int(look.integers(1 << 31)),
    )  # fmt: skip
    floor = Thing(
        name="ground", noun="floor", material="stone", form="plate", size=2.0, half=(2, 2, 0.1),
        seed=int(look.integers(1 << 31)),
    )  # fmt: skip
    solid = f'contype="1" conaffinity="3" condim="4" friction="0.6 0.005 0.0004" solref="{solref(material, look)}"'
    drawer.bodies.append(
        f'<body name="surface" pos="{half[0] - 2 if walking else 0:.3f} 0 {-half[2]:.4f}">'
        f'<geom name="surface" type="box" size="{half[0]:.3f} {half[1]:.3f} {half[2]:.4f}" material="surface" {solid}/>'
        "</body>"
        f'<body name="ground"><geom name="ground" type="plane" size="{2 * half[0] + 3:.1f} 4 1" '
        f'pos="0 0 {floor_height - 2 * half[2]}" material="floor" contype="1" conaffinity="3"/></body>'
    )
    drawer.add_flat_colour("skin", hsv(look.uniform(0.03, 0.08), look.uniform(0.3, 0.65), look.uniform(0.3, 0.95)))
    drawer.add_flat_colour("sleeve", hsv(look.uniform(), look.uniform(0, 0.8), look.uniform(0.1, 0.9)))
    drawer.add_flat_colour("handle", hsv(look.choice([0.07, 0.0, 0.6]), look.uniform(0, 0.8), look.uniform(0.05, 0.6)))
    distractors: tuple[Distractor, ...] = ()
    objects: tuple[Thing, ...] = ()
    sources: tuple[MovingPart, ...] = ()
    if walking:
        draw_path_side(drawer, 2 * half[0], half[1], look)
        tools = tuple(draw_tool("shoe", number, drawer, rng) for number in range(2))
    else:
        objects = draw_objects(drawer, material, extent, rng)
        tools = draw_tools(drawer, objects, camera.left_handed, rng)
        distractors = draw_distractors(drawer, camera, extent, rng)
        if rng.random() < 0.12:
            draw_occluder(drawer, camera, rng)
        height, width = config.frame_size
        sources = draw_sources(drawer, place, camera, extent, width / height)
    return Scene(
        place=place, xml=_model_text(config, drawer, camera, look.uniform(0.25, 0.5)), pictures=tuple(drawer.pictures),
        surface=surface, floor=floor, objects=objects, tools=tools, distractors=distractors, sources=sources,
        walking=walking, camera=camera, extent=float(extent),
    )  # fmt: skip


def _model_text(config: WorldConfig, drawer: SceneDrawer, camera: CameraStyle, brightness: float) -> str:
    """Return the MuJoCo model of everything drawn."""
    height, width = config.frame_size
    slices, stacks, quads = (32, 20, 4) if config.multisampling else (14, 8, 1)
    return f"""<mujoco><compiler angle="radian"/>
<option timestep="{config.physics_step}" cone="elliptic" iterations="30"><flag sleep="enable"/></option>
<visual><quality numslices="{slices}" numstacks="{stacks}" numquads="{quads}" offsamples="{config.multisampling}"
 shadowsize="{2048 if config.shadows else 0}"/>
<global offwidth="{width}" offheight="{height}"/><map znear="0.02" zfar="12" shadowclip="1.2"/>
<headlight ambient="{brightness:.2f} {brightness:.2f} {brightness:.2f}" diffuse="0.25 0.25 0.25"
 specular="0.1 0.1 0.1"/></visual>
<statistic extent="1" center="0 0 0"/>
<asset>{"".join(drawer.assets)}</asset>
<worldbody>{"".join(drawer.bodies)}
<body name="forearm" mocap="true" pos="0 0 {PARKING_HEIGHT}"><geom type="capsule" size="0.031"
 fromto="-0.03 0 0 -0.5 0 0" material="sleeve" group="1" contype="0" conaffinity="0"/></body>
<body name="camera" mocap="true"><camera name="camera" fovy="{camera.field_of_view:.2f}"/></body>
</worldbody>
<equality>{"".join(drawer.equalities)}</equality></mujoco>"""
