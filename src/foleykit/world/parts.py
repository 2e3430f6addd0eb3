"""The bodies of a scene: objects that ring, and the tools of the actor, drawn as parts of a MuJoCo model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.world.textures import Finish, Picture, finish_of
from foleykit.world.types import MATERIALS, Material, Shape

Form = Literal["block", "plate", "disc", "bar", "rod", "ball", "vessel", "pad"]
ToolKind = Literal["hand", "finger", "fist", "hammer", "stick", "spoon", "knife", "jug", "shoe"]

SHAPE_OF_FORM: dict[Form, Shape] = {
    "block": "block",
    "plate": "plate",
    "disc": "plate",
    "bar": "bar",
    "rod": "bar",
    "ball": "block",
    "vessel": "vessel",
    "pad": "soft",
}
FORMS_OF_MATERIAL: dict[Material, tuple[Form, ...]] = {
    "wood": ("block", "block", "plate", "bar", "rod", "ball", "vessel"),
    "metal": ("block", "plate", "disc", "bar", "rod", "vessel", "vessel", "ball"),
    "glass": ("vessel", "vessel", "vessel", "block", "disc", "ball"),
    "ceramic": ("vessel", "vessel", "disc", "disc", "block"),
    "plastic": ("block", "plate", "rod", "ball", "vessel", "vessel", "disc"),
    "stone": ("block", "block", "plate", "ball", "ball"),
    "cloth": ("pad", "pad", "pad", "ball", "rod"),
}
DENSITY: dict[Material, float] = {
    "wood": 600,
    "metal": 2500,
    "glass": 1500,
    "ceramic": 1400,
    "plastic": 500,
    "stone": 1800,
    "cloth": 200,
}
HOLD_LAG = 0.008
"""Seconds by which a held tool trails its target; at an impedance of one half the weld is a spring that blows halt."""
STREAM_LENGTH = 0.11
"""Metres that poured liquid is seen to fall."""
NUM_DROPS = 4
"""Drops that are seen beside the stream."""
PARKING_HEIGHT = 40.0
"""Metres above the scene where tools that nobody holds wait, beyond the far clipping plane."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One body that can ring: the work surface, the floor or an object."""

    name: str
    """The MuJoCo body's name."""
    noun: str
    """What a narrator calls it, without its material."""
    material: Material
    form: Form
    size: float
    """Characteristic length in metres."""
    half: tuple[float, float, float]
    """Half extents in metres."""
    seed: int

    @property
    def shape(self) -> Shape:
        return SHAPE_OF_FORM[self.form]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """Something the actor holds: a body drawn towards a moving target."""

    name: str
    kind: ToolKind
    material: Material
    tip: tuple[float, float, float]
    """The striking point in the body's frame; x points away from the wrist."""
    mass: float


NOUNS: dict[Form, tuple[str, ...]] = {
    "block": ("block", "box", "brick", "case"),
    "plate": ("board", "tray", "panel", "slab"),
    "disc": ("plate", "lid", "dish", "disc"),
    "bar": ("bar", "beam", "plank"),
    "rod": ("rod", "pipe", "roller", "cylinder"),
    "ball": ("ball", "sphere"),
    "vessel": ("bowl", "cup", "pot", "jar", "bottle"),
    "pad": ("towel", "cushion", "rag", "mat"),
}


