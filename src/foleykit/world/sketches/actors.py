"""What moves in a sketch, and when and where it strikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np

from foleykit.world.sketches.motion import Course, Ease, Values, angle_of, direction, wander
from foleykit.world.sketches.patches import Pixels, Textures, body, limb, middle_of, paste, placed

SCENE_SIZE = 160
"""Side of a scene in pixels; its actors keep to about that."""
_SMOOTH: tuple[Ease, ...] = ("minimum jerk", "sine")
_SUBPIXEL_BITS = 3


@dataclass(frozen=True, kw_only=True)
class Contact:
    """An impact."""

    time: float
    """Seconds on the clock of the scene."""
    point: Values
    """(2,) in the scene."""


class Actor(Protocol):
    """Something that moves."""

    @property
    def contacts(self) -> Sequence[Contact]:
        """Its impacts, in order of time."""
        ...

    def draw(self, view: Pixels, camera: Values, moment: int) -> None:
        """Paint it into `view` as it is at a moment, an index into the times that it was made for."""
        ...


class Striker:
    """An arm with a stick, tool, blade or foot, or a bare hand, that strikes again and again, and feints."""

    def __init__(
        self, rng: np.random.Generator, textures: Textures, times: Values, *, only_feints: bool = False
    ) -> None:
        self.spot = SCENE_SIZE * (0.5 + rng.uniform(-0.32, 0.32, 2))
        is_any_way = rng.random() < 0.25
        self.heading = float(rng.uniform(0, 2 * np.pi) if is_any_way else np.pi / 2 + rng.normal(0, 0.6))
        self.contacts: list[Contact] = []
        tip = self._move(rng, times, 1.0 if only_feints else float(rng.choice([0.1, 0.25, 0.5])))
        if rng.random() < 0.5:
            tip = tip + np.stack([wander(rng, times, 6, 0.5) for _ in range(2)], axis=1)
        self.tip = tip
        self._dress(rng, textures)

    def _move(self, rng: np.random.Generator, times: Values, feint_share: float) -> Values:
        """Return where the tip is (N, 2), filling `contacts`."""
        is_fast = rng.random() < 0.3
        reach = float(np.exp(rng.uniform(np.log(8), np.log(80))))
        reach = min(reach, rng.uniform(6, 30)) if is_fast else reach
        period = rng.uniform(0.14, 0.4) if is_fast else rng.uniform(0.35, 1.6)
        unevenness = 0.35 * rng.uniform(0, 0.5)
        stroke = _Stroke(
            down=min(rng.uniform(0.06, 0.32), 0.5 * period),
            power=rng.uniform(1.2, 3.0),
            rest_share=float(rng.choice([0.0, 0.5, 1.0])),
        )
        course = Course(time=times[0] - 1.0, point=self.spot - direction(self.heading) * reach * rng.uniform(0.3, 1.3))
        spot, blows_left = self.spot, 0
        while course.time < times[-1] + 0.3:
            if not blows_left:
                spot, blows_left = self._new_spot(rng, course, reach), int(rng.integers(1, 9))
            heading = self.heading + rng.normal(0, 0.12)
            lift = direction(heading) * reach * np.exp(rng.normal(0, 0.25))
            goal, seconds = spot + rng.normal(0, 2, 2), period * np.exp(rng.normal(0, unevenness))
            if rng.random() < feint_share:
                _feint(rng, course, goal, lift, seconds)
            else:
                self.contacts += stroke.strike(rng, course, goal, lift, seconds)
            blows_left -= 1
        return course.at(times)

    def _new_spot(self, rng: np.random.Generator, course: Course, reach: float) -> Values:
        spot = self.spot + rng.normal(0, 0.1, 2) * SCENE_SIZE
        if rng.random() < 0.6:
            above = spot - direction(self.heading) * reach * rng.uniform(0.5, 1.5)
            course.go(above, rng.uniform(0.15, 0.7), "minimum jerk")
        if rng.random() < 0.3:
            course.stay(rng.uniform(0, 0.8))
        return spot

    def _dress(self, rng: np.random.Generator, textures: Textures) -> None:
        """Draw what strikes, what holds it, and where that comes from."""
        kind = rng.choice(["stick", "stick", "tool", "blade", "hand", "foot"])
        least, most = {"stick": (25, 80), "tool": (25, 70), "blade": (12, 40), "hand": (2, 8), "foot": (2, 10)}[kind]
        length = rng.uniform(least, most) + 2
        from_wrist = direction(self.heading + np.pi + rng.normal(0, 0.9) + rng.normal(0, 0.5))
        moved = self.tip - self.spot
        self.wrist = self.spot + from_wrist * length + rng.uniform(0.1, 0.95) * moved
        self.shaft = limb(
            rng, textures, length, rng.uniform(1.5, 6) if kind in ("stick", "tool") else rng.uniform(4, 14)
        )
        self.has_shaft = kind in ("stick", "tool", "blade")
        palm = rng.uniform(8, 30)
        self.hand = body(rng, textures, palm * rng.uniform(0.6, 1), palm, is_bare=rng.random() < 0.75)
        size = rng.uniform(5, 22)
        self.head = body(rng, textures, size * rng.uniform(0.8, 2.6), size) if kind == "tool" else None
        width = rng.uniform(14, 40) if kind == "foot" else rng.uniform(8, 34)
        self.arm = limb(rng, textures, 1.6 * SCENE_SIZE, width, is_bare=rng.random() < 0.45)
        self.has_arm = rng.random() < 0.88
        shoulder = self.spot + direction(angle_of(from_wrist) + rng.normal(0, 0.3)) * 1.7 * SCENE_SIZE
        self.shoulder = shoulder + rng.uniform(0, 0.5) * moved
        self.shade = rng.uniform(0.2, 0.6) if rng.random() < 0.4 else 0.0
        self.shade_way = np.array([0.6, 0.0]) + rng.normal(0, 0.5, 2)

    def draw(self, view: Pixels, camera: Values, moment: int) -> None:
        tip, wrist = self.tip[moment], self.wrist[moment]
        if self.shade:
            height = 0.5 * abs((tip - self.spot) @ direction(self.heading))
            ends = [tip + self.shade_way * height, wrist + self.shade_way * (height + 8)]
            _shade(view, [camera[:, :2] @ end + camera[:, 2] for end in ends], self.shaft.shape[0], self.shade)
        angle = angle_of(tip - wrist)
        if self.has_shaft:
            _paste_limb(view, camera, self.shaft, wrist, tip)
        if self.head is not None:
            grip = middle_of(self.head) * (1.4, 1)
            paste(view, self.head, placed(camera, tip, angle=angle, anchor=grip))
        if self.has_arm:
            _paste_limb(view, camera, self.arm, self.shoulder[moment], wrist)
        paste(view, self.hand, placed(camera, wrist, angle=angle, anchor=middle_of(self.hand)))


@dataclass(frozen=True, kw_only=True)
class _Stroke:
    """How one actor's blows are dealt."""

    down: float
    """Seconds from the highest point to the contact."""
    power: float
    rest_share: float
    """Share of blows that stay where they land instead of rebounding."""

    def strike(
        self, rng: np.random.Generator, course: Course, goal: Values, lift: Values, seconds: float
    ) -> list[Contact]:
        course.go(
            goal - lift,
            max(0.05, (seconds - self.down) * rng.uniform(0.5, 1)),
            ("sine", "minimum jerk", "slowing down")[rng.integers(3)],
        )
        if rng.random() < 0.2:
            course.stay(rng.uniform(0, 0.4))
        course.go(goal, self.down, "speeding up", self.power)
        contacts = [Contact(time=course.time, point=goal)]
        if rng.random() < 0.1:
            for _ in range(int(rng.integers(1, 3))):
                hop = rng.uniform(0.05, 0.1)
                course.go(goal - lift * rng.uniform(0.06, 0.25), hop, "slowing down")
                course.go(goal, hop, "speeding up")
                contacts.append(Contact(time=course.time, point=goal))
        if rng.random() < self.rest_share:
            course.stay(rng.uniform(0.03, 0.5))
        else:
            course.go(
                goal - lift * rng.uniform(0.1, 0.6), rng.uniform(0.05, 0.2), "slowing down", rng.uniform(1.2, 2.5)
            )
        return contacts


