"""The camera's path and the pictures of what the stage recorded."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from foleykit.world.parts import NUM_DROPS, PARKING_HEIGHT, STREAM_LENGTH
from foleykit.world.render import Renderer
from foleykit.world.script import Deed
from foleykit.world.stage import Stage
from foleykit.world.types import SURFACES

ACTOR_GROUP, HIDDEN_GROUP = 1, 3
"""MuJoCo geom groups: the actor's and what is never drawn."""
_ELBOW = np.array([-0.55, -0.42, 0.16])
"""Metres; where the forearm of a right-handed actor points back to."""


class CameraPath:
    """Where the camera is at any time: a focus, slow wandering, head bob and quick turns."""

    def __init__(self, stage: Stage, rng: np.random.Generator) -> None:
        style, seconds = stage.scene.camera, stage.config.seconds
        self._step = stage.config.physics_step
        self._advance = self._walked(stage) if stage.scene.walking else None
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

    @staticmethod
    def _walked(stage: Stage) -> NDArray[np.float64]:
        """Return (num_steps,) how far the walker's head has come, a smooth follower of both feet."""
        feet = [stage.positions[:, stage.state_of(shoe)].astype(np.float64) for shoe in stage.scene.tools]
        middle = np.mean(feet, axis=0)
        width = max(1, round(0.6 / stage.config.physics_step))
        padded = np.concatenate([np.full(width // 2, middle[0]), middle, np.full(width - width // 2 - 1, middle[-1])])
        return np.convolve(padded, np.ones(width) / width, "valid") - middle[0]

    def at(self, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions (N, 3) and rotation matrices (N, 3, 3) whose columns are right, up and back."""
        angle = 2 * math.pi * times[:, None, None, None] * self._rate + self._phase
        wave = np.sin(angle) @ self._share * self._jitter
        position, focus = self._position + wave[:, 0], self._focus + 1.5 * wave[:, 1]
        for start, length, aside in self._turns:
            u = np.clip((times - start) / length, 0, 1)
            focus = focus + aside * (np.minimum(1.0, 3 * np.minimum(u, 1 - u)) ** 2)[:, None]
        if self._advance is not None:
            steps = np.clip((times / self._step).astype(int), 0, len(self._advance) - 1)
            ahead = self._advance[steps][:, None] * np.array([1.0, 0.0, 0.0])
            position, focus = position + ahead, focus + ahead
        back = position - focus
        back /= np.linalg.norm(back, axis=1, keepdims=True)
        right = np.cross([0, 0, 1.0], back)
        right /= np.linalg.norm(right, axis=1, keepdims=True)
        up = np.cross(back, right)
        c, s = math.cos(self._roll), math.sin(self._roll)
        return position, np.stack([c * right + s * up, c * up - s * right, back], axis=2)


class Film:
    """The recorded states as the camera sees them."""

    def __init__(self, stage: Stage, path: CameraPath, deeds: list[Deed]) -> None:
        import mujoco

        self._mujoco = mujoco
        self._stage = stage
        self._path = path
        model = stage.model
        self._camera_slot = int(model.body("camera").mocapid[0])
        self._forearm_slot = int(model.body("forearm").mocapid[0])
        self._distractors = [(int(model.body(d.name).mocapid[0]), d) for d in stage.scene.distractors]
        self._sources = [(int(model.body(part.name).mocapid[0]), part) for part in stage.scene.sources]
        self._pours = [deed for deed in deeds if deed.action == "pour"]
        self._handling = [deed for deed in deeds if deed.held is not None]
        self._stream = [
            int(model.body(name).mocapid[0])
            for name in ("stream", *(f"drop{n}" for n in range(NUM_DROPS)))
            if self._pours and name in stage.body
        ]
        self._tool_state = [int(model.jnt_qposadr[model.body_jntadr[stage.body[t.name]]]) for t in stage.scene.tools]
        self._tool_geoms = [np.flatnonzero(model.geom_bodyid == stage.body[t.name]) for t in stage.scene.tools]
        self._shown: int | None = None
        self._tools = {stage.body[tool.name] for tool in stage.scene.tools}
        self._hiding = np.array([1, 1, 1, 0, 0, 0], np.uint8)
        self._hiding_blows = np.array([1, 0, 1, 0, 0, 0], np.uint8)
        self._elbow = _ELBOW * (1, -1 if stage.scene.camera.left_handed else 1, 1)

    def show(self, time: float, camera: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
        """Set the model to its state at `time`, seen by a camera at (position (3,), rotation (3, 3))."""
        mujoco, stage, data = self._mujoco, self._stage, self._stage.data
        step = min(max(int(time / stage.config.physics_step), 0), stage.config.num_steps - 1)
        data.qpos[:] = stage.positions[step]
        data.mocap_pos[self._camera_slot] = camera[0]
        mujoco.mju_mat2Quat(data.mocap_quat[self._camera_slot], camera[1].ravel())
        for slot, distractor in self._distractors:
            swing = math.sin(2 * math.pi * distractor.rate * time + distractor.phase)
            data.mocap_pos[slot] = [c + swing * s for c, s in zip(distractor.centre, distractor.sweep, strict=True)]
        for slot, part in self._sources:
            data.mocap_pos[slot], data.mocap_quat[slot] = part.pose(time)
        if self._stream:
            self._pose_stream(time, step)
        if not stage.scene.walking:
            address = self._tool_state[stage.active_tool[step]]
            self._show_tool(int(stage.active_tool[step]) if data.qpos[address + 2] < PARKING_HEIGHT / 2 else -1)
            self._pose_forearm(data.qpos[address : address + 3], data.qpos[address + 3 : address + 7])
        mujoco.mj_kinematics(stage.model, data)
        mujoco.mj_camlight(stage.model, data)

    def _show_tool(self, index: int) -> None:
        """Hide every tool but one, so that the renderer does not spend time on what waits out of sight."""
        if index != self._shown:
            self._shown = index
            for number, geoms in enumerate(self._tool_geoms):
                self._stage.model.geom_group[geoms] = ACTOR_GROUP if number == index else HIDDEN_GROUP

    def _pose_stream(self, time: float, step: int) -> None:
        """Let liquid fall from the jug's spout while it pours."""
        data, stage = self._stage.data, self._stage
        data.mocap_pos[self._stream, 2] = PARKING_HEIGHT
        for deed in self._pours:
            if deed.start <= time < deed.end:
                address = stage.state_of(deed.tool)
                spout = np.zeros(3)
                self._mujoco.mju_rotVecQuat(
                    spout, np.array(deed.tool.tip), stage.positions[step, address + 3 : address + 7].astype(np.float64)
                )
                spout += stage.positions[step, address : address + 3]
                data.mocap_pos[self._stream[0]] = spout
                for number, slot in enumerate(self._stream[1:]):
                    fallen = (2.3 * time + number / NUM_DROPS) % 1.0
                    sway = 0.008 * math.sin(41 * time + 2.4 * number)
                    data.mocap_pos[slot] = spout + np.array([sway, sway, -STREAM_LENGTH * fallen**1.5])

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

    def locate(self, point: NDArray[np.float32], time: float, bodies: tuple[int, int]) -> tuple[float, float] | None:
        """Return where in the picture (right, down; 0 to 1) a contact point is seen.

        None when it is outside, or hidden. The actor's own arm hides no blow of its tool and nothing that the thing in
        its hand does: where that stops is plain to see. It hides what other bodies do behind it.
        """
        positions, rotations = self._path.at(np.array([time]))
        position, rotation = positions[0], rotations[0]
        self.show(time, (position, rotation))
        offset = point - position
        right, up, back = rotation.T @ offset
        height, width = self._stage.config.frame_size
        reach = math.tan(math.radians(self._stage.scene.camera.field_of_view / 2)) * 0.98
        if back >= 0 or abs(up) > -back * reach or abs(right) > -back * reach * width / height:
            return None
        distance = float(np.linalg.norm(offset))
        geom = np.zeros(1, np.int32)
        stage = self._stage
        hiding = self._hiding_blows if self._handled(time) & set(bodies) else self._hiding
        hit = self._mujoco.mj_ray(stage.model, stage.data, position, offset / distance, hiding, 1, -1, geom)
        if geom[0] >= 0 and hit <= distance - 0.03 and stage.model.geom_bodyid[geom[0]] not in bodies:
            return None
        edge = -back * math.tan(math.radians(stage.scene.camera.field_of_view / 2))
        return float(0.5 + 0.5 * right / (edge * width / height)), float(0.5 - 0.5 * up / edge)

    def _handled(self, time: float) -> set[int]:
        """Return the bodies that the actor strikes with, holds or has just let go: arm and hand show where they are."""
        held = (deed.held for deed in self._handling if deed.start <= time <= deed.end)
        return self._tools | {self._stage.body[thing.name] for thing in held if thing is not None}

    def _surface_of_geom(self) -> NDArray[np.uint8]:
        """Return (G + 1,) the index into SURFACES of every geom; the last is for cells that show none."""
        stage, model = self._stage, self._stage.model
        surfaces = np.full(model.ngeom + 1, SURFACES.index("background"), np.uint8)
        actor = [stage.body[tool.name] for tool in stage.scene.tools] + [stage.body["forearm"]]
        surfaces[:-1][np.isin(model.geom_bodyid, actor)] = SURFACES.index("actor")
        for thing in (stage.scene.surface, *stage.scene.objects):
            surfaces[:-1][model.geom_bodyid == stage.body[thing.name]] = SURFACES.index(thing.material)
        return surfaces

    def frames(self) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.uint8]]:
        """Return the pictures (T, H, W, 3), their times (T,) in seconds and the surface maps (M, C, C)."""
        stage, config, style = self._stage, self._stage.config, self._stage.scene.camera
        times = np.arange(config.num_video_frames) / config.video_fps
        native = np.round(times * style.native_fps) / style.native_fps
        cameras = list(zip(*self._path.at(native), strict=True))
        earlier = np.maximum(native - style.blur_shutter / style.native_fps, 0)
        earlier_cameras = list(zip(*self._path.at(earlier), strict=True))
        frames = np.empty((len(times), *config.frame_size, 3), np.uint8)
        maps: list[NDArray[np.uint8]] = []
        surface_of_geom = self._surface_of_geom()
        with Renderer(stage.model, config) as renderer:
            for index, time in enumerate(native):
                has_map = index % config.map_stride == config.map_stride // 2
                is_repeated = bool(index) and time == native[index - 1]
                if is_repeated:
                    frames[index] = frames[index - 1]
                if has_map or not is_repeated:
                    self.show(time, cameras[index])
                if has_map:
                    maps.append(renderer.surfaces(stage.data, surface_of_geom, config.map_size))
                if is_repeated:
                    continue
                frames[index] = renderer.draw(stage.data)
                if style.blur_shutter:
                    self.show(earlier[index], earlier_cameras[index])
                    frames[index] = (frames[index].astype(np.uint16) + renderer.draw(stage.data)) >> 1
        return frames, times, np.array(maps, np.uint8).reshape(-1, config.map_size, config.map_size)
