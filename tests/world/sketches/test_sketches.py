"""Sketches strike where and when they say, and are the same again from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from foleykit.world.sketches.motion import Course, Ease, eased, wander

pytest.importorskip("cv2", reason="sketches need OpenCV: pip install 'foleykit[train]'")

from foleykit.world.sketches.actors import Actor, Dropper, Hand, Mover, Striker, Walker
from foleykit.world.sketches.patches import Textures, body, middle_of, paste, placed
from foleykit.world.sketches.scene import SketchConfig, draw_sketch

TIMES = np.arange(0, 3, 0.002)
EASES: tuple[Ease, ...] = ("even", "minimum jerk", "speeding up", "slowing down", "sine")


@pytest.fixture(scope="module")
def textures() -> Textures:
    return Textures(np.random.default_rng(0), 4)


@pytest.mark.parametrize("ease", EASES)
def test_every_way_leads_from_its_start_to_its_end_without_turning(ease: Ease) -> None:
    done = eased(np.linspace(0, 1, 50), ease, 2.5)
    assert done[0] == 0 and done[-1] == pytest.approx(1) and (np.diff(done) >= 0).all()


def test_a_course_goes_through_its_points_and_stays_where_it_ends() -> None:
    course = Course(time=1.0, point=np.array([0.0, 0.0]))
    course.go(np.array([10.0, 0.0]), 1.0, "speeding up")
    course.stay(0.5)
    course.go(np.array([10.0, 4.0]), 0.5, "even")
    found = course.at(np.array([0.0, 1.0, 1.5, 2.0, 2.4, 2.75, 9.0]))
    expected = [(0, 0), (0, 0), (2.5, 0), (10, 0), (10, 0), (10, 2), (10, 4)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_chance_is_smooth_and_as_large_as_asked() -> None:
    values = np.concatenate([wander(np.random.default_rng(seed), TIMES, 5, 2.0) for seed in range(50)])
    assert 1.2 < values.std() < 2.2 and np.abs(np.diff(wander(np.random.default_rng(0), TIMES, 5, 2.0))).max() < 0.3


def test_blows_arrive_at_speed_where_they_say_and_feints_strike_nothing(textures: Textures) -> None:
    arriving, going_on = [], []
    for seed in range(12):
        striker = Striker(np.random.default_rng(seed), textures, TIMES)
        for contact in striker.contacts:
            if 0.1 < contact.time < 2.8:
                moment = int(np.searchsorted(TIMES, contact.time))
                before, at, after = striker.tip[[moment - 5, moment, moment + 5]]
                assert np.hypot(*(at - contact.point)) < 5
                arriving.append(float(np.hypot(*(at - before))) / 0.01)
                going_on.append(float((after - at) @ (at - before) / max((at - before) @ (at - before), 1e-6)))
        assert not Striker(np.random.default_rng(seed), textures, TIMES, only_feints=True).contacts
    assert len(arriving) > 20 and np.median(arriving) > 100
    # What strikes stops or turns round.
    assert np.mean(np.array(going_on) < 0.2) > 0.95


def test_what_falls_is_on_the_floor_when_it_strikes_and_faster_before_than_after(textures: Textures) -> None:
    for seed in range(6):
        dropper = Dropper(np.random.default_rng(seed), textures, TIMES)
        inside = [contact for contact in dropper.contacts if 0.05 < contact.time < 2.9]
        for contact in inside:
            moment = int(np.searchsorted(TIMES, contact.time))
            assert abs(dropper.places[moment - 1, 1] - contact.point[1]) < 4
            assert dropper.places[moment - 1, 1] > dropper.places[moment - 10, 1]


def test_feet_come_down_in_turn(textures: Textures) -> None:
    walker = Walker(np.random.default_rng(1), textures, TIMES)
    gaps = np.diff([contact.time for contact in walker.contacts])
    assert len(gaps) > 3 and gaps.min() > 0.3 and np.ptp(gaps) < 1e-6


@pytest.mark.parametrize("kind", [Mover, Hand])
def test_what_only_moves_strikes_nothing(kind: type[Mover] | type[Hand], textures: Textures) -> None:
    actors: list[Actor] = [kind(np.random.default_rng(seed), textures, TIMES) for seed in range(10)]
    camera = np.eye(2, 3)
    for actor in actors:
        early, late = (np.zeros((160, 160, 3), np.uint8) for _ in range(2))
        actor.draw(early, camera, 0)
        actor.draw(late, camera, 400)
        assert not actor.contacts
    assert any(not np.array_equal(early, late) for _ in actors)


def test_a_cut_out_is_pasted_where_its_anchor_should_lie(textures: Textures) -> None:
    thing = body(np.random.default_rng(0), textures, 20, 10, "box")
    view = np.zeros((100, 100, 3), np.uint8)
    paste(view, thing, placed(np.eye(2, 3), np.array([60.0, 30.0]), angle=np.pi / 2, anchor=middle_of(thing)))
    rows, columns = np.nonzero(view.sum(axis=2))
    assert (rows.mean(), columns.mean()) == pytest.approx((30, 60), abs=1)
    assert np.ptp(columns) > np.ptp(rows)
    before = view.copy()
    paste(view, thing, placed(np.eye(2, 3), np.array([500.0, 30.0]), anchor=middle_of(thing)))
    np.testing.assert_array_equal(view, before)


def test_a_sketch_is_the_same_again_and_says_what_is_seen_in_it(textures: Textures) -> None:
    config = SketchConfig(num_frames=30, size=64)
    sketches = [draw_sketch(np.random.default_rng(seed), textures, config) for seed in range(24)]
    again = draw_sketch(np.random.default_rng(5), textures, config)
    np.testing.assert_array_equal(again.frames, sketches[5].frames)
    assert again.contacts == sketches[5].contacts
    for sketch in sketches:
        assert sketch.frames.shape == (30, 64, 64, 3) and sketch.frames.dtype == np.uint8
        times = [contact.time for contact in sketch.contacts]
        assert times == sorted(times) and all(-2 / 25 <= time <= 31 / 25 for time in times)
        assert all(0 <= part < 1 for contact in sketch.contacts for part in contact.point)
    num_sounding = sum(bool(sketch.contacts) for sketch in sketches)
    assert 4 <= num_sounding <= 20


def test_something_moves_near_a_contact(textures: Textures) -> None:
    near, anywhere = [], []
    for seed in range(40):
        sketch = draw_sketch(np.random.default_rng(seed), textures)
        change = np.abs(np.diff(sketch.frames.astype(float), axis=0)).mean(axis=3)
        for contact in sketch.contacts:
            frame = round(contact.time * 25)
            if 3 <= frame < 38:
                right, down = (int(part * 96) for part in contact.point)
                around = change[frame - 3 : frame + 1, max(0, down - 8) : down + 8, max(0, right - 8) : right + 8]
                near.append(around.mean())
                anywhere.append(change[frame - 3 : frame + 1].mean())
    assert len(near) > 20 and np.mean(near) > 1.5 * np.mean(anywhere)
