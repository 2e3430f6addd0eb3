"""One take: a place is drawn, an actor improvises in it, physics runs, contacts become events, a camera looks on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foleykit.world.captions import narrate, pick
from foleykit.world.choreography import Deed, Director, Path, Segment
from foleykit.world.config import WorldConfig
from foleykit.world.contacts import (
    Contacts,
    Impact,
    find_impacts,
    merge_impacts,
    pair_histories,
    profile_of,
    sounding_spells,
)
from foleykit.world.render import Renderer, imitate_camera
from foleykit.world.scene import HOLD_LAG, PARKING_HEIGHT, Scene, Thing, Tool, draw_place, draw_scene
from foleykit.world.types import MATERIALS, Action, EventKind, Material, Shape, SoundEvent, Split, Take

SETTLING_SECONDS = 0.4
"""Objects come to rest for this long before the video starts."""
SLOWEST_IMPACT = 0.05
"""m/s; leaps of force between bodies that move slower are settling, not impacts."""
_ELBOW = np.array([-0.55, -0.42, 0.16])
"""Metres; where the forearm of a right-handed actor points back to."""


def quaternions(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 4) quaternions (w first) of Rz(yaw) Ry(pitch) Rx(roll) for (N, 3) angles."""
    cy, cp, cr = np.cos(angles / 2).T
    sy, sp, sr = np.sin(angles / 2).T
    return np.stack(
        [
            cy * cp * cr + sy * sp * sr,
            cy * cp * sr - sy * sp * cr,
            cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr,
        ],
        axis=1,
    )


