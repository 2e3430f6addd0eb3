"""Pictures of a simulated world: the off-screen renderer, and what a real camera would add."""

from __future__ import annotations

import atexit
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foleykit.world.config import WorldConfig
from foleykit.world.gl import import_mujoco, no_gl_library

_contexts: dict[tuple[int, int, int], Any] = {}


def _free_contexts() -> None:
    for (process, _, _), context in _contexts.items():
        if process == os.getpid():
            context.free()
    _contexts.clear()


def _gl_context(height: int, width: int) -> Any:  # mujoco has no type hints for its GL contexts
    """Return this process's GL context of a size, created on first use and made current."""
    key = (os.getpid(), height, width)
    if key not in _contexts:
        mujoco = import_mujoco()
        try:
            context = mujoco.gl_context.GLContext(width, height)
        except (ImportError, AttributeError, RuntimeError, OSError) as error:
            raise no_gl_library(error) from error
        if not _contexts:
            atexit.register(_free_contexts)
        _contexts[key] = context
    _contexts[key].make_current()
    return _contexts[key]


class Renderer:
    """Draws the frames of one compiled model; use as a context manager so that GPU memory is given back."""

    def __init__(self, model: Any, config: WorldConfig) -> None:
        _gl_context(*config.frame_size)
        self._mujoco = mujoco = import_mujoco()
        self._model = model
        height, width = config.frame_size
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, 400)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(config.shadows)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._option = mujoco.MjvOption()
        self._option.geomgroup[3] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = 0
        self._viewport = mujoco.MjrRect(0, 0, width, height)
        self._shape = (height, width, 3)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.free()

    def draw(self, data: Any) -> NDArray[np.uint8]:
        """Return the picture (H, W, 3) of the state in `data`, whose positions must be up to date."""
        mujoco = self._mujoco
        picture = np.empty(self._shape, np.uint8)
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        mujoco.mjr_readPixels(picture, None, self._viewport, self._context)
        return picture[::-1]

    def surfaces(self, data: Any, of_geom: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """Return (size, size): the entry of `of_geom` (G,) for the geom that each cell's middle shows.

        The last entry of `of_geom` stands for cells that show no geom.
        """
        mujoco = self._mujoco
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 1
        picture = self.draw(data).astype(np.int32)
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = 0
        height, width, _ = self._shape
        rows, columns = ((np.arange(size) + 0.5) * (length / size) for length in (height, width))
        cells = picture[rows.astype(int)[:, None], columns.astype(int)]
        shown = cells @ np.array([1, 256, 65536]) - 1  # index into the drawn scene, -1 for none
        geoms = self._scene.geoms[: self._scene.ngeom]
        lookup = np.full(len(geoms) + 1, len(of_geom) - 1)
        for index, geom in enumerate(geoms):
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                lookup[index] = geom.objid
        return of_geom[lookup[shown]]


def imitate_camera(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return frames (T, H, W, 3) with one video's exposure, white balance, vignette, softness and sensor noise."""
    count, height, width, _ = frames.shape
    gamma, gain, balance = rng.uniform(0.75, 1.2), rng.uniform(0.75, 1.3), rng.uniform(0.88, 1.12, 3)
    table = (np.linspace(0, 1, 256) ** gamma * 255).astype(np.int16)
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shade = 1 - rng.uniform(0, 0.35) * (rows**2 + columns**2) / 2
    lens = np.round(shade[..., None] * gain * balance * 64).astype(np.int16)
    soft = rng.random() < 0.35
    noise_level = rng.choice([0.0, rng.uniform(1, 4), rng.uniform(4, 10)], p=[0.25, 0.5, 0.25])
    bank = rng.normal(0, noise_level, (4, height + 31, width + 31, 3)).astype(np.int16)
    picks = rng.integers(0, (4, 31, 31), (count, 3))
    out = np.empty_like(frames)
    for index in range(count):
        # 255 * 1.3 * 1.12 * 64 stays below 2**15.
        lit = table[frames[index]]
        lit *= lens
        lit >>= 6
        if soft:
            lit[1:-1] = (lit[:-2] + 2 * lit[1:-1] + lit[2:]) >> 2
            lit[:, 1:-1] = (lit[:, :-2] + 2 * lit[:, 1:-1] + lit[:, 2:]) >> 2
        if noise_level:
            which, down, right = picks[index]
            lit += bank[which, down : down + height, right : right + width]
        out[index] = np.clip(lit, 0, 255, out=lit)
    return out