def _feint(rng: np.random.Generator, course: Course, goal: Values, lift: Values, seconds: float) -> None:
    """Move as if to strike and touch nothing: stop in the air, swing to and fro, or go elsewhere."""
    chance, slow = rng.random(), max(0.12, 0.5 * seconds)
    if chance < 0.35:
        course.go(goal - lift * rng.uniform(0.15, 0.6), slow, _SMOOTH[rng.integers(2)])
        course.stay(rng.uniform(0, 0.3))
        course.go(goal - lift, slow, _SMOOTH[rng.integers(2)])
    elif chance < 0.7:
        swing = 0.5 * np.hypot(*lift) * direction(angle_of(lift) + rng.uniform(-1.6, 1.6))
        for turn in range(int(rng.integers(1, 6))):
            course.go(goal - 0.7 * lift + swing * (-1) ** turn, max(0.125, 0.5 * seconds), "sine")
    else:
        course.go(goal - lift + rng.normal(0, 0.12, 2) * SCENE_SIZE, rng.uniform(0.2, 1), "minimum jerk")
        course.stay(rng.uniform(0, 0.7))


class Dropper:
    """A body that is let go, falls, bounces, rolls on and is dropped again."""

    def __init__(self, rng: np.random.Generator, textures: Textures, times: Values) -> None:
        size = rng.uniform(8, 40)
        self.thing = body(rng, textures, size * rng.uniform(0.6, 1.4), size)
        self.contacts: list[Contact] = []
        self.places = np.full((len(times), 2), np.nan)
        self.angles = np.zeros(len(times))
        self.gravity = rng.uniform(400, 1600)
        floor, time = SCENE_SIZE * rng.uniform(0.5, 0.95), times[0] - rng.uniform(0, 1)
        while time < times[-1]:
            time = self._drop(rng, times, time, floor + rng.normal(0, 6))

    def _drop(self, rng: np.random.Generator, times: Values, time: float, floor: float) -> float:
        """Let it go once from `time`; return when the next may follow."""
        place = np.array([SCENE_SIZE * rng.uniform(0.2, 0.8), floor - rng.uniform(25, 140)])
        speed, spin, angle = np.array([rng.normal(0, 40), 0.0]), rng.normal(0, 5), rng.uniform(0, 2 * np.pi)
        bounciness, least = rng.uniform(0.1, 0.75), 0.045 * self.gravity
        time = self._keep(times, time, rng.uniform(0, 0.4), place, np.zeros(2), angle, 0.0)
        while True:
            fall = (-speed[1] + np.sqrt(speed[1] ** 2 + 2 * self.gravity * max(floor - place[1], 0))) / self.gravity
            time = self._keep(times, time, fall, place, speed, angle, spin, self.gravity)
            place, angle = np.array([place[0] + speed[0] * fall, floor]), angle + spin * fall
            arrival = speed[1] + self.gravity * fall
            if arrival > least:
                self.contacts.append(Contact(time=time, point=place))
            speed = np.array([speed[0] * rng.uniform(0.4, 0.95), -arrival * bounciness * rng.uniform(0.7, 1.1)])
            spin *= rng.uniform(-0.6, 0.9)
            if -speed[1] < least or time > times[-1]:
                return self._keep(
                    times, time, rng.uniform(0.2, 1.5), place, speed * (rng.uniform(0, 0.5), 0), angle, 0.0
                )

    def _keep(
        self,
        times: Values,
        start: float,
        seconds: float,
        place: Values,
        speed: Values,
        angle: float,
        spin: float,
        gravity: float = 0.0,
    ) -> float:
        """Note where it flies, lies or rolls for some seconds; return when they end."""
        within = (times >= start) & (times < start + seconds)
        passed = times[within] - start
        self.places[within] = place + np.outer(passed, speed) + np.outer(0.5 * gravity * passed**2, (0, 1))
        self.angles[within] = angle + spin * passed
        return start + seconds

    def draw(self, view: Pixels, camera: Values, moment: int) -> None:
        if not np.isnan(self.places[moment, 0]):
            middle = middle_of(self.thing)
            at = self.places[moment] - (0, middle[1])
            paste(view, self.thing, placed(camera, at, angle=self.angles[moment], anchor=middle))