class SceneDrawer:
    """Collects the parts of a MuJoCo model as text while a scene is drawn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.assets: list[str] = []
        self.bodies: list[str] = []
        self.equalities: list[str] = []
        self.pictures: list[tuple[str, Picture]] = []

    def add_finish(self, name: str, finish: Finish, *, flat: bool = False, repeat: float = 1.0) -> None:
        """Register texture and material `name`; `flat` maps the picture every `1 / repeat` metres, else around."""
        size = finish.picture.shape[0]
        height = size if flat else 6 * size
        kind = "2d" if flat else "cube"
        uniform = "true" if flat else "false"
        self.assets.append(
            f'<texture name="{name}" type="{kind}" builtin="flat" width="{size}" height="{height}"/>'
            f'<material name="{name}" texture="{name}" rgba="1 1 1 {finish.alpha:.3f}" '
            f'specular="{finish.specular:.3f}" shininess="{finish.shininess:.3f}" emission="{finish.emission:.3f}" '
            f'texuniform="{uniform}" texrepeat="{repeat:.3f} {repeat:.3f}"/>'
        )
        picture = finish.picture if flat else np.concatenate([finish.picture] * 6)
        self.pictures.append((name, picture))

    def add_flat_colour(self, name: str, colour: NDArray[np.float32], *, specular: float = 0.1) -> None:
        """Register material `name` of one colour."""
        red, green, blue = colour
        self.assets.append(
            f'<material name="{name}" rgba="{red:.3f} {green:.3f} {blue:.3f} 1" specular="{specular:.2f}"/>'
        )

    def add_lathe(self, name: str, profile: list[tuple[float, float]], *, sides: int = 18) -> None:
        """Register the mesh that a closed (radius, height) profile sweeps around the z axis."""
        angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
        vertices = [
            f"{radius * math.cos(angle):.4f} {radius * math.sin(angle):.4f} {height:.4f}"
            for radius, height in profile
            for angle in angles
        ]
        faces = []
        for ring in range(len(profile)):
            below, above = ring * sides, (ring + 1) % len(profile) * sides
            for side in range(sides):
                after = (side + 1) % sides
                faces.append(f"{below + side} {below + after} {above + after}")
                faces.append(f"{below + side} {above + after} {above + side}")
        self.assets.append(
            f'<mesh name="{name}" inertia="shell" vertex="{" ".join(vertices)}" face="{" ".join(faces)}"/>'
        )


def _half_extents(form: Form, rng: np.random.Generator) -> tuple[float, float, float]:
    match form:
        case "block":
            x, y, z = rng.uniform(0.03, 0.075, 3)
        case "plate":
            x, y, z = rng.uniform(0.07, 0.13), rng.uniform(0.05, 0.11), rng.uniform(0.006, 0.014)
        case "disc":
            x = y = rng.uniform(0.055, 0.11)
            z = rng.uniform(0.006, 0.014)
        case "bar":
            x, y, z = rng.uniform(0.09, 0.17), rng.uniform(0.018, 0.035), rng.uniform(0.014, 0.03)
        case "rod":
            x = rng.uniform(0.06, 0.14)
            y = z = rng.uniform(0.016, 0.035)
        case "ball":
            x = y = z = rng.uniform(0.025, 0.055)
        case "vessel":
            x = y = rng.uniform(0.035, 0.085)
            z = rng.uniform(0.03, 0.085)
        case _:
            x, y, z = rng.uniform(0.06, 0.13), rng.uniform(0.05, 0.1), rng.uniform(0.012, 0.035)
    return float(x), float(y), float(z)


def solref(material: Material, rng: np.random.Generator) -> str:
    """Return the contact stiffness and damping: hard materials bounce a little, cloth does not.

    A damping ratio d makes a contact oscillate at 1 / (d * time constant) rad/s, which a step of 2 ms must resolve.
    """
    match material:
        case "cloth":
            return "0.02 1"
        case "wood":
            damping = rng.uniform(0.6, 0.95)
        case "plastic":
            damping = rng.uniform(0.5, 0.9)
        case _:
            damping = rng.uniform(0.45, 0.8)
    return f"{0.0045 / damping:.5f} {damping:.3f}"


def _vessel_profile(radius: float, half: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    wall = max(0.003, radius * 0.09)
    match rng.choice(["cup", "bowl", "pot", "bottle", "vase"], p=[0.3, 0.25, 0.2, 0.15, 0.1]):
        case "cup":
            outer = [(radius * 0.8, -half), (radius * 0.9, -half * 0.3), (radius, half)]
        case "bowl":
            outer = [(radius * 0.45, -half), (radius * 0.8, -half * 0.4), (radius, half)]
        case "pot":
            outer = [(radius * 0.95, -half), (radius, -half * 0.8), (radius, half * 0.85), (radius, half)]
        case "bottle":
            outer = [(radius, -half), (radius, half * 0.2), (radius * 0.4, half * 0.55), (radius * 0.4, half)]
        case _:
            outer = [(radius * 0.55, -half), (radius, -half * 0.1), (radius * 0.6, half * 0.6), (radius * 0.75, half)]
    inner = [(max(r - wall, 0.002), max(z, -half + 2 * wall)) for r, z in reversed(outer)]
    return [(0.0005, -half), *outer, *inner, (0.0005, -half + 2 * wall)]


def _geoms(thing: Thing, drawer: SceneDrawer, rng: np.random.Generator) -> str:
    """Return the geoms of an object: one that collides and, for vessels, a hollow mesh that is seen in its stead."""
    x, y, z = thing.half
    volume = 8 * x * y * z * (0.45 if thing.form == "vessel" else 1)
    mass = float(np.clip(volume * DENSITY[thing.material], 0.06, 1.5))
    friction = {"cloth": 1.0, "glass": 0.35, "ceramic": 0.4, "metal": 0.4}.get(thing.material, 0.6)
    physics = (
        f'mass="{mass:.3f}" friction="{friction} 0.005 0.0004" solref="{solref(thing.material, rng)}" '
        f'contype="1" conaffinity="3" condim="{6 if thing.form in ("ball", "rod") else 4}"'
    )
    look = f'material="{thing.name}"'
    match thing.form:
        case "vessel":
            mesh = f"{thing.name}_mesh"
            drawer.add_lathe(mesh, _vessel_profile(x, z, rng))
            return (
                f'<geom name="{thing.name}" type="cylinder" size="{x:.4f} {z:.4f}" group="3" {physics}/>'
                f'<geom type="mesh" mesh="{mesh}" group="2" contype="0" conaffinity="0" mass="0" {look}/>'
            )
        case "disc":
            return f'<geom name="{thing.name}" type="cylinder" size="{x:.4f} {z:.4f}" {physics} {look}/>'
        case "rod":
            return f'<geom name="{thing.name}" type="cylinder" size="{y:.4f} {x:.4f}" zaxis="1 0 0" {physics} {look}/>'
        case "ball":
            return f'<geom name="{thing.name}" type="sphere" size="{x:.4f}" {physics} {look}/>'
        case "pad" if thing.seed % 3:
            return f'<geom name="{thing.name}" type="ellipsoid" size="{x:.4f} {y:.4f} {z:.4f}" {physics} {look}/>'
        case _:
            return f'<geom name="{thing.name}" type="box" size="{x:.4f} {y:.4f} {z:.4f}" {physics} {look}/>'


def draw_objects(drawer: SceneDrawer, surface: Material, extent: float, rng: np.random.Generator) -> tuple[Thing, ...]:
    """Place 3 to 6 objects of different materials on the surface, a finger's width apart: neighbours rarely knock."""
    count = int(rng.integers(3, 7))
    others = [m for m in MATERIALS if m != surface]
    order = [others[i] for i in rng.permutation(len(others))]
    materials: list[Material] = [*order, *(MATERIALS[i] for i in rng.integers(len(MATERIALS), size=count))][:count]
    things: list[Thing] = []
    placed: list[tuple[float, float, float]] = []
    for number, material in enumerate(materials):
        form = FORMS_OF_MATERIAL[material][rng.integers(len(FORMS_OF_MATERIAL[material]))]
        half = _half_extents(form, rng)
        radius = math.hypot(half[0], half[1]) if form not in ("ball", "disc", "vessel") else half[0]
        for _ in range(40):
            x, y = rng.uniform(-extent, extent, 2) * (0.85, 1.0)
            if all(math.hypot(x - px, y - py) > radius + pr + 0.03 for px, py, pr in placed):
                break
        else:
            continue
        placed.append((x, y, radius))
        name = f"object{number}"
        seed = int(rng.integers(1 << 31))
        nouns = NOUNS[form]
        thing = Thing(
            name=name,
            noun=nouns[seed % len(nouns)],
            material=material,
            form=form,
            size=2 * max(half),
            half=half,
            seed=seed,
        )
        drawer.add_finish(name, finish_of(material, rng))
        yaw = rng.uniform(-math.pi, math.pi)
        drawer.bodies.append(
            f'<body name="{name}" pos="{x:.4f} {y:.4f} {half[2] + 0.0005:.4f}" euler="0 0 {yaw:.3f}"><freejoint/>'
            f"{_geoms(thing, drawer, rng)}</body>"
        )
        drawer.equalities.append(
            f'<weld name="grab_{name}" body1="hand" body2="{name}" active="false" solref="0.01 1"/>'
        )
        things.append(thing)
    return tuple(things)


