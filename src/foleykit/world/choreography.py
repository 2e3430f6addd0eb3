"""What the actor does: a script of hand movements planned from where things lie, one short path at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from foleykit.world.parts import Thing, Tool
from foleykit.world.scene import Scene
from foleykit.world.script import Deed, Log, Path, Segment, Sight, hermite, minimum_jerk
from foleykit.world.types import Action

HOME = np.array([-1.1, -0.45, 0.25, 0.3, 0.0, 0.0])
"""Where the hand waits outside the picture."""
OVERSHOOT = 0.006
"""Metres that a planned blow aims below what it strikes, so that it surely lands."""


class Director:
    """Improvises a script for one scene; a generator, because each plan needs to see how the last one ended."""

    def __init__(self, scene: Scene, sight: Sight, rng: np.random.Generator, step: float) -> None:
        self.scene = scene
        self.sight = sight
        self.rng = rng
        self.step = step
        self.log = Log()
        self.tool: Tool = scene.tools[0]
        self.side = 1.0 if scene.camera.left_handed else -1.0
        self.home = HOME * (1, -self.side, 1, -self.side, 1, 1)
        self.pose = self.home
        self.out = True

    def _begin(self, action: Action, target: Thing, held: Thing | None = None) -> None:
        deed = Deed(action=action, start=self.sight.now, end=math.inf, tool=self.tool, target=target, held=held)
        self.log.deeds.append(deed)

    def _end(self, *, after: float = 0.0) -> None:
        """Close the deed in hand; its bounces may last `after` seconds longer."""
        self.log.deeds[-1] = replace(self.log.deeds[-1], end=self.sight.now + after)

    def _count(self, seconds: float) -> int:
        return max(2, round(seconds / self.step))

    def _move(self, end: Path, seconds: float, **changes: Thing) -> Segment:
        path = minimum_jerk(self.pose, end, self._count(seconds))
        self.pose = path[-1]
        return Segment(tool=self.tool, path=path, grab=changes.get("grab"), release=changes.get("release"))

    def _hold(self, seconds: float) -> Segment:
        """Stay about where the hand is, with the small drift of a living arm."""
        count = self._count(seconds)
        u = np.linspace(0, np.pi, count)[:, None]
        drift = self.rng.normal(0, 1, 6) * (0.008, 0.008, 0.004, 0.03, 0.03, 0.03)
        path = self.pose + np.sin(u) * drift
        return Segment(tool=self.tool, path=path)

    def _idle(self, seconds: float) -> Segment:
        """Let time pass; a hand in the picture drifts, a hand outside stays out of sight."""
        if not self.out:
            return self._hold(seconds)
        return Segment(tool=self.tool, path=np.repeat(self.home[None], self._count(seconds), 0), vanish=True)

    def _take(self, tool: Tool) -> Iterator[Segment]:
        """Change to a tool: the hand leaves the picture with one and comes back with the other."""
        if tool is self.tool and not self.out:
            return
        if not self.out:
            yield from self._leave()
        self.tool, self.out = tool, False
        self.pose = self.home
        yield Segment(tool=tool, path=np.repeat(self.home[None], 4, 0), appear=True)

    def _leave(self) -> Iterator[Segment]:
        if not self.out:
            yield self._travel(self.home)
            self.out = True
            yield Segment(tool=self.tool, path=np.repeat(self.home[None], 2, 0), vanish=True)

    def _within_reach(self, thing: Thing) -> bool:
        x, y, z = self.sight.position(thing)
        reach = self.scene.extent + 0.08
        return abs(x) < reach and abs(y) < reach and z > -0.02

    def _reachable(self) -> list[Thing]:
        return [thing for thing in self.scene.objects if self._within_reach(thing)]

    def _upright(self, thing: Thing) -> bool:
        return abs(self.sight.position(thing)[2] - thing.half[2]) < 0.01

    def _free_spot(self, margin: float) -> tuple[float, float]:
        """Return a point of the surface away from the objects, as far as there is one."""
        best, best_gap = (0.0, 0.0), -1.0
        for _ in range(12):
            x, y = self.rng.uniform(-self.scene.extent, self.scene.extent, 2)
            gaps = [
                math.hypot(x - p[0], y - p[1]) - max(t.half)
                for t in self.scene.objects
                for p in [self.sight.position(t)]
            ]
            gap = min(gaps, default=1.0)
            if gap > best_gap:
                best, best_gap = (float(x), float(y)), gap
            if best_gap > margin:
                break
        return best

    def _thing(self, name: str) -> Thing:
        return next((t for t in self.scene.objects if t.name == name), self.scene.surface)

    def _facing(self, x: float, y: float) -> float:
        """Return the yaw of an arm that reaches (x, y) from the actor's side."""
        return math.atan2(y - self.side * 0.42, x + 0.55)

    def _aim(self, target: Thing) -> tuple[Path, Thing]:
        """Return the contact pose (6,) on a target, and what really lies there."""
        if target is self.scene.surface:
            x, y = self._free_spot(0.05)
        else:
            centre = self.sight.position(target)
            reach = 0.55 * min(target.half[:2]) if target.form != "vessel" else 0.7 * target.half[0]
            angle = self.rng.uniform(-math.pi, math.pi)
            inward = 1.0 if target.form == "vessel" else self.rng.uniform(0, 1)
            x, y = centre[0] + reach * inward * math.cos(angle), centre[1] + reach * inward * math.sin(angle)
        height, name = self.sight.top(x, y)
        yaw = self._facing(x, y) + self.rng.normal(0, 0.15)
        pitch = self.rng.uniform(0.02, 0.15) if self.tool.kind == "knife" else self.rng.uniform(0.05, 0.45)
        return np.array([x, y, height, yaw, pitch, self.rng.normal(0, 0.1)]), self._thing(name)

    def _lift(self, contact: Path, height: float, swing: float) -> Path:
        """Return the pose `height` metres above a contact pose, the tip raised by `swing` radians."""
        back = 0.25 * height
        return contact + np.array(
            [-back * math.cos(contact[3]), -back * math.sin(contact[3]), height, 0.0, -swing, 0.0]
        )

    def _along(self, contact: Path, heights: Path, top: float, swing: float) -> Path:
        """Return the poses at (N,) heights above the contact pose, on the arc that `_lift` describes."""
        raised = self._lift(contact, top, swing) - contact
        return contact + heights[:, None] / top * raised

    def _strokes(
        self, contact: Path, heights: list[float], period: float, speed: float, swing: float
    ) -> Iterator[Segment]:
        """Beat once per height: raise, swing down to the contact, rebound."""
        step, rng = self.step, self.rng
        top = max(heights)
        for number, height in enumerate(heights):
            fall = 1.8 * height / speed if number == 0 else 0.45 * period * rng.uniform(0.9, 1.1)
            speed_now = 1.8 * height / fall
            lift = max(rng.uniform(0.12, 0.4), 0.5 * height) if number == 0 else 0.55 * period * rng.uniform(0.9, 1.1)
            if number == 0:
                raised = self._lift(contact, height, swing * height / top)
                yield self._move(raised, lift)
                if rng.random() < 0.15:
                    yield self._hold(rng.uniform(0.1, 0.5))
                rise = np.zeros(0)
            else:
                rise = hermite(-OVERSHOOT, height, 0.3 * speed_now, 0.0, self._count(lift), step)
            drop = hermite(height, -OVERSHOOT, 0.0, -speed_now, self._count(fall), step)
            path = self._along(contact, np.concatenate([rise, drop]), top, swing)
            self.pose = path[-1]
            yield Segment(tool=self.tool, path=path)
        rest = rng.uniform(0.03, 0.12)
        rebound = hermite(-OVERSHOOT, rest, 0.3 * speed_now, 0.0, self._count(rng.uniform(0.15, 0.35)), step)
        path = self._along(contact, rebound, top, swing)
        self.pose = path[-1]
        yield Segment(tool=self.tool, path=path)

    def _approach(self, contact: Path, gap: float) -> Segment:
        """Move to hover above a contact pose, faster over short ways."""
        return self._travel(self._lift(contact, gap, 0.15))

    def _travel(self, end: Path) -> Segment:
        """Move over whatever stands in between, faster over short ways."""
        way = float(np.linalg.norm(end[:3] - self.pose[:3]))
        count = self._count(self.rng.uniform(0.18, 0.32) + 0.35 * min(way, 1.0))
        path = minimum_jerk(self.pose, end, count)
        path[:, 2] += np.sin(np.linspace(0, math.pi, count)) ** 2 * 0.4 * min(way, 0.4)
        self.pose = path[-1]
        return Segment(tool=self.tool, path=path)

    def _beat(self, action: Action, tool: Tool, target: Thing) -> Iterator[Segment]:
        rng = self.rng
        yield from self._take(tool)
        contact, struck = self._aim(target)
        yield self._approach(contact, rng.uniform(0.04, 0.12))
        self._begin(action, struck)
        period, swing = 0.0, rng.uniform(0.25, 0.9)
        speed = float(np.exp(rng.uniform(math.log(0.5), math.log(3.0))))
        match action:
            case "hit":
                count, period = int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])), rng.uniform(0.45, 0.9)
                heights = list(rng.uniform(0.08, 0.22) * rng.uniform(0.7, 1.0, count))
            case "hammer":
                count, period = int(rng.integers(3, 9)), 1 / rng.uniform(1.0, 4.5)
                heights = list(min(0.2, 0.5 * speed * period * 0.5) * rng.uniform(0.75, 1.1, count))
            case "chop":
                count, period = int(rng.integers(3, 11)), 1 / rng.uniform(2.0, 5.5)
                speed, swing = min(speed, 1.5), rng.uniform(0.05, 0.3)
                heights = list(np.clip(0.25 * speed * period, 0.03, 0.08) * rng.uniform(0.8, 1.1, count))
            case _:
                count, period = int(rng.integers(1, 5)), 1 / rng.uniform(1.8, 4.5)
                speed, swing = rng.uniform(0.3, 0.9), rng.uniform(0.1, 0.4)
                heights = list(np.clip(0.25 * speed * period, 0.03, 0.06) * rng.uniform(0.8, 1.1, count))
        yield from self._strokes(contact, [max(h, 0.03) for h in heights], period, speed, swing)
        self._end()

    def _gesture(self, tool: Tool, target: Thing) -> Iterator[Segment]:
        """Swing or reach like a blow, and stop short or pass beside."""
        rng = self.rng
        yield from self._take(tool)
        contact, struck = self._aim(target)
        yield self._approach(contact, rng.uniform(0.1, 0.16))
        self._begin("gesture", struck)
        height, gap, swing = rng.uniform(0.14, 0.26), rng.uniform(0.06, 0.11), rng.uniform(0.2, 0.8)
        for _ in range(rng.integers(1, 4)):
            yield self._move(self._lift(contact, height, swing), rng.uniform(0.15, 0.4))
            yield self._move(self._lift(contact, gap, swing * gap / height), rng.uniform(0.12, 0.3))
        yield self._move(self._lift(contact, height * 0.7, 0.1), rng.uniform(0.2, 0.5))
        self._end()

    def _wave(self, tool: Tool, target: Thing) -> Iterator[Segment]:
        """Sweep through the air above a target and touch nothing."""
        rng = self.rng
        yield from self._take(tool)
        contact, struck = self._aim(target)
        aloft = self._lift(contact, rng.uniform(0.1, 0.18), 0.3)
        yield self._travel(aloft)
        self._begin("gesture", struck)
        angle, reach = rng.uniform(-math.pi, math.pi), rng.uniform(0.05, 0.14)
        way = np.array([math.cos(angle), math.sin(angle), 0.1, 0.5, 0, 0.5]) * reach
        for sweep in range(rng.integers(2, 6)):
            yield self._move(aloft + way * (1 if sweep % 2 == 0 else -1), rng.uniform(0.2, 0.5))
        self._end()

    def _pour(self, jug: Tool, vessel: Thing) -> Iterator[Segment]:
        """Hold a jug over a vessel, tilt it for a while, and right it again."""
        rng = self.rng
        yield from self._take(jug)
        x, y, _ = self.sight.position(vessel)
        height, _ = self.sight.top(x, y)
        spout = np.array([x, y, height + rng.uniform(0.04, 0.075), self._facing(x, y), 0.1, 0.0])
        yield self._travel(spout)
        tilted = spout + np.array([0, 0, 0, 0, 0, self.side * rng.uniform(1.3, 1.8)])
        yield self._move(tilted, rng.uniform(0.4, 0.8))
        self._begin("pour", vessel)
        yield self._hold(rng.uniform(0.7, 3.2))
        self._end()
        yield self._move(spout + np.array([0, 0, 0.05, 0, 0, 0]), rng.uniform(0.25, 0.5))

    def _grip(self, thing: Thing) -> Iterator[Segment]:
        """Take hold of a thing from above."""
        yield from self._take(self.scene.tools[0])
        centre = self.sight.position(thing)
        height, _ = self.sight.top(centre[0], centre[1])
        yaw = self._facing(centre[0], centre[1])
        grip = np.array([centre[0], centre[1], height + 0.004, yaw, self.rng.uniform(0.2, 0.6), 0.0])
        yield self._approach(grip, 0.05)
        yield self._move(grip, self.rng.uniform(0.15, 0.35))

    def _let_go(self, thing: Thing) -> Iterator[Segment]:
        up = self.pose + np.array([-0.02, 0, self.rng.uniform(0.03, 0.1), 0, -0.2, 0])
        yield self._move(up, self.rng.uniform(0.2, 0.5), release=thing)

    def _put(self, action: Action, thing: Thing) -> Iterator[Segment]:
        """Lift a thing and set it down somewhere else, or let it fall."""
        rng = self.rng
        yield from self._grip(thing)
        grip_height = self.pose[2] - max(0.0, self.sight.position(thing)[2] - thing.half[2])
        beneath = self.scene.surface
        x, y = self._free_spot(max(thing.half[:2]))
        self._begin(action, beneath, thing)
        way = rng.uniform(0.08, 0.3) if action == "drop" else rng.uniform(0.04, 0.12)
        lifted = self.pose + np.array([0, 0, way, 0, 0, 0])
        yield self._move(lifted, rng.uniform(0.25, 0.5), grab=thing)
        over = np.array([x, y, lifted[2], lifted[3] + rng.normal(0, 0.4), lifted[4], 0.0])
        if action == "drop":
            over[4:] += rng.normal(0, 0.25, 2)
        yield self._move(over, rng.uniform(0.3, 0.6))
        if action == "drop":
            if rng.random() < 0.5:
                yield self._hold(rng.uniform(0.1, 0.4))
            yield from self._let_go(thing)
            yield self._hold(rng.uniform(0.2, 0.5))
        else:
            speed = rng.uniform(0.15, 0.6)
            drop = hermite(over[2], grip_height - OVERSHOOT, 0.0, -speed, self._count(1.6 * way / speed), self.step)
            path = np.repeat(over[None], len(drop), 0)
            path[:, 2] = drop
            self.pose = path[-1]
            yield Segment(tool=self.tool, path=path)
            yield self._hold(rng.uniform(0.08, 0.2))
            yield from self._let_go(thing)
        self._end(after=0.5)

    def _scrape_thing(self, thing: Thing) -> Iterator[Segment]:
        """Push a thing back and forth over the surface."""
        rng = self.rng
        yield from self._grip(thing)
        self._begin("scrape", self.scene.surface, thing)
        pressed = self.pose - np.array([0, 0, OVERSHOOT, 0, 0, 0])
        yield self._move(pressed, 0.1, grab=thing)
        yield from self._rub(rng.uniform(0.08, 0.2))
        yield from self._let_go(thing)
        self._end()

    def _scrape_tool(self, tool: Tool) -> Iterator[Segment]:
        rng = self.rng
        yield from self._take(tool)
        contact, struck = self._aim(self.scene.surface)
        yield self._approach(contact, 0.05)
        self._begin("scrape", struck)
        yield self._move(contact - np.array([0, 0, OVERSHOOT, 0, 0, 0]), rng.uniform(0.25, 0.5))
        yield from self._rub(rng.uniform(0.06, 0.18))
        yield self._move(self._lift(contact, 0.06, 0.2), 0.3)
        self._end()

    def _rub(self, length: float) -> Iterator[Segment]:
        angle, speed = self.rng.uniform(-math.pi, math.pi), self.rng.uniform(0.15, 0.6)
        towards_middle = -self.pose[:2]
        if np.dot(towards_middle, (math.cos(angle), math.sin(angle))) < 0:
            angle += math.pi
        way = np.array([math.cos(angle), math.sin(angle), 0, 0, 0, 0]) * length
        for stroke in range(self.rng.integers(1, 6)):
            yield self._move(self.pose + way * (1 if stroke % 2 == 0 else -1), 1.9 * length / speed)
            if self.rng.random() < 0.2:
                yield self._hold(self.rng.uniform(0.1, 0.4))

    def _roll(self, thing: Thing) -> Iterator[Segment]:
        rng = self.rng
        yield from self._grip(thing)
        if thing.form == "rod":
            axis = self.sight.axis(thing)
            angle = math.atan2(axis[1], axis[0]) + math.pi / 2
        else:
            angle = rng.uniform(-math.pi, math.pi)
        if np.dot(self.pose[:2], (math.cos(angle), math.sin(angle))) > 0:
            angle += math.pi
        self._begin("roll", self.scene.surface, thing)
        speed, run = rng.uniform(0.25, 0.8), rng.uniform(0.05, 0.12)
        ahead = hermite(0, run, 0, speed, self._count(1.6 * run / speed), self.step)
        after = run + hermite(0, 0.06, speed, 0, self._count(0.25), self.step)
        direction = np.array([math.cos(angle), math.sin(angle), 0, 0, 0, 0])
        origin = self.pose
        yield Segment(tool=self.tool, path=origin + ahead[:, None] * direction, grab=thing)
        path = origin + after[:, None] * direction
        path[:, 2] += np.linspace(0, 0.05, len(path))
        self.pose = path[-1]
        yield Segment(tool=self.tool, path=path, release=thing)
        yield self._hold(rng.uniform(0.3, 0.9))
        self._end(after=1.0)

    def _next(self) -> Iterator[Segment]:
        rng = self.rng
        things = self._reachable()
        tools = [tool for tool in self.scene.tools if tool.kind not in ("hand", "jug")]
        jugs = [tool for tool in self.scene.tools if tool.kind == "jug"]
        vessels = [thing for thing in things if thing.form == "vessel" and self._upright(thing)]
        if rng.random() < 0.55 and not self.out and self.tool in tools:
            tool = self.tool
        else:
            tool = tools[rng.integers(len(tools))]
        candidates = [*things, self.scene.surface]
        target = candidates[rng.integers(len(candidates))]
        round_things = [thing for thing in things if thing.form in ("ball", "rod")]
        roll = rng.random()
        if jugs and vessels and rng.random() < 0.2:
            yield from self._pour(jugs[0], vessels[rng.integers(len(vessels))])
        elif roll < 0.12:
            yield from self._gesture(tool, target)
        elif roll < 0.17:
            yield from self._wave(tool, target)
        elif roll < 0.67 or not things or (0.87 <= roll < 0.93 and not round_things):
            match tool.kind:
                case "knife":
                    action: Action = "chop"
                case "finger":
                    action = "tap"
                case _:
                    action = "hammer" if rng.random() < 0.5 else "hit"
            yield from self._beat(action, tool, target)
        elif roll < 0.87:
            held = things[rng.integers(len(things))]
            yield from self._put("drop" if rng.random() < 0.7 else "place", held)
        elif roll < 0.93:
            yield from self._roll(round_things[rng.integers(len(round_things))])
        elif rng.random() < 0.5:
            yield from self._scrape_tool(tool)
        else:
            yield from self._scrape_thing(things[rng.integers(len(things))])

    def script(self) -> Iterator[Segment]:
        """Yield movements without end; `log` records each action when it is over."""
        yield self._idle(self.rng.uniform(0.2, 1.2))
        while True:
            yield from self._next()
            if self.rng.random() < 0.12:
                yield from self._leave()
            if self.rng.random() < 0.1:
                yield self._idle(self.rng.uniform(1.0, 2.5))
            yield self._idle(self.rng.uniform(0.05, 0.45))
