"""What the contacts of a finished simulation mean: which body rings, who struck it, during which action."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foleykit.world.contacts import (
    AUDIBLE_TOUCH,
    MERGE_SECONDS,
    PROFILE_RATE,
    Impact,
    find_impacts,
    merge_impacts,
    pair_histories,
    profile_of,
    sounding_spells,
)
from foleykit.world.film import Film
from foleykit.world.parts import Thing
from foleykit.world.script import Deed
from foleykit.world.stage import Stage
from foleykit.world.types import Action, Material, SoundEvent

FOOTFALL_SECONDS = 0.2
"""Heel and toe of one step are heard as one."""
SOFTEST_STEP = 0.1
"""N s; weaker touches of a shoe are feet that leave the ground."""
FIRST_EVENT = 0.1
"""Seconds; what touches earlier is the scene coming to life."""
LOUDEST_SHOVE = 0.05
"""N s; weaker leaps of force while something is pushed about belong to the scraping."""
PAUSE = 0.3
"""Seconds; rubbing or rolling that halts for less goes on: nothing seen begins anew."""
SLOWEST_IMPACT = 0.05
"""m/s; leaps of force between bodies that move slower are settling, not impacts."""


def _deed_at(deeds: list[Deed], time: float) -> Deed | None:
    """Return the latest deed that had begun and was not long over at `time`."""
    for deed in reversed(deeds):
        if deed.start - 0.05 <= time:
            return deed if time <= deed.end + 0.6 else None
    return None


def _action_of(deed: Deed | None, *, by_tool: bool, walking: bool) -> Action:
    """Return what an impact during a deed is called: blows come from tools, all else falls."""
    if walking:
        return "step"
    action: Action = deed.action if deed is not None else "gesture"
    if by_tool:
        return action if action in ("hit", "hammer", "chop", "tap", "scrape") else "hit"
    return action if action in ("drop", "place", "roll") else "drop"


class Listener:
    """Names what the contacts of a finished simulation mean."""

    def __init__(self, stage: Stage, film: Film, deeds: list[Deed]) -> None:
        self._stage, self._film, self._deeds = stage, film, deeds
        scene = stage.scene
        things: list[Thing] = [*scene.objects, scene.surface, scene.floor]
        self._things = {stage.body[thing.name]: thing for thing in things}
        self._tools = {stage.body[tool.name]: tool for tool in scene.tools}
        self.movable = [*(stage.body[thing.name] for thing in scene.objects), *self._tools]

    def _roles(self, bodies: tuple[int, int], deed: Deed | None) -> tuple[Thing, Material]:
        """Return the body that rings and the material of what touched it."""
        scene = self._stage.scene
        first, second = bodies
        if first in self._tools or second in self._tools:
            tool, other = (first, second) if first in self._tools else (second, first)
            return self._things[other], self._tools[tool].material
        one, two = self._things[first], self._things[second]
        support = {scene.surface.name, scene.floor.name}
        held = deed.held if deed is not None else None
        if one.name in support or two is held:
            one, two = two, one
        if one.material == "cloth" and two.material != "cloth":
            return two, "cloth"
        return one, two.material

    def closing_speed(self, bodies: tuple[int, int]) -> NDArray[np.float32]:
        """Return (num_steps,) the speed, in m/s, that a pair of bodies can have met with."""
        upright = any(body not in self.movable for body in bodies)
        speeds = []
        for body in bodies:
            if body in self.movable:
                thing = self._things.get(body)
                turning = thing is not None and thing.form not in ("ball", "rod")
                speeds.append(self._stage.activity(body, upright=upright, turning=turning))
        return np.max(speeds, axis=0)  # type: ignore[no-any-return]

    def held_against(self, bodies: tuple[int, int]) -> NDArray[np.bool_]:
        """Return (num_steps,) True where this pair is rubbed together on purpose: its leaps of force are no blows."""
        config = self._stage.config
        mask = np.zeros(config.num_steps, bool)
        for deed in self._deeds:
            if deed.action in ("scrape", "roll"):
                mover = self._stage.body[deed.held.name if deed.held is not None else deed.tool.name]
                if mover in bodies and self._stage.body[self._stage.scene.surface.name] in bodies:
                    end = min(deed.end if deed.action == "scrape" else deed.start + 0.8, config.seconds)
                    mask[round((deed.start + 0.02) / config.physics_step) : round(end / config.physics_step)] = True
        return mask

    def pour(self, deed: Deed) -> SoundEvent:
        """Return the event of a pour; its receiving vessel rings, its jug is the striker."""
        seconds = self._stage.config.seconds
        duration = min(deed.end, seconds) - deed.start
        vessel = deed.target
        rng = np.random.default_rng([vessel.seed, round(deed.start * 1000)])
        middle = min(
            int((deed.start + duration / 2) / self._stage.config.physics_step), self._stage.config.num_steps - 1
        )
        address = self._stage.state_of(vessel)
        point = self._stage.positions[middle, address : address + 3] + np.array([0, 0, vessel.half[2]], np.float32)
        seen = self._film.locate(point, deed.start + duration / 2, (self._stage.body[vessel.name],) * 2)
        return SoundEvent(
            time=deed.start, duration=duration, kind="pour", action="pour", material=vessel.material,
            striker=deed.tool.material, shape=vessel.shape, size=vessel.size, strength=float(rng.uniform(0.2, 1.0)),
            body_seed=vessel.seed, profile=_flow(duration, rng), on_screen=seen is not None, point=seen,
        )  # fmt: skip

    def impacts(self, impacts: list[Impact]) -> list[SoundEvent]:
        """Return one event per impact."""
        events = []
        for impact in impacts:
            time = impact.step * self._stage.config.physics_step
            deed = _deed_at(self._deeds, time)
            thing, striker = self._roles(impact.bodies, deed)
            by_tool = any(body in self._tools for body in impact.bodies)
            action = _action_of(deed, by_tool=by_tool, walking=self._stage.scene.walking)
            seen = self._film.locate(impact.point, time, impact.bodies)
            events.append(
                SoundEvent(
                    time=time, duration=0.0, kind="impact", action=action, material=thing.material, striker=striker,
                    shape=thing.shape, size=thing.size, strength=impact.impulse, body_seed=thing.seed,
                    on_screen=seen is not None, point=seen,
                )
            )  # fmt: skip
        return events


def _flow(duration: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the flow of a pour at 100 Hz: it swells, wavers and ebbs."""
    time = np.arange(max(1, round(duration * PROFILE_RATE))) / PROFILE_RATE
    flow = np.minimum(np.minimum(time / 0.15, (duration - time) / 0.25), 1) + 0.08 * np.sin(
        9 * time + rng.uniform(0, 6)
    )
    return (np.clip(flow, 0, None) / max(float(flow.max()), 1e-6)).astype(np.float32)


