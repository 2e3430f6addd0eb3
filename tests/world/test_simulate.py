"""Laws of simulated takes; left out where MuJoCo or a GL library is missing."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

if find_spec("mujoco") is None:
    pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'", allow_module_level=True)

from foleykit.core.errors import ConfigError, UsageError
from foleykit.world.captions import caption
from foleykit.world.config import WorldConfig
from foleykit.world.places import PLACE_SEEDS
from foleykit.world.stream import make_take
from foleykit.world.types import SURFACES, Split, Take

CONFIG = WorldConfig(seconds=8.0, frame_size=(24, 32))


def take_of(index: int, *, config: WorldConfig = CONFIG, seed: int = 3, split: Split = "train") -> Take:
    try:
        return make_take(config, seed=seed, index=index, split=split)
    except UsageError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")


@pytest.fixture(scope="module")
def takes() -> list[Take]:
    return [take_of(index) for index in range(6)]


def test_equal_seeds_give_equal_takes(takes):
    again = take_of(2)
    assert np.array_equal(again.frames, takes[2].frames)
    assert repr(again.events) == repr(takes[2].events)
    assert again.narrations == takes[2].narrations
    assert not np.array_equal(takes[1].frames, takes[2].frames)


def test_frames_come_at_the_asked_rate_and_size(takes):
    for take in takes:
        assert take.frames.shape == (200, 24, 32, 3)
        assert take.frame_times == pytest.approx(np.arange(200) / 25)
        assert take.frames.std() > 5


def test_a_surface_map_shows_what_is_struck_where_it_is_struck(takes):
    shown, met = 0, 0
    for take in takes:
        assert take.surface_maps.shape == (40, 24, 24) and take.surface_maps.max() < len(SURFACES)
        for event in take.events:
            assert (event.point is not None) == event.on_screen
            if event.point is None or event.kind != "impact":
                continue
            assert all(0 <= part <= 1 for part in event.point)
            column, row = (min(23, int(part * 24)) for part in event.point)
            map_ = take.surface_maps[min(39, int(event.time * 5))]
            around = {SURFACES[cell] for cell in map_[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].flat}
            shown += 1
            met += bool(around & {event.material, "actor"})
    assert shown > 10 and met > 0.9 * shown


def test_events_are_sorted_sane_and_inside_the_take(takes):
    for take in takes:
        times = [event.time for event in take.events]
        assert times == sorted(times)
        for event in take.events:
            assert 0 <= event.time < take.seconds
            assert event.time + event.duration <= take.seconds + 0.02
            assert event.strength > 0
            assert 0.02 <= event.size <= 2
            if event.kind == "impact":
                assert event.duration == 0
                assert event.profile is None
            else:
                assert event.profile is not None
                assert len(event.profile) == pytest.approx(event.duration * 100, abs=1.01)
                assert 0 <= event.profile.min() <= event.profile.max() <= 1


def test_one_body_is_one_material(takes):
    for take in takes:
        materials: dict[int, set[str]] = {}
        for event in take.events:
            materials.setdefault(event.body_seed, set()).add(event.material)
        assert all(len(kinds) == 1 for kinds in materials.values())


def test_something_is_heard_and_seen(takes):
    seen = [event for take in takes for event in take.events if event.on_screen]
    assert len(seen) > 0.4 * sum(take.seconds for take in takes)
    assert len({event.action for event in seen}) >= 4
    assert len({event.material for event in seen}) >= 4


def test_a_gesture_strikes_nothing(takes):
    gestures = [(take, start, end) for take in takes for start, end in take.gestures]
    struck = [
        event
        for take, start, end in gestures
        for event in take.events
        if event.on_screen and event.action == "hit" and start + 0.1 < event.time < end - 0.1
    ]
    assert len(struck) <= 0.1 * len(gestures)


def test_places_belong_to_one_split():
    ranges = sorted(PLACE_SEEDS.values())
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(ranges))
    config = WorldConfig(seconds=1.0, frame_size=(16, 16))
    for split, (low, high) in PLACE_SEEDS.items():
        place = take_of(0, config=config, split=split).place
        assert place.split == split
        assert low <= place.seed < high
        assert -80 <= place.ambient_level_db <= -18


def test_captions_name_what_is_seen_and_vary(takes):
    take = max(takes, key=lambda t: sum(event.on_screen for event in t.events))
    materials = {event.material for event in take.events if event.on_screen}
    captions = {caption(take, np.random.default_rng(seed)) for seed in range(20)}
    assert len(captions) > 5
    assert all(any(material in sentence.lower() for material in materials) for sentence in captions)
    assert "nothing" not in " ".join(captions)


def test_sentences_of_a_narrator(takes):
    for take in takes:
        for time, sentence in take.narrations:
            assert 0 <= time < take.seconds
            assert sentence.startswith("#C C ")


@pytest.mark.parametrize(
    "changes",
    [{"seconds": 0.0}, {"video_fps": 500.0}, {"frame_size": (4, 96)}, {"physics_step": 0.1}, {"multisampling": 3}],
)
def test_an_impossible_config_is_refused(changes):
    with pytest.raises(ConfigError):
        WorldConfig(**changes)
