"""Sorts of places, and the place of one long video: its name, its split, its ambience."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foleykit.world.types import AmbienceKind, Material, Place, Split


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
    PlaceKind(
        names=("a kitchen", "a tiled kitchen", "a small kitchen", "a bright kitchen"),
        surfaces=("wood", "stone", "ceramic", "metal", "plastic"),
        surface_names=("counter", "kitchen table", "worktop"),
        ambience=("room", "hum", "fan", "machine"),
        hue=0.12,
        saturation=0.2,
        value=0.8,
    ),
    PlaceKind(
        names=("a workshop", "a cluttered workshop", "a wood shop"),
        surfaces=("wood", "wood", "metal"),
        surface_names=("workbench", "bench"),
        ambience=("hum", "machine", "fan", "room"),
        hue=0.08,
        saturation=0.35,
        value=0.5,
    ),
    PlaceKind(
        names=("a garage", "a dim garage"),
        surfaces=("metal", "wood", "stone", "plastic"),
        surface_names=("bench", "work table", "concrete slab"),
        ambience=("hum", "traffic", "machine", "room"),
        hue=0.6,
        saturation=0.1,
        value=0.45,
    ),
    PlaceKind(
        names=("a living room", "a cosy living room"),
        surfaces=("wood", "glass", "cloth", "stone"),
        surface_names=("coffee table", "table", "low table"),
        ambience=("room", "babble", "hum", "silence"),
        hue=0.07,
        saturation=0.3,
        value=0.65,
    ),
    PlaceKind(
        names=("a garden", "a sunny garden", "a back yard"),
        surfaces=("wood", "stone", "plastic", "metal"),
        surface_names=("garden table", "bench", "stone slab"),
        ambience=("birds", "wind", "rain", "stream"),
        hue=0.3,
        saturation=0.55,
        value=0.5,
        outdoors=True,
    ),
    PlaceKind(
        names=("a street", "a busy street", "a market stall"),
        surfaces=("stone", "wood", "metal", "plastic"),
        surface_names=("stall table", "pavement", "bench"),
        ambience=("traffic", "babble", "wind", "rain"),
        hue=0.6,
        saturation=0.12,
        value=0.55,
        outdoors=True,
    ),
    PlaceKind(
        names=("an office", "an open-plan office"),
        surfaces=("wood", "plastic", "glass", "metal"),
        surface_names=("desk", "table"),
        ambience=("hum", "fan", "babble", "room"),
        hue=0.58,
        saturation=0.15,
        value=0.8,
    ),
    PlaceKind(
        names=("a beach", "a windy beach"),
        surfaces=("wood", "plastic", "stone", "cloth"),
        surface_names=("picnic table", "board", "beach mat"),
        ambience=("wind", "stream", "birds"),
        hue=0.11,
        saturation=0.35,
        value=0.8,
        outdoors=True,
    ),
    PlaceKind(
        names=("a forest", "a clearing in a forest", "a camp in the woods"),
        surfaces=("wood", "stone", "wood", "metal"),
        surface_names=("log table", "flat rock", "camp table"),
        ambience=("birds", "wind", "stream", "rain"),
        hue=0.28,
        saturation=0.5,
        value=0.35,
        outdoors=True,
    ),
    PlaceKind(
        names=("a bathroom", "a tiled bathroom", "a laundry room"),
        surfaces=("ceramic", "stone", "plastic", "glass"),
        surface_names=("wash stand", "shelf", "counter"),
        ambience=("fan", "room", "stream", "machine"),
        hue=0.52,
        saturation=0.2,
        value=0.85,
    ),
    PlaceKind(
        names=("a studio", "a quiet studio", "a store room"),
        surfaces=("wood", "cloth", "plastic", "glass", "ceramic"),
        surface_names=("table", "stand"),
        ambience=("silence", "room", "hum"),
        hue=0.0,
        saturation=0.1,
        value=0.5,
    ),
)


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
    # What is done in a place can be heard there: blows peak between -30 and -10 dBFS.
    level = own.uniform(-80, -60) if own.random() < 0.25 else own.uniform(-60, -24)
    return Place(
        name=kind.names[own.integers(len(kind.names))],
        seed=seed,
        split=split,
        ambience=tuple(kind.ambience[layer] for layer in layers),
        ambient_level_db=float(level),
    ), kind