def _hand_geoms(*, pointing: bool) -> str:
    """Return a fist around the origin, with one finger stretched along x when `pointing`."""
    visual = 'group="1" contype="0" conaffinity="0" mass="0" material="skin"'
    parts = [f'<geom type="ellipsoid" size="0.045 0.042 0.03" pos="-0.02 0 0.005" {visual}/>']
    for finger in range(4):
        y = 0.03 - 0.02 * finger
        if pointing and finger == 0:
            parts.append(f'<geom type="capsule" size="0.009" fromto="0.01 {y:.3f} 0 0.065 {y:.3f} -0.005" {visual}/>')
        else:
            parts.append(
                f'<geom type="capsule" size="0.0095" fromto="0.012 {y:.3f} 0.02 0.03 {y:.3f} -0.02" {visual}/>'
            )
    parts.append(f'<geom type="capsule" size="0.01" fromto="-0.02 0.035 0.005 0.025 0.04 -0.005" {visual}/>')
    return "".join(parts)


def draw_tool(
    kind: ToolKind, number: int, drawer: SceneDrawer, rng: np.random.Generator, *, left_handed: bool = False
) -> Tool:
    name = "hand" if kind == "hand" else f"tool{number}"
    choices: dict[ToolKind, tuple[Material, ...]] = {
        "hand": ("cloth",),
        "finger": ("cloth",),
        "hammer": ("metal", "metal", "wood", "plastic"),
        "stick": ("wood", "wood", "wood", "metal", "plastic"),
        "spoon": ("metal", "wood", "plastic"),
        "knife": ("metal",),
        "fist": ("cloth",),
        "jug": ("plastic", "metal", "ceramic", "glass"),
        "shoe": ("plastic",),
    }
    material = choices[kind][rng.integers(len(choices[kind]))]
    look = "skin" if kind in ("finger", "fist") else name
    solid = f'group="1" contype="2" conaffinity="0" mass="0" friction="0.5" solref="0.005 0.8" material="{look}"'
    shown = f'group="1" contype="0" conaffinity="0" mass="0" material="{name}"'
    handle = 'group="1" contype="0" conaffinity="0" mass="0" material="handle"'
    pointing = kind == "finger"
    match kind:
        case "hand":
            tip, mass, geoms = (0.05, 0.0, -0.02), 0.4, ""
        case "finger":
            tip, mass = (0.075, 0.03, -0.018), 0.2
            geoms = f'<geom type="sphere" size="0.011" pos="0.075 0.03 -0.007" {solid}/>'
        case "fist":
            tip, mass = (0.02, 0.0, -0.04), 0.35
            geoms = f'<geom type="ellipsoid" size="0.035 0.04 0.028" pos="0.01 0 -0.012" {solid}/>'
        case "jug":
            side = -1.0 if left_handed else 1.0
            radius, depth = rng.uniform(0.035, 0.05), rng.uniform(0.04, 0.06)
            tip, mass = (0.03 + radius, side * radius, depth), 0.4
            drawer.add_lathe(f"{name}_mesh", _vessel_profile(radius, depth, rng))
            geoms = f'<geom type="mesh" mesh="{name}_mesh" pos="{0.03 + radius:.3f} 0 0" {shown}/>'
        case "shoe":
            tip, mass = (0.06, 0.0, -0.045), 0.8
            geoms = (
                f'<geom type="box" size="0.13 0.042 0.012" pos="0.06 0 -0.033" {solid}/>'
                f'<geom type="ellipsoid" size="0.125 0.042 0.045" pos="0.06 0 -0.015" {shown}/>'
                '<geom type="capsule" size="0.045" fromto="-0.03 0 0.06 -0.05 0 0.42" material="sleeve" '
                'group="1" contype="0" conaffinity="0" mass="0"/>'
            )
        case "hammer":
            reach, depth, radius = rng.uniform(0.16, 0.26), rng.uniform(0.035, 0.055), rng.uniform(0.016, 0.028)
            tip, mass = (reach, 0.0, -depth), rng.uniform(0.3, 0.7)
            geoms = (
                f'<geom type="capsule" size="0.011" fromto="-0.05 0 0 {reach:.3f} 0 0" {handle}/>'
                f'<geom type="cylinder" size="{radius:.3f} {depth:.3f}" pos="{reach:.3f} 0 0" {solid}/>'
            )
        case "stick":
            reach, radius = rng.uniform(0.2, 0.34), rng.uniform(0.006, 0.013)
            tip, mass = (reach, 0.0, -radius), rng.uniform(0.12, 0.3)
            geoms = (
                f'<geom type="capsule" size="{radius:.3f}" fromto="-0.06 0 0 {reach - 0.07:.3f} 0 0" {shown}/>'
                f'<geom type="capsule" size="{radius:.3f}" fromto="{reach - 0.06:.3f} 0 0 {reach:.3f} 0 0" {solid}/>'
            )
        case "spoon":
            reach = rng.uniform(0.13, 0.22)
            tip, mass = (reach, 0.0, -0.012), rng.uniform(0.1, 0.2)
            geoms = (
                f'<geom type="capsule" size="0.006" fromto="-0.03 0 0 {reach:.3f} 0 0" {shown}/>'
                f'<geom type="ellipsoid" size="0.032 0.023 0.011" pos="{reach:.3f} 0 -0.001" {solid}/>'
            )
        case "knife":
            length, height = rng.uniform(0.07, 0.1), rng.uniform(0.014, 0.024)
            tip, mass = (0.05 + length, 0.0, -2 * height + 0.01), rng.uniform(0.15, 0.3)
            geoms = (
                f'<geom type="capsule" size="0.012" fromto="-0.05 0 0 0.045 0 0" {handle}/>'
                f'<geom type="box" size="{length:.3f} 0.002 {height:.3f}" '
                f'pos="{0.05 + length:.3f} 0 {0.01 - height:.3f}" {solid}/>'
            )
    if kind not in ("hand", "finger", "fist"):
        drawer.add_finish(name, finish_of(material, rng))
    inertia = "0.03 0.05 0.05" if kind == "shoe" else "0.003 0.004 0.004"
    park = f"0 {number} {PARKING_HEIGHT}"
    drawer.bodies.append(
        f'<body name="{name}" pos="{park}" gravcomp="1" sleep="never"><freejoint/>'
        f'<inertial pos="{tip[0] * 0.5:.3f} 0 0" mass="{mass:.3f}" diaginertia="{inertia}"/>'
        f"{'' if kind == 'shoe' else _hand_geoms(pointing=pointing)}{geoms}</body>"
        f'<body name="target_{name}" pos="{park}" mocap="true"/>'
    )
    drawer.equalities.append(
        f'<weld name="hold_{name}" body1="target_{name}" body2="{name}" solref="{HOLD_LAG} 1" solimp="0.5 0.5 0.001"/>'
    )
    return Tool(
        name=name, kind=kind, material=material, tip=(float(tip[0]), float(tip[1]), float(tip[2])), mass=float(mass)
    )