def hear(stage: Stage, film: Film, deeds: list[Deed]) -> list[SoundEvent]:
    """Return the events that the simulation's contacts caused."""
    step = stage.config.physics_step
    contacts = stage.contacts()
    listener = Listener(stage, film, deeds)
    scene = stage.scene
    static = frozenset(stage.body[t.name] for t in (scene.surface, scene.floor))
    tools = frozenset(stage.body[t.name] for t in scene.tools)
    sliding = np.zeros(stage.config.num_steps, bool)
    for deed in deeds:
        if deed.action == "scrape":
            sliding[round(deed.start / step) : round(min(deed.end, stage.config.seconds) / step)] = True
    apart, softest = (FOOTFALL_SECONDS, SOFTEST_STEP) if scene.walking else (MERGE_SECONDS, AUDIBLE_TOUCH)
    impacts: list[Impact] = []
    sustained: list[SoundEvent] = []
    for history in pair_histories(contacts, stage.config.num_steps):
        closing = listener.closing_speed(history.bodies)
        held = listener.held_against(history.bodies)
        for impact in find_impacts(history, contacts, step, apart=apart):
            slow = closing[max(impact.step - 6, 0) : impact.step + 2].max() < SLOWEST_IMPACT
            pushed = sliding[impact.step] and impact.impulse < LOUDEST_SHOVE and not tools & set(history.bodies)
            if not (slow or pushed or held[impact.step]) and impact.step * step > FIRST_EVENT:
                impacts.append(impact)
        sustained += _sustained(stage, film, history.bodies, history.force, sliding)
    pours = [listener.pour(deed) for deed in deeds if deed.action == "pour" and deed.start < stage.config.seconds]
    return (
        pours
        + listener.impacts(merge_impacts(impacts, static=static, tools=tools, softest_blow=softest, step_seconds=step))
        + sustained
    )


def _sustained(
    stage: Stage,
    film: Film,
    bodies: tuple[int, int],
    force: NDArray[np.float32],
    sliding: NDArray[np.bool_],
) -> list[SoundEvent]:
    """Return the scrapes and rolls of one pair: lasting contact with a body that travels."""
    scene, step = stage.scene, stage.config.physics_step
    things = {stage.body[t.name]: t for t in (*scene.objects, scene.surface, scene.floor)}
    tools = {stage.body[t.name]: t for t in scene.tools}
    surface = stage.body[scene.surface.name]
    if surface not in bodies:
        return []
    mover = bodies[0] if bodies[1] == surface else bodies[1]
    if mover not in things and mover not in tools:
        return []
    address = int(stage.model.jnt_qposadr[stage.model.body_jntadr[mover]])
    travel = np.diff(
        stage.positions[:, address : address + 2], axis=0, prepend=stage.positions[:1, address : address + 2]
    )
    speed = np.minimum(np.hypot(travel[:, 0], travel[:, 1]) / step, 3.0)
    speed = np.convolve(speed, np.ones(11) / 11, "same").astype(np.float32)
    touching = np.convolve(force > 0.02, np.ones(21) / 21, "same") > 0.5
    rolls = mover in things and things[mover].form in ("ball", "rod")
    intensity = np.where(touching, speed, 0).astype(np.float32)
    if not rolls:
        intensity = np.where(sliding, intensity, 0).astype(np.float32)
    events = []
    for start, end in sounding_spells(intensity, threshold=0.03, gap=round(PAUSE / step), shortest=round(0.12 / step)):
        by_tool = mover in tools
        ringing = scene.surface if by_tool or things[mover].material == "cloth" else things[mover]
        striker = (
            tools[mover].material
            if by_tool
            else (things[mover].material if ringing is scene.surface else scene.surface.material)
        )
        scraped = bool(sliding[start:end].mean() > 0.5)
        kind: Literal["scrape", "roll"] = "scrape" if scraped or not rolls else "roll"
        middle = stage.positions[(start + end) // 2, address : address + 3].astype(np.float32)
        if by_tool:
            middle[2] = 0.0
        seen = film.locate(middle, (start + end) / 2 * step, bodies)
        mean_force = float(np.clip(force[start:end], 0, 50).mean())
        events.append(
            SoundEvent(
                time=start * step, duration=(end - start) * step, kind=kind, action=kind, material=ringing.material,
                striker=striker, shape=ringing.shape, size=ringing.size,
                strength=mean_force * float(intensity[start:end].mean()), body_seed=ringing.seed,
                on_screen=seen is not None, point=seen,
                profile=profile_of(intensity[start:end], step),
            )
        )  # fmt: skip
    return events