class Walker:
    """Two legs that step, on the spot or past."""

    def __init__(self, rng: np.random.Generator, textures: Textures, times: Values) -> None:
        step, ground = rng.uniform(0.35, 0.8), SCENE_SIZE * rng.uniform(0.65, 0.95)
        stride = rng.uniform(10, 50) * rng.choice([-1, 1]) * rng.choice([0, 1])
        lift, start = rng.uniform(5, 25), SCENE_SIZE * rng.uniform(0.3, 0.7)
        contacts: list[Contact] = []
        self.feet: list[Values] = []
        for foot in range(2):
            course = Course(time=times[0] + (foot - 2) * step, point=np.array([start + (foot - 2) * stride, ground]))
            while course.time < times[-1] + 0.2:
                goal = np.array([course.point[0] + 2 * stride + rng.normal(0, 2), ground + rng.normal(0, 1)])
                course.go(0.5 * (course.point + goal) - (0, lift), 0.5 * step, "sine")
                course.go(goal, 0.5 * step, "speeding up", rng.uniform(1.3, 2))
                contacts.append(Contact(time=course.time, point=goal))
                course.stay(step)
            self.feet.append(course.at(times))
        self.contacts = sorted(contacts, key=lambda contact: contact.time)
        self.leg = limb(rng, textures, SCENE_SIZE, rng.uniform(10, 26))
        self.shoe = body(rng, textures, rng.uniform(6, 14), rng.uniform(14, 34), "ellipse")
        self.hips = 0.5 * (self.feet[0] + self.feet[1])
        self.hips[:, 1] = ground - rng.uniform(70, 130)

    def draw(self, view: Pixels, camera: Values, moment: int) -> None:
        for foot in self.feet:
            _paste_limb(view, camera, self.leg, self.hips[moment], foot[moment])
            paste(view, self.shoe, placed(camera, foot[moment], anchor=middle_of(self.shoe) * (0.8, 1.6)))