def _draw_stream(drawer: SceneDrawer, rng: np.random.Generator) -> None:
    """Add what a jug pours: a thin column and drops, out of sight until they flow."""
    red, green, blue = [(0.75, 0.85, 0.95), (0.25, 0.13, 0.06), (0.95, 0.93, 0.88), (0.85, 0.65, 0.3)][rng.integers(4)]
    drawer.assets.append(f'<material name="stream" rgba="{red} {green} {blue} 0.85" specular="0.6"/>')
    look = 'material="stream" contype="0" conaffinity="0" group="1"'
    width = rng.uniform(0.004, 0.009)
    drawer.bodies.append(
        f'<body name="stream" mocap="true" pos="0 0 {PARKING_HEIGHT}">'
        f'<geom type="capsule" size="{width:.4f}" fromto="0 0 -0.005 0 0 {-STREAM_LENGTH}" {look}/></body>'
    )
    for drop in range(NUM_DROPS):
        drawer.bodies.append(
            f'<body name="drop{drop}" mocap="true" pos="0 0 {PARKING_HEIGHT}">'
            f'<geom type="sphere" size="{rng.uniform(0.004, 0.009):.4f}" {look}/></body>'
        )


def draw_tools(
    drawer: SceneDrawer, objects: tuple[Thing, ...], left_handed: bool, rng: np.random.Generator
) -> tuple[Tool, ...]:
    """Return the bare hand and two to four tools; a jug only where there is a vessel to fill."""
    choices: list[ToolKind] = ["hammer", "stick", "spoon", "knife", "finger", "fist"]
    kinds: list[ToolKind] = ["hand"]
    kinds += [choices[i] for i in rng.permutation(len(choices))[: rng.integers(2, 4)]]
    if any(thing.form == "vessel" for thing in objects) and rng.random() < 0.6:
        kinds.append("jug")
        _draw_stream(drawer, rng)
    return tuple(draw_tool(kind, number, drawer, rng, left_handed=left_handed) for number, kind in enumerate(kinds))
