"""What the walker does: spells of steps, stops, and feet that are lifted without a sound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from foleykit.world.scene import Scene
from foleykit.world.script import Deed, Log, Segment, Sight, hermite, minimum_jerk

SOLE_DEPTH = 0.001
"""Metres by which a standing shoe is pressed into the ground."""


class Walker:
    """Walks along a path with two shoes, stops, and now and then lifts a foot without setting it down hard."""

    def __init__(self, scene: Scene, sight: Sight, rng: np.random.Generator, step: float) -> None:
        self.scene = scene
        self.sight = sight
        self.rng = rng
        self.step = step
        self.log = Log()
        self.poses = [np.array([0.0, side * 0.1, -SOLE_DEPTH, 0.0, 0.0, 0.0]) for side in (1, -1)]

    def _count(self, seconds: float) -> int:
        return max(2, round(seconds / self.step))

    def _swing(self, foot: int, ahead: float, seconds: float, lift: float, speed: float) -> Segment:
        """Carry one foot `ahead` metres forward and set it down at `speed` m/s."""
        start = self.poses[foot]
        end = start + np.array([ahead, self.rng.normal(0, 0.006), 0, 0, 0, 0])
        count = self._count(seconds)
        path = minimum_jerk(start, end, count)
        rise = max(2, count // 2)
        fall = count - rise
        path[:, 2] = np.concatenate(
            [
                hermite(-SOLE_DEPTH, lift, 0.0, 0.0, rise, self.step),
                hermite(lift, -SOLE_DEPTH, 0.0, -speed, fall, self.step),
            ]
        )
        u = np.linspace(0, 1, count)
        path[:, 4] = 0.5 * np.sin(np.pi * u) * (1 - u) - 0.35 * u * np.sin(np.pi * np.minimum(u * 1.2, 1))
        self.poses[foot] = end
        settled = np.repeat(end[None], self._count(0.06), 0)
        return Segment(tool=self.scene.tools[foot], path=np.concatenate([path, settled]))

    def _stand(self, seconds: float) -> Segment:
        return Segment(tool=self.scene.tools[0], path=np.repeat(self.poses[0][None], self._count(seconds), 0))

    def _spell(self) -> Iterator[Segment]:
        rng = self.rng
        cadence, length = rng.uniform(1.3, 2.3), rng.uniform(0.18, 0.4)
        lift, speed = rng.uniform(0.05, 0.12), rng.uniform(0.45, 1.2)
        foot = int(rng.integers(2))
        self.log.deeds.append(
            Deed(action="step", start=self.sight.now, end=math.inf, tool=self.scene.tools[0], target=self.scene.surface)
        )
        for number in range(rng.integers(3, 16)):
            period = rng.uniform(0.92, 1.08) / cadence
            ahead = length if number == 0 else 2 * length
            yield self._swing(foot, ahead, 0.7 * period, lift * rng.uniform(0.8, 1.2), speed * rng.uniform(0.7, 1.2))
            yield self._stand(0.3 * period)
            foot = 1 - foot
        self.log.deeds[-1] = replace(self.log.deeds[-1], end=self.sight.now)

    def _dangle(self) -> Iterator[Segment]:
        """Lift a foot, hold it and set it down without a sound."""
        rng, foot = self.rng, int(self.rng.integers(2))
        start = self.poses[foot]
        aloft = start + np.array([rng.uniform(0.03, 0.15), 0, rng.uniform(0.06, 0.15), 0, rng.uniform(-0.4, 0.4), 0])
        self.log.deeds.append(
            Deed(
                action="gesture",
                start=self.sight.now,
                end=math.inf,
                tool=self.scene.tools[0],
                target=self.scene.surface,
            )
        )
        tool = self.scene.tools[foot]
        yield Segment(tool=tool, path=minimum_jerk(start, aloft, self._count(rng.uniform(0.25, 0.5))))
        yield Segment(tool=tool, path=np.repeat(aloft[None], self._count(rng.uniform(0.1, 0.6)), 0))
        yield Segment(tool=tool, path=minimum_jerk(aloft, start, self._count(rng.uniform(0.9, 1.4))))
        self.log.deeds[-1] = replace(self.log.deeds[-1], end=self.sight.now)

    def script(self) -> Iterator[Segment]:
        """Yield movements without end; `log` records each spell of walking when it is over."""
        for tool, pose in zip(self.scene.tools, self.poses, strict=True):
            yield Segment(tool=tool, path=np.repeat(pose[None], 3, 0), appear=True)
        yield self._stand(self.rng.uniform(0.2, 1.2))
        while True:
            if self.rng.random() < 0.2:
                yield from self._dangle()
            else:
                yield from self._spell()
            yield self._stand(self.rng.uniform(0.3, 2.0))
