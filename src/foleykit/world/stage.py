"""A drawn scene under physics: plays the script and keeps every state and every contact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foleykit.world.config import WorldConfig
from foleykit.world.contacts import Contacts
from foleykit.world.gl import import_mujoco
from foleykit.world.parts import HOLD_LAG, PARKING_HEIGHT, Thing, Tool
from foleykit.world.scene import Scene
from foleykit.world.script import Path, Segment

SETTLING_SECONDS = 0.4
"""Objects come to rest for this long before the video starts."""


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
        self._mujoco = mujoco = import_mujoco()
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
        self._last_pose: dict[str, Path] = {}
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
        previous = None if segment.appear else self._last_pose.get(tool.name)
        positions, rotations = tool_targets(segment.path, tool, step, previous)
        self._last_pose[tool.name] = segment.path[-1]
        if self._active is not None and not self.scene.walking and (segment.vanish or self._active is not tool):
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

    def state_of(self, thing: Thing | Tool) -> int:
        """Return where in a row of `positions` the thing's position (3) and quaternion (4) stand."""
        return self._dof[thing.name][0]

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