def _rotated(quaternion: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 3): one vector (3,) turned by each quaternion (N, 4)."""
    w, axis = quaternion[:, :1], quaternion[:, 1:]
    twice = 2 * np.cross(axis, vector)
    return vector + w * twice + np.cross(axis, twice)


def tool_targets(path: Path, tool: Tool, step: float, previous: Path | None) -> tuple[Path, Path]:
    """Return the (N, 3) positions and (N, 4) quaternions that draw the tool along the path of its tip.

    A held tool trails its target; aiming ahead by the lag times the velocity lets the tool itself follow the path.
    """
    before = path[:1] if previous is None else previous[None]
    velocity = np.diff(np.concatenate([before, path]), axis=0) / step
    aimed = path + HOLD_LAG * velocity
    rotation = quaternions(aimed[:, 3:])
    return aimed[:, :3] - _rotated(rotation, np.array(tool.tip)), rotation


class Stage:
    """A compiled scene under physics; keeps every state and every contact."""

    def __init__(self, scene: Scene, config: WorldConfig) -> None:
        import mujoco

        self._mujoco = mujoco
        self.scene = scene
        self.config = config
        self.model = mujoco.MjModel.from_xml_string(scene.xml)
        self.data = mujoco.MjData(self.model)
        for name, picture in scene.pictures:
            texture = self.model.texture(name).id
            address = self.model.tex_adr[texture]
            self.model.tex_data[address : address + picture.size] = picture.ravel()
        self.body = {self.model.body(i).name: i for i in range(self.model.nbody)}
        self._slot = {tool.name: int(self.model.body(f"target_{tool.name}").mocapid[0]) for tool in scene.tools}
        self._dof = {
            name: (int(self.model.jnt_qposadr[j]), int(self.model.jnt_dofadr[j]))
            for name, b in self.body.items()
            if (j := int(self.model.body_jntadr[b])) >= 0
        }
        self._rays = np.array([1, 0, 0, 1, 0, 0], np.uint8)
        self._last_target: Path | None = None
        self._active: Tool | None = None
        self.count = -round(SETTLING_SECONDS / config.physics_step)
        num_steps = config.num_steps
        self.positions = np.zeros((num_steps, self.model.nq), np.float32)
        self.active_tool = np.zeros(num_steps, np.int16)
        self._rows: list[tuple[int, NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]] = []
        mujoco.mj_forward(self.model, self.data)

    @property
    def now(self) -> float:
        return self.count * self.config.physics_step

    def position(self, thing: Thing) -> NDArray[np.float64]:
        return self.data.xpos[self.body[thing.name]].copy()  # type: ignore[no-any-return]

    def axis(self, thing: Thing) -> NDArray[np.float64]:
        return self.data.xmat[self.body[thing.name]].reshape(3, 3)[:, 0].copy()  # type: ignore[no-any-return]

    def top(self, x: float, y: float) -> tuple[float, str]:
        geom = np.zeros(1, np.int32)
        origin, down = np.array([x, y, 1.0]), np.array([0.0, 0.0, -1.0])
        distance = self._mujoco.mj_ray(self.model, self.data, origin, down, self._rays, 1, -1, geom)
        if geom[0] < 0:
            return 0.0, "surface"
        return 1.0 - float(distance), self.model.body(self.model.geom_bodyid[geom[0]]).name

    def _grab(self, thing: Thing) -> None:
        """Bind a thing to the hand as they lie to each other now."""
        mujoco, model, data = self._mujoco, self.model, self.data
        equality = model.equality(f"grab_{thing.name}").id
        hand, body = self.body["hand"], self.body[thing.name]
        inverse = np.zeros(4)
        mujoco.mju_negQuat(inverse, data.xquat[hand])
        offset, turn = np.zeros(3), np.zeros(4)
        mujoco.mju_rotVecQuat(offset, data.xpos[body] - data.xpos[hand], inverse)
        mujoco.mju_mulQuat(turn, inverse, data.xquat[body])
        model.eq_data[equality, :3] = 0
        model.eq_data[equality, 3:6] = offset
        model.eq_data[equality, 6:10] = turn
        data.eq_active[equality] = 1
        data.qvel[self._dof[thing.name][1] + 2] += 1e-3  # wakes a sleeping body

    def _release(self, thing: Thing) -> None:
        self.data.eq_active[self.model.equality(f"grab_{thing.name}").id] = 0

    def _put(self, tool: Tool, position: NDArray[np.float64], rotation: NDArray[np.float64]) -> None:
        """Put a tool and its target at a pose, at rest."""
        address, dof = self._dof[tool.name]
        self.data.qpos[address : address + 3] = position
        self.data.qpos[address + 3 : address + 7] = rotation
        self.data.qvel[dof : dof + 6] = 0
        self.data.mocap_pos[self._slot[tool.name]] = position
        self.data.mocap_quat[self._slot[tool.name]] = rotation

    def _park(self, tool: Tool) -> None:
        away = np.array([0.0, self.scene.tools.index(tool), PARKING_HEIGHT])
        self._put(tool, away, np.array([1.0, 0, 0, 0]))

    def settle(self) -> None:
        """Let the objects come to rest before the video starts."""
        while self.count < 0:
            self._mujoco.mj_step(self.model, self.data)
            self.count += 1

    def run(self, segment: Segment) -> bool:
        """Play one stretch of movement; returns False when the video is over."""
        mujoco, model, data = self._mujoco, self.model, self.data
        tool, step = segment.tool, self.config.physics_step
        previous = None if segment.appear else self._last_target
        positions, rotations = tool_targets(segment.path, tool, step, previous)
        self._last_target = segment.path[-1]
        if self._active is not None and (segment.vanish or self._active is not tool):
            self._park(self._active)
        if segment.vanish:
            positions = np.repeat(self.data.mocap_pos[self._slot[tool.name]][None], len(positions), 0)
            rotations = np.repeat(self.data.mocap_quat[self._slot[tool.name]][None], len(positions), 0)
        elif segment.appear:
            self._put(tool, positions[0], rotations[0])
        self._active = tool
        if segment.release is not None:
            self._release(segment.release)
        if segment.grab is not None:
            self._grab(segment.grab)
        slot, index = self._slot[tool.name], self.scene.tools.index(tool)
        body_of = model.geom_bodyid
        for position, rotation in zip(positions, rotations, strict=True):
            if self.count >= self.config.num_steps:
                return False
            data.mocap_pos[slot] = position
            data.mocap_quat[slot] = rotation
            mujoco.mj_step(model, data)
            self.positions[self.count] = data.qpos
            self.active_tool[self.count] = index
            if data.ncon:
                contact = data.contact
                self._rows.append(
                    (self.count, body_of[contact.geom], data.efc_force[contact.efc_address], contact.pos.copy())
                )
            self.count += 1
        return True

    def activity(self, body: int, *, upright: bool, turning: bool) -> NDArray[np.float32]:
        """Return (num_steps,) how fast a free body moves, in m/s: its speed, only up and down when `upright`, plus its
        turning rate times 5 cm when `turning`."""
        address = self.model.jnt_qposadr[self.model.body_jntadr[body]]
        change = np.diff(
            self.positions[:, address : address + 7], axis=0, prepend=self.positions[:1, address : address + 7]
        )
        speed = np.abs(change[:, 2]) if upright else np.linalg.norm(change[:, :3], axis=1)
        if turning:
            speed = speed + 0.1 * np.linalg.norm(change[:, 3:], axis=1)
        return (speed / self.config.physics_step).astype(np.float32)

    def contacts(self) -> Contacts:
        """Return all contacts so far."""
        if not self._rows:
            empty = np.zeros(0, np.int32)
            return Contacts(step=empty, bodies=np.zeros((0, 2), np.int32), force=np.zeros(0, np.float32),
                            point=np.zeros((0, 3), np.float32))  # fmt: skip
        steps, bodies, forces, points = zip(*self._rows, strict=True)
        return Contacts(
            step=np.repeat(np.array(steps, np.int32), [len(b) for b in bodies]),
            bodies=np.sort(np.concatenate(bodies).astype(np.int32), axis=1),
            force=np.maximum(np.concatenate(forces), 0).astype(np.float32),
            point=np.concatenate(points).astype(np.float32),
        )


class CameraPath:
    """Where the camera is at any time: a focus, slow wandering, head bob and quick turns."""

    def __init__(self, scene: Scene, seconds: float, rng: np.random.Generator) -> None:
        style = scene.camera
        self._position, self._focus = np.array(style.position), np.array(style.focus)
        self._phase = rng.uniform(0, 2 * math.pi, (2, 3, 4))
        self._rate = np.array([0.11, 0.37, 1.3, 2.9]) * rng.uniform(0.7, 1.4, 4)
        self._share = np.array([1.6, 1.0, 0.35, 0.15])
        self._jitter = style.jitter
        self._turns: list[tuple[float, float, NDArray[np.float64]]] = []
        if style.quick_turns:
            for start in rng.uniform(0, seconds, rng.integers(1, 4)):
                aside = rng.uniform([-0.3, -0.4, -0.1], [0.3, 0.4, 0.15])
                self._turns.append((float(start), float(rng.uniform(0.5, 1.6)), aside))
        self._roll = rng.normal(0, 0.05)

    def at(self, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions (N, 3) and rotation matrices (N, 3, 3) whose columns are right, up and back."""
        angle = 2 * math.pi * times[:, None, None, None] * self._rate + self._phase
        wave = np.sin(angle) @ self._share * self._jitter
        position, focus = self._position + wave[:, 0], self._focus + 1.5 * wave[:, 1]
        for start, length, aside in self._turns:
            u = np.clip((times - start) / length, 0, 1)
            focus = focus + aside * (np.minimum(1.0, 3 * np.minimum(u, 1 - u)) ** 2)[:, None]
        back = position - focus
        back /= np.linalg.norm(back, axis=1, keepdims=True)
        right = np.cross([0, 0, 1.0], back)
        right /= np.linalg.norm(right, axis=1, keepdims=True)
        up = np.cross(back, right)
        c, s = math.cos(self._roll), math.sin(self._roll)
        return position, np.stack([c * right + s * up, c * up - s * right, back], axis=2)


