"""Draws one place: its kind, work surface, objects, tools, camera and lights, as a MuJoCo model and its description."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.world.config import WorldConfig
from foleykit.world.textures import Finish, Picture, background, finish_of, hsv
from foleykit.world.types import MATERIALS, AmbienceKind, Material, Place, Shape, Split

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
FLOOR_HEIGHT = -0.75
"""Metres from the work surface (height 0) down to the floor."""
HOLD_LAG = 0.008
"""Seconds by which a held tool trails its target; at an impedance of one half the weld is a spring that a blow can halt."""
STREAM_LENGTH = 0.11
"""Metres that poured liquid is seen to fall."""
NUM_DROPS = 4
"""Drops that are seen beside the stream."""
PARKING_HEIGHT = 40.0
"""Metres above the scene where tools that nobody holds wait, beyond the far clipping plane."""


@dataclass(frozen=True, kw_only=True)
class PlaceKind:
    """A sort of place: how it is called, what its surfaces are made of and what may be heard there."""

    names: tuple[str, ...]
    surfaces: tuple[Material, ...]
    surface_names: tuple[str, ...]
    ambience: tuple[AmbienceKind, ...]
    hue: float
    saturation: float
    value: float
    outdoors: bool = False


PLACE_KINDS: tuple[PlaceKind, ...] = (
    PlaceKind(names=("a kitchen", "a tiled kitchen", "a small kitchen", "a bright kitchen"),
              surfaces=("wood", "stone", "ceramic", "metal", "plastic"), surface_names=("counter", "kitchen table", "worktop"),
              ambience=("room", "hum", "fan", "machine"), hue=0.12, saturation=0.2, value=0.8),
    PlaceKind(names=("a workshop", "a cluttered workshop", "a wood shop"),
              surfaces=("wood", "wood", "metal"), surface_names=("workbench", "bench"),
              ambience=("hum", "machine", "fan", "room"), hue=0.08, saturation=0.35, value=0.5),
    PlaceKind(names=("a garage", "a dim garage"), surfaces=("metal", "wood", "stone", "plastic"),
              surface_names=("bench", "work table", "concrete slab"), ambience=("hum", "traffic", "machine", "room"),
              hue=0.6, saturation=0.1, value=0.45),
    PlaceKind(names=("a living room", "a cosy living room"), surfaces=("wood", "glass", "cloth", "stone"),
              surface_names=("coffee table", "table", "low table"), ambience=("room", "babble", "hum", "silence"),
              hue=0.07, saturation=0.3, value=0.65),
    PlaceKind(names=("a garden", "a sunny garden", "a back yard"), surfaces=("wood", "stone", "plastic", "metal"),
              surface_names=("garden table", "bench", "stone slab"), ambience=("birds", "wind", "rain", "stream"),
              hue=0.3, saturation=0.55, value=0.5, outdoors=True),
    PlaceKind(names=("a street", "a busy street", "a market stall"), surfaces=("stone", "wood", "metal", "plastic"),
              surface_names=("stall table", "pavement", "bench"), ambience=("traffic", "babble", "wind", "rain"),
              hue=0.6, saturation=0.12, value=0.55, outdoors=True),
    PlaceKind(names=("an office", "an open-plan office"), surfaces=("wood", "plastic", "glass", "metal"),
              surface_names=("desk", "table"), ambience=("hum", "fan", "babble", "room"), hue=0.58, saturation=0.15, value=0.8),
    PlaceKind(names=("a beach", "a windy beach"), surfaces=("wood", "plastic", "stone", "cloth"),
              surface_names=("picnic table", "board", "beach mat"), ambience=("wind", "stream", "birds"),
              hue=0.11, saturation=0.35, value=0.8, outdoors=True),
    PlaceKind(names=("a forest", "a clearing in a forest", "a camp in the woods"), surfaces=("wood", "stone", "wood", "metal"),
              surface_names=("log table", "flat rock", "camp table"), ambience=("birds", "wind", "stream", "rain"),
              hue=0.28, saturation=0.5, value=0.35, outdoors=True),
    PlaceKind(names=("a bathroom", "a tiled bathroom", "a laundry room"), surfaces=("ceramic", "stone", "plastic", "glass"),
              surface_names=("wash stand", "shelf", "counter"), ambience=("fan", "room", "stream", "machine"),
              hue=0.52, saturation=0.2, value=0.85),
    PlaceKind(names=("a studio", "a quiet studio", "a store room"), surfaces=("wood", "cloth", "plastic", "glass", "ceramic"),
              surface_names=("table", "stand"), ambience=("silence", "room", "hum"), hue=0.0, saturation=0.1, value=0.5),
)  # fmt: skip


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
    walking: bool
    """The actor walks over the surface instead of handling what lies on it."""
    camera: CameraStyle
    extent: float
    """Metres from the middle of the work area to its rim."""


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


PLACE_SEEDS: dict[Split, tuple[int, int]] = {
    "train": (0, 1_000_000),
    "valid": (1_000_000, 1_100_000),
    "test": (1_100_000, 1_200_000),
}
"""Half-open ranges of place seeds: no place belongs to two splits."""


def draw_place(split: Split, rng: np.random.Generator) -> tuple[Place, PlaceKind]:
    """Return a place of the split and its kind, both functions of the place's seed alone."""
    seed = int(rng.integers(*PLACE_SEEDS[split]))
    own = np.random.default_rng([seed, 11])
    kind = PLACE_KINDS[own.integers(len(PLACE_KINDS))]
    layers = own.permutation(len(kind.ambience))[: own.choice([1, 2, 3], p=[0.5, 0.38, 0.12])]
    level = own.uniform(-80, -60) if own.random() < 0.25 else own.uniform(-60, -18)
    return Place(
        name=kind.names[own.integers(len(kind.names))],
        seed=seed,
        split=split,
        ambience=tuple(kind.ambience[layer] for layer in layers),
        ambient_level_db=float(level),
    ), kind


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
        """Register texture and material `name`; `flat` maps the picture once per `1 / repeat` metres instead of around."""
        size = finish.picture.shape[0]
        height = size if flat else 6 * size
        kind = "2d" if flat else "cube"
        self.assets.append(
            f'<texture name="{name}" type="{kind}" builtin="flat" width="{size}" height="{height}" rgb1="1 1 1" rgb2="1 1 1"/>'
            f'<material name="{name}" texture="{name}" rgba="1 1 1 {finish.alpha:.3f}" specular="{finish.specular:.3f}" '
            f'shininess="{finish.shininess:.3f}" emission="{finish.emission:.3f}" texuniform="{"true" if flat else "false"}" '
            f'texrepeat="{repeat:.3f} {repeat:.3f}"/>'
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


def _solref(material: Material, rng: np.random.Generator) -> str:
    """Return the contact stiffness and damping: hard materials bounce, cloth does not.

    A damping ratio d makes a contact oscillate at 1 / (d * time constant) rad/s, which a step of 2 ms must resolve.
    """
    match material:
        case "cloth":
            return "0.02 1"
        case "wood":
            damping = rng.uniform(0.35, 0.7)
        case "plastic":
            damping = rng.uniform(0.25, 0.6)
        case _:
            damping = rng.uniform(0.25, 0.55)
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
        f'mass="{mass:.3f}" friction="{friction} 0.005 0.0004" solref="{_solref(thing.material, rng)}" '
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


def _draw_objects(drawer: SceneDrawer, surface: Material, extent: float, rng: np.random.Generator) -> tuple[Thing, ...]:
    """Place 3 to 7 objects of different materials on the surface, without overlap."""
    count = int(rng.integers(3, 8))
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
            if all(math.hypot(x - px, y - py) > radius + pr + 0.01 for px, py, pr in placed):
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


def _draw_tool(
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
                '<geom type="capsule" size="0.045" fromto="-0.03 0 0.06 -0.05 0 0.42" group="1" contype="0" conaffinity="0" '
                'mass="0" material="sleeve"/>'
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
                f'<geom type="box" size="{length:.3f} 0.002 {height:.3f}" pos="{0.05 + length:.3f} 0 {0.01 - height:.3f}" {solid}/>'
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


def _draw_surroundings(
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
                f'<geom type="{shape}" pos="{distance * math.cos(angle):.3f} {distance * math.sin(angle):.3f} {height:.3f}" '
                f'size="{half[0]:.3f} {half[1]:.3f} {half[2]:.3f}" material="{name}" {static}/>'
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


def _draw_camera(rng: np.random.Generator) -> CameraStyle:
    head_mounted = rng.random() < 0.72
    focus = rng.uniform([-0.06, -0.05, 0.0], [0.05, 0.05, 0.06])
    view = rng.uniform(42, 72)
    # The nearer the wider: the work area fills about the same part of the picture.
    distance = rng.uniform(0.22, 0.34) / math.tan(math.radians(view / 2)) + 0.12
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
        quick_turns=bool(head_mounted and rng.random() < 0.4),
        left_handed=bool(rng.random() < 0.25),
        blur_shutter=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.25 else 0.0,
    )


def _draw_walking_camera(rng: np.random.Generator) -> CameraStyle:
    return replace(
        _draw_camera(rng),
        head_mounted=True,
        position=(float(rng.uniform(-0.25, 0.05)), float(rng.normal(0, 0.03)), float(rng.uniform(1.0, 1.5))),
        focus=(float(rng.uniform(0.2, 0.45)), 0.0, 0.0),
        field_of_view=float(rng.uniform(50, 75)),
        jitter=float(rng.uniform(0.006, 0.02)),
    )


def _draw_path_side(drawer: SceneDrawer, length: float, width: float, rng: np.random.Generator) -> None:
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


def _draw_distractors(
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


def _draw_occluder(drawer: SceneDrawer, camera: CameraStyle, rng: np.random.Generator) -> None:
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
        f'size="{half[0]:.3f} {half[1]:.3f} {2 * half[2]:.3f}" material="occluder" group="2" contype="0" conaffinity="0"/>'
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


def _draw_tools(
    drawer: SceneDrawer, objects: tuple[Thing, ...], camera: CameraStyle, rng: np.random.Generator
) -> tuple[Tool, ...]:
    """Return the bare hand and two to four tools; a jug only where there is a vessel to fill."""
    choices: list[ToolKind] = ["hammer", "stick", "spoon", "knife", "finger", "fist"]
    kinds: list[ToolKind] = ["hand"]
    kinds += [choices[i] for i in rng.permutation(len(choices))[: rng.integers(2, 4)]]
    if any(thing.form == "vessel" for thing in objects) and rng.random() < 0.6:
        kinds.append("jug")
        _draw_stream(drawer, rng)
    return tuple(
        _draw_tool(kind, number, drawer, rng, left_handed=camera.left_handed) for number, kind in enumerate(kinds)
    )


WALKED_SURFACES: tuple[Material, ...] = ("wood", "metal", "ceramic", "plastic", "stone", "cloth")


def draw_scene(config: WorldConfig, place: Place, kind: PlaceKind, rng: np.random.Generator) -> Scene:
    """Return a scene at the place; the place's seed fixes its look, `rng` what lies and happens there."""
    look = np.random.default_rng([place.seed, 12])
    drawer = SceneDrawer(look)
    walking = bool(look.random() < 0.1)
    camera = _draw_walking_camera(rng) if walking else _draw_camera(rng)
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
    _draw_surroundings(drawer, kind, camera, look, walls=not walking)
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
    solid = f'contype="1" conaffinity="3" condim="4" friction="0.6 0.005 0.0004" solref="{_solref(material, look)}"'
    drawer.bodies.append(
        f'<body name="surface" pos="{half[0] - 2 if walking else 0:.3f} 0 {-half[2]:.4f}"><geom name="surface" type="box" '
        f'size="{half[0]:.3f} {half[1]:.3f} {half[2]:.4f}" material="surface" {solid}/></body>'
        f'<body name="ground"><geom name="ground" type="plane" size="{2 * half[0] + 3:.1f} 4 1" '
        f'pos="0 0 {floor_height - 2 * half[2]}" material="floor" contype="1" conaffinity="3"/></body>'
    )
    drawer.add_flat_colour("skin", hsv(look.uniform(0.03, 0.08), look.uniform(0.3, 0.65), look.uniform(0.3, 0.95)))
    drawer.add_flat_colour("sleeve", hsv(look.uniform(), look.uniform(0, 0.8), look.uniform(0.1, 0.9)))
    drawer.add_flat_colour("handle", hsv(look.choice([0.07, 0.0, 0.6]), look.uniform(0, 0.8), look.uniform(0.05, 0.6)))
    distractors: tuple[Distractor, ...] = ()
    objects: tuple[Thing, ...] = ()
    if walking:
        _draw_path_side(drawer, 2 * half[0], half[1], look)
        tools = tuple(_draw_tool("shoe", number, drawer, rng) for number in range(2))
    else:
        objects = _draw_objects(drawer, material, extent, rng)
        tools = _draw_tools(drawer, objects, camera, rng)
        distractors = _draw_distractors(drawer, camera, extent, rng)
        if rng.random() < 0.12:
            _draw_occluder(drawer, camera, rng)
    return Scene(
        place=place, xml=_model_text(config, drawer, camera, look.uniform(0.25, 0.5)), pictures=tuple(drawer.pictures),
        surface=surface, floor=floor, objects=objects, tools=tools, distractors=distractors, walking=walking,
        camera=camera, extent=float(extent),
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
<headlight ambient="{brightness:.2f} {brightness:.2f} {brightness:.2f}" diffuse="0.25 0.25 0.25" specular="0.1 0.1 0.1"/>
</visual>
<statistic extent="1" center="0 0 0"/>
<asset>{"".join(drawer.assets)}</asset>
<worldbody>{"".join(drawer.bodies)}
<body name="forearm" mocap="true" pos="0 0 {PARKING_HEIGHT}"><geom type="capsule" size="0.031"
 fromto="-0.03 0 0 -0.5 0 0" material="sleeve" group="1" contype="0" conaffinity="0"/></body>
<body name="camera" mocap="true"><camera name="camera" fovy="{camera.field_of_view:.2f}"/></body>
</worldbody>
<equality>{"".join(drawer.equalities)}</equality></mujoco>"""