class Mover:
    """What moves and strikes nothing: a creature, a cloth, a wiper, a broom, somebody who passes."""

    contacts: Sequence[Contact] = ()

    def __init__(self, rng: np.random.Generator, textures: Textures, times: Values) -> None:
        count = len(times)
        self.places = np.tile(SCENE_SIZE * rng.uniform(0.2, 0.8, 2), (count, 1))
        self.angles, self.scales = np.zeros(count), np.ones((count, 2))
        self.spots: list[tuple[Pixels, Values]] = []
        kinds: tuple[Literal["creature", "cloth", "wiper", "broom", "passer"], ...] = (
            "creature",
            "cloth",
            "wiper",
            "broom",
            "passer",
        )
        match kinds[rng.integers(len(kinds))]:
            case "wiper":
                self._sweep(rng, textures, times, turn=rng.uniform(0.3, 1.1), way=0.0)
                self.places[:, 1] = SCENE_SIZE * rng.uniform(0.85, 1.2)
            case "broom":
                self._sweep(rng, textures, times, turn=rng.uniform(0, 0.3), way=rng.uniform(8, 45))
                self.spots.append((body(rng, textures, rng.uniform(10, 40), rng.uniform(6, 18)), np.zeros(2)))
            case "passer":
                self.thing = body(rng, textures, rng.uniform(50, 170), rng.uniform(25, 70))
                self.anchor = middle_of(self.thing)
                self.places[:, 0] += rng.normal(0, 60) * (times - times.mean())
                self.places[:, 1] += np.abs(np.sin(3.6 * np.pi * times)) * rng.uniform(0, 4)
            case kind:
                self._live(rng, textures, times, 0.08 if kind == "creature" else 0.35)

    def _sweep(self, rng: np.random.Generator, textures: Textures, times: Values, *, turn: float, way: float) -> None:
        """Swing a rod to and fro like a wave, which may linger at its ends."""
        self.thing = limb(rng, textures, rng.uniform(60, 180), rng.uniform(2, 8))
        self.anchor = np.array([0, self.thing.shape[0] / 2])
        wave = np.sin(2 * np.pi * rng.uniform(0.4, 1.6) * times + rng.uniform(0, 2 * np.pi))
        if rng.random() < 0.3:
            wave = np.clip(wave * rng.uniform(1.05, 1.5), -1, 1)
        self.places[:, 0] += way * wave
        self.angles = rng.normal(-np.pi / 2, 0.4) + turn * wave

    def _live(self, rng: np.random.Generator, textures: Textures, times: Values, stretch: float) -> None:
        """Let something soft with spots on it turn, shift and change its shape."""
        shape: Literal["ellipse", "polygon"] = "ellipse" if rng.random() < 0.5 else "polygon"
        height, width = rng.uniform(30, 150, 2)
        self.thing = body(rng, textures, height, width, shape, is_bare=rng.random() < 0.3)
        self.anchor = middle_of(self.thing)
        rate = rng.uniform(0.5, 4)
        sizes = rng.uniform(2, 30), rng.uniform(2, 25)
        self.places += np.stack([wander(rng, times, rate, size) for size in sizes], axis=1)
        self.angles = wander(rng, times, rate, rng.uniform(0, 0.5))
        self.scales = np.exp(np.stack([wander(rng, times, rate, stretch) for _ in range(2)], axis=1))
        for _ in range(int(rng.integers(0, 4))):
            spot = body(rng, textures, *rng.uniform(6, 30, 2))
            self.spots.append((spot, rng.uniform(-0.3, 0.3, 2) * self.thing.shape[1::-1]))

    def draw(self, view: Pixels, camera: Values, moment: int) -> None:
        place, angle, scale = self.places[moment], self.angles[moment], tuple(self.scales[moment])
        paste(view, self.thing, placed(camera, place, angle=angle, scale=scale, anchor=self.anchor))
        for spot, offset in self.spots:
            at = place + offset * scale
            paste(view, spot, placed(camera, at, angle=angle, scale=scale, anchor=middle_of(spot)))


