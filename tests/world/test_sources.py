"""Every audible layer of an ambience is seen, and only those."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("mujoco") is None:
    pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'", allow_module_level=True)

from foleykit.core.errors import ConfigError
from foleykit.world.config import WorldConfig
from foleykit.world.film import CameraPath, Film
from foleykit.world.places import PLACE_KINDS
from foleykit.world.scene import Scene, draw_scene
from foleykit.world.sources import UNSEEN, audible_sources, draw_rain, rain_on
from foleykit.world.stage import Stage
from foleykit.world.types import AMBIENCE_KINDS, SURFACES, AmbienceKind, Place

CONFIG = WorldConfig(seconds=1.0, frame_size=(48, 48), video_fps=5.0, map_stride=1)
SEEN = tuple(kind for kind in AMBIENCE_KINDS if kind not in UNSEEN)
QUIET_DB = -70.0


def scene_at(place: Place) -> Scene:
    return draw_scene(CONFIG, place, PLACE_KINDS[0], np.random.default_rng(4))


def film_of(place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Return frames and surface maps of the place where nobody acts."""
    stage = Stage(scene_at(place), CONFIG)
    stage.positions[:] = stage.data.qpos
    try:
        frames, times, maps = Film(stage, CameraPath(stage, np.random.default_rng(5)), []).frames()
    except ConfigError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")
    rain = draw_rain(place)
    return (rain_on(frames, times, rain) if rain else frames), maps


@pytest.fixture(scope="module")
def place(make_place) -> Place:
    place = make_place(seed=2)
    assert not scene_at(place).walking
    return place


@pytest.fixture(scope="module")
def bare(place) -> tuple[np.ndarray, np.ndarray]:
    return film_of(place)


@pytest.mark.parametrize("kind", SEEN)
def test_what_is_heard_is_seen_and_what_it_covers_is_background(kind: AmbienceKind, place, bare):
    frames, maps = film_of(replace(place, ambience=(kind,)))
    changed = np.abs(frames.astype(int) - bare[0]).max(axis=3) > 12
    assert changed.mean(axis=(1, 2)).min() > 0.01
    if kind != "rain":
        assert changed.mean() < 0.15
    background = SURFACES.index("background")
    assert np.all((maps == bare[1]) | (maps == background))


@pytest.mark.parametrize("kind", [kind for kind in SEEN if kind != "hum"])
def test_sources_move_by_time_alone(kind: AmbienceKind, place):
    if kind == "rain":
        rain, frames = draw_rain(replace(place, ambience=(kind,))), np.zeros((3, 32, 32, 3), np.uint8)
        assert rain is not None
        first, later, again = rain_on(frames, np.array([0.5, 0.6, 0.5]), rain)
        assert np.array_equal(first, again) and not np.array_equal(first, later)
        return
    parts, twin = (scene_at(replace(place, ambience=(kind,))).sources for _ in range(2))
    assert parts and parts == twin
    poses = [[part.pose(time) for part in parts] for time in (3.0, 3.1, 3.0)]
    assert poses[0] == poses[2] != poses[1]
    for part in parts:
        positions = np.array([part.pose(time)[0] for time in np.arange(0, 4, 0.05)])
        assert np.abs(positions - part.centre).max() <= np.abs(part.sweep).max() + 1e-9
        assert np.linalg.norm(part.pose(1.7)[1]) == pytest.approx(1)


def test_a_place_of_three_layers_keeps_to_few_moving_bodies(place):
    scene = scene_at(replace(place, ambience=("birds", "traffic", "wind")))
    assert 3 <= len(scene.sources) <= 12
    assert len({part.name for part in scene.sources}) == len(scene.sources)


@pytest.mark.parametrize("kind", SEEN)
def test_what_is_not_heard_is_not_seen(kind: AmbienceKind, place):
    quiet = replace(place, ambience=(kind,), ambient_level_db=QUIET_DB)
    assert audible_sources(quiet) == () and draw_rain(quiet) is None
    assert scene_at(quiet).xml == scene_at(place).xml


def test_rooms_and_silence_show_nothing(place):
    assert audible_sources(replace(place, ambience=("silence", "room"))) == ()