class Film:
    """The recorded states as the camera sees them."""

    def __init__(self, stage: Stage, path: CameraPath) -> None:
        import mujoco

        self._mujoco = mujoco
        self._stage = stage
        self._path = path
        model = stage.model
        self._camera_slot = int(model.body("camera").mocapid[0])
        self._forearm_slot = int(model.body("forearm").mocapid[0])
        self._tool_state = [int(model.jnt_qposadr[model.body_jntadr[stage.body[t.name]]]) for t in stage.scene.tools]
        self._visible = np.array([1, 0, 1, 0, 0, 0], np.uint8)
        self._elbow = _ELBOW * (1, -1 if stage.scene.camera.left_handed else 1, 1)

    def show(self, time: float, camera: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
        """Set the model to its state at `time`, seen by a camera at (position (3,), rotation (3, 3))."""
        mujoco, stage, data = self._mujoco, self._stage, self._stage.data
        step = min(max(int(time / stage.config.physics_step), 0), stage.config.num_steps - 1)
        data.qpos[:] = stage.positions[step]
        data.mocap_pos[self._camera_slot] = camera[0]
        mujoco.mju_mat2Quat(data.mocap_quat[self._camera_slot], camera[1].ravel())
        address = self._tool_state[stage.active_tool[step]]
        self._pose_forearm(data.qpos[address : address + 3], data.qpos[address + 3 : address + 7])
        mujoco.mj_kinematics(stage.model, data)
        mujoco.mj_camlight(stage.model, data)

    def _pose_forearm(self, wrist: NDArray[np.float64], rotation: NDArray[np.float64]) -> None:
        """Lay the forearm from the wrist towards the elbow beside the camera."""
        along = np.zeros(3)
        self._mujoco.mju_rotVecQuat(along, np.array([1.0, 0.0, 0.0]), rotation)
        wrist = wrist - 0.05 * along
        towards = wrist - self._elbow
        forward = towards / max(float(np.linalg.norm(towards)), 1e-6) + 0.3 * along
        yaw = math.atan2(forward[1], forward[0])
        pitch = -math.atan2(forward[2], math.hypot(forward[0], forward[1]))
        data = self._stage.data
        data.mocap_pos[self._forearm_slot] = wrist
        cy, sy, cp, sp = math.cos(yaw / 2), math.sin(yaw / 2), math.cos(pitch / 2), math.sin(pitch / 2)
        data.mocap_quat[self._forearm_slot] = (cy * cp, -sy * sp, cy * sp, sy * cp)

    def sees(self, point: NDArray[np.float32], time: float, bodies: tuple[int, int]) -> bool:
        """Return whether a contact point is inside the picture and not hidden by anything but the actor's hand."""
        positions, rotations = self._path.at(np.array([time]))
        position, rotation = positions[0], rotations[0]
        self.show(time, (position, rotation))
        offset = point - position
        right, up, back = rotation.T @ offset
        height, width = self._stage.config.frame_size
        reach = math.tan(math.radians(self._stage.scene.camera.field_of_view / 2)) * 0.98
        if back >= 0 or abs(up) > -back * reach or abs(right) > -back * reach * width / height:
            return False
        distance = float(np.linalg.norm(offset))
        geom = np.zeros(1, np.int32)
        stage = self._stage
        hit = self._mujoco.mj_ray(stage.model, stage.data, position, offset / distance, self._visible, 1, -1, geom)
        return bool(geom[0] < 0 or hit > distance - 0.03 or stage.model.geom_bodyid[geom[0]] in bodies)

    def frames(self) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Return the pictures (T, H, W, 3) and their times (T,) in seconds."""
        stage, config, style = self._stage, self._stage.config, self._stage.scene.camera
        times = np.arange(config.num_video_frames) / config.video_fps
        native = np.round(times * style.native_fps) / style.native_fps
        cameras = list(zip(*self._path.at(native), strict=True))
        earlier = np.maximum(native - style.blur_shutter / style.native_fps, 0)
        earlier_cameras = list(zip(*self._path.at(earlier), strict=True))
        frames = np.empty((len(times), *config.frame_size, 3), np.uint8)
        with Renderer(stage.model, config) as renderer:
            for index, time in enumerate(native):
                if index and time == native[index - 1]:
                    frames[index] = frames[index - 1]
                    continue
                self.show(time, cameras[index])
                frames[index] = renderer.draw(stage.data)
                if style.blur_shutter:
                    self.show(earlier[index], earlier_cameras[index])
                    frames[index] = (frames[index].astype(np.uint16) + renderer.draw(stage.data)) >> 1
        return frames, times


def _deed_at(deeds: list[Deed], time: float) -> Deed | None:
    """Return the latest deed that had begun and was not long over at `time`."""
    for deed in reversed(deeds):
        if deed.start - 0.05 <= time:
            return deed if time <= deed.end + 0.6 else None
    return None


class Listener:
    """Names what the contacts of a finished simulation mean."""

    def __init__(self, stage: Stage, film: Film, deeds: list[Deed]) -> None:
        self._stage, self._film, self._deeds = stage, film, deeds
        scene = stage.scene
        self._things = {stage.body[thing.name]: thing for thing in (*scene.objects, scene.surface, scene.floor)}
        self._tools = {stage.body[tool.name]: tool for tool in scene.tools}
        self.movable = [stage.body[thing.name] for thing in (*scene.objects, *scene.tools)]

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
        """Return (num_steps,) True where this pair is rubbed together on purpose, so that its leaps of force are no blows."""
        config = self._stage.config
        mask = np.zeros(config.num_steps, bool)
        for deed in self._deeds:
            if deed.action in ("scrape", "roll"):
                mover = self._stage.body[deed.held.name if deed.held is not None else deed.tool.name]
                if mover in bodies and self._stage.body[self._stage.scene.surface.name] in bodies:
                    end = min(deed.end if deed.action == "scrape" else deed.start + 0.8, config.seconds)
                    mask[round((deed.start + 0.02) / config.physics_step) : round(end / config.physics_step)] = True
        return mask

    def impacts(self, impacts: list[Impact]) -> list[SoundEvent]:
        """Return one event per impact."""
        events = []
        for impact in impacts:
            time = impact.step * self._stage.config.physics_step
            deed = _deed_at(self._deeds, time)
            thing, striker = self._roles(impact.bodies, deed)
            by_tool = any(body in self._tools for body in impact.bodies)
            action: Action = deed.action if deed is not None else "drop"
            if action == "gesture":
                action = "hit"
            if not by_tool and action in ("hit", "hammer", "chop", "tap", "scrape"):
                action = "drop"
            events.append(
                SoundEvent(
                    time=time, duration=0.0, kind="impact", action=action, material=thing.material, striker=striker,
                    shape=thing.shape, size=thing.size, strength=impact.impulse, body_seed=thing.seed,
                    on_screen=self._film.sees(impact.point, time, impact.bodies),
                )
            )  # fmt: skip
        return events


def simulate(config: WorldConfig, *, seed: int, index: int, split: Split) -> Take:
    """Return the silent half of one long video: pictures and the events that should sound.

    The result depends on (config, seed, index, split) alone. Raises UsageError when no GL library can render.
    """
    rng = np.random.default_rng([seed, index, ("train", "valid", "test").index(split)])
    place, kind = draw_place(split, rng)
    scene = draw_scene(config, place, kind, rng)
    stage = Stage(scene, config)
    stage.settle()
    director = Director(scene, stage, rng, config.physics_step)
    for segment in director.script():
        if not stage.run(segment):
            break
    film = Film(stage, CameraPath(scene, config.seconds, rng))
    deeds = director.log.deeds
    events = _events(stage, film, deeds) + _off_screen(config.seconds, rng)
    frames, times = film.frames()
    frames = imitate_camera(frames, rng)
    return Take(
        place=place,
        seconds=config.seconds,
        frames=frames,
        frame_times=times,
        events=tuple(sorted(events, key=lambda e: e.time)),
        gestures=tuple((d.start, min(d.end, config.seconds)) for d in deeds if d.action == "gesture"),
        narrations=_narrations(scene, deeds, config.seconds, rng),
    )


def _events(stage: Stage, film: Film, deeds: list[Deed]) -> list[SoundEvent]:
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
    impacts: list[Impact] = []
    sustained: list[SoundEvent] = []
    for history in pair_histories(contacts, stage.config.num_steps):
        closing = listener.closing_speed(history.bodies)
        held = listener.held_against(history.bodies)
        for impact in find_impacts(history, contacts, step):
            slow = closing[max(impact.step - 6, 0) : impact.step + 2].max() < SLOWEST_IMPACT
            if not slow and not held[impact.step]:
                impacts.append(impact)
        sustained += _sustained(stage, film, deeds, history.bodies, history.force, sliding)
    return listener.impacts(merge_impacts(impacts, static=static, tools=tools, step_seconds=step)) + sustained


def _sustained(
    stage: Stage,
    film: Film,
    deeds: list[Deed],
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
    for start, end in sounding_spells(intensity, threshold=0.03, gap=round(0.06 / step), shortest=round(0.12 / step)):
        by_tool = mover in tools
        ringing = scene.surface if by_tool or things[mover].material == "cloth" else things[mover]
        striker = (
            tools[mover].material
            if by_tool
            else (things[mover].material if ringing is scene.surface else scene.surface.material)
        )
        scraped = bool(sliding[start:end].mean() > 0.5)
        kind: EventKind = "scrape" if scraped or not rolls else "roll"
        middle = stage.positions[(start + end) // 2, address : address + 3].astype(np.float32)
        if by_tool:
            middle[2] = 0.0
        mean_force = float(np.clip(force[start:end], 0, 50).mean())
        events.append(
            SoundEvent(
                time=start * step, duration=(end - start) * step, kind=kind, action=kind, material=ringing.material,
                striker=striker, shape=ringing.shape, size=ringing.size,
                strength=mean_force * float(intensity[start:end].mean()), body_seed=ringing.seed,
                on_screen=film.sees(middle, (start + end) / 2 * step, bodies),
                profile=profile_of(intensity[start:end], step),
            )
        )  # fmt: skip
    return events


def _off_screen(seconds: float, rng: np.random.Generator) -> list[SoundEvent]:
    """Return sounds that nothing in the picture causes: knocks, a distant clank, footsteps next door."""
    events: list[SoundEvent] = []
    if rng.random() < 0.5:
        return events
    for _ in range(rng.integers(1, 5)):
        start = rng.uniform(0, seconds)
        action: Action = ("hit", "step", "drop", "hammer")[rng.integers(4)]
        material = MATERIALS[rng.integers(len(MATERIALS))]
        shape: Shape = ("plate", "vessel", "bar", "block")[rng.integers(4)]
        count, gap = (int(rng.integers(2, 7)), rng.uniform(0.2, 0.6)) if action != "drop" else (1, 0.0)
        size, seed, strength = (
            float(rng.uniform(0.1, 1.0)),
            int(rng.integers(1 << 31)),
            float(np.exp(rng.uniform(-3.5, 0))),
        )
        striker = MATERIALS[rng.integers(len(MATERIALS))]
        for number in range(count):
            time = start + number * gap * rng.uniform(0.92, 1.08)
            if time < seconds:
                events.append(
                    SoundEvent(
                        time=float(time), duration=0.0, kind="impact", action=action, material=material, striker=striker,
                        shape=shape, size=size, strength=strength * float(rng.uniform(0.7, 1.3)), body_seed=seed, on_screen=False,
                    )
                )  # fmt: skip
    return events


def _narrations(
    scene: Scene, deeds: list[Deed], seconds: float, rng: np.random.Generator
) -> tuple[tuple[float, str], ...]:
    sentences = []
    for deed in deeds:
        if deed.start >= seconds:
            continue
        subject = deed.held if deed.held is not None else deed.target
        tool = None
        if deed.held is None and deed.tool.kind not in ("hand", "finger"):
            tool = f"a {pick((deed.tool.material + ' ', ''), rng)}{deed.tool.kind}"
        surface = scene.surface.noun if subject is not scene.surface else None
        sentence = narrate(
            deed.action, noun=subject.noun, material=subject.material, surface=surface, tool=tool, rng=rng
        )
        sentences.append((deed.start, sentence))
    return tuple(sentences)