class Hand:
    """A hand that reaches, takes hold and lets go, without a blow."""

    contacts: Sequence[Contact] = ()

    def __init__(self, rng: np.random.Generator, textures: Textures, times: Values) -> None:
        course = Course(time=times[0] - 1, point=SCENE_SIZE * rng.uniform(0.2, 0.8, 2))
        while course.time < times[-1] + 0.2:
            goal = SCENE_SIZE * rng.uniform(0.15, 0.85, 2)
            if rng.random() < 0.5:
                goal = course.point + rng.normal(0, 12, 2)
            course.go(goal, rng.uniform(0.2, 1.1), "minimum jerk")
            if rng.random() < 0.6:
                course.stay(rng.uniform(0, 0.8))
        self.palm_at = course.at(times)
        size = rng.uniform(8, 26)
        self.palm = body(rng, textures, size, size * rng.uniform(0.8, 1.6), "polygon", is_bare=True)
        self.arm = limb(rng, textures, 1.5 * SCENE_SIZE, rng.uniform(8, 28), is_bare=rng.random() < 0.5)
        self.shoulder = SCENE_SIZE * np.array([rng.uniform(-0.3, 1.3), 1.5])

    def draw(self, view: Pixels, camera: Values, moment: int) -> None:
        palm_at = self.palm_at[moment]
        _paste_limb(view, camera, self.arm, self.shoulder, palm_at)
        matrix = placed(
            camera, palm_at, angle=angle_of(palm_at - self.shoulder), anchor=middle_of(self.palm) * (0.6, 1)
        )
        paste(view, self.palm, matrix)


class Struck:
    """A body where blows land, which may shake, shift, swing or spray."""

    contacts: Sequence[Contact] = ()

    def __init__(self, rng: np.random.Generator, textures: Textures, times: Values, striker: Striker) -> None:
        size = rng.uniform(20, 110)
        self.thing = body(rng, textures, size * rng.uniform(0.5, 1.5), size)
        height, width = self.thing.shape[:2]
        self.home = striker.spot + np.array([width, height]) * (rng.uniform(-0.3, 0.3), rng.uniform(0, 0.6))
        self.shifts, self.angles = np.zeros((len(times), 2)), np.full(len(times), rng.normal(0, 0.2))
        response = rng.choice(["none", "none", "shake", "shake", "shift", "swing"])
        for contact in striker.contacts:
            since = np.maximum(times - contact.time, 0)
            is_after = times >= contact.time
            match response:
                case "shake":
                    shake = np.exp(-rng.uniform(4, 16) * since) * np.sin(2 * np.pi * rng.uniform(4, 11) * since)
                    self.shifts += np.outer(shake * rng.uniform(0.5, 4), direction(rng.uniform(0, 2 * np.pi)))
                case "shift":
                    self.shifts += np.outer(1 - np.exp(-12 * since), rng.normal(0, 3, 2))
                case "swing":
                    swing = np.exp(-3 * since) * np.sin(2 * np.pi * rng.uniform(1, 4) * since)
                    self.angles += is_after * swing * rng.uniform(0.02, 0.2)
        self.spray = Spray(rng, times, striker.contacts) if rng.random() < 0.2 else None

    def draw(self, view: Pixels, camera: Values, moment: int) -> None:
        at = self.home + self.shifts[moment]
        paste(view, self.thing, placed(camera, at, angle=self.angles[moment], anchor=middle_of(self.thing)))


class Spray:
    """Drops or splinters that fly off from every blow."""

    contacts: Sequence[Contact] = ()

    def __init__(self, rng: np.random.Generator, times: Values, contacts: Sequence[Contact]) -> None:
        self.times, self.gravity = times, rng.uniform(100, 600)
        self.colour = tuple(int(value) for value in rng.integers(40, 255, 3))
        self.bursts = []
        for contact in contacts:
            count = int(rng.integers(5, 30))
            speeds = rng.normal(0, 70, (count, 2)) - (0, 60)
            self.bursts.append((contact, speeds, rng.uniform(0.1, 0.5, count)))

    def draw(self, view: Pixels, camera: Values, moment: int) -> None:
        for contact, speeds, lives in self.bursts:
            since = self.times[moment] - contact.time
            for speed in speeds[(since > 0) & (since < lives)]:
                at = contact.point + speed * since + (0, 0.5 * self.gravity * since**2)
                cv2.circle(
                    view, _subpixels(camera[:, :2] @ at + camera[:, 2]), 8, self.colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS
                )


def _paste_limb(view: Pixels, camera: Values, cut_out: Pixels, start: Values, end: Values) -> None:
    """Paste a limb so that it reaches from `start` to `end`."""
    stretch = (float(np.hypot(*(end - start))) / cut_out.shape[1], 1.0)
    anchor = np.array([0, cut_out.shape[0] / 2])
    paste(view, cut_out, placed(camera, start, angle=angle_of(end - start), scale=stretch, anchor=anchor))


def _shade(view: Pixels, ends: Sequence[Values], width: int, share: float) -> None:
    """Darken a line between two points of the picture."""
    mask = np.zeros(view.shape[:2], np.uint8)
    cv2.line(mask, _subpixels(ends[0]), _subpixels(ends[1]), (255,), max(1, width), cv2.LINE_AA, _SUBPIXEL_BITS)
    rows, columns = np.nonzero(mask)
    kept = 1 - share * mask[rows, columns, None] / 255
    view[rows, columns] = (view[rows, columns] * kept).astype(np.uint8)


def _subpixels(point: Values) -> tuple[int, int]:
    right, down = np.round(point * 2**_SUBPIXEL_BITS).astype(int).tolist()
    return right, down
