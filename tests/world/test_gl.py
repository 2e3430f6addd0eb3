"""Which GL library MuJoCo gets, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from foleykit.core.errors import ConfigError
from foleykit.world.gl import choose_gl_library


@pytest.mark.parametrize(("found", "chosen"), [({"OSMesa", "EGL"}, "osmesa"), ({"OSMesa"}, "osmesa"), ({"EGL"}, "egl")])
def test_a_library_that_is_there_is_chosen_and_osmesa_first(found, chosen):
    assert choose_gl_library({name: f"lib{name}.so" for name in found}.get) == chosen


def test_without_a_library_the_error_says_what_to_install():
    with pytest.raises(ConfigError, match=r"install libosmesa6 .*libegl1"):
        choose_gl_library({}.get)


def first_use(variable: str, *found: str) -> str:
    """Return what a fresh process ends with that renders where `found` is found: MUJOCO_GL, or the mistake."""
    code = f"""
import ctypes.util, os
ctypes.util.find_library = {{name: name for name in {found}}}.get
from foleykit.core.errors import ConfigError
from foleykit.world.config import WorldConfig
from foleykit.world.stream import make_take
try:
    make_take(WorldConfig(seconds=1.0, frame_size=(16, 16)), seed=0, index=0, split="train")
except ConfigError as error:
    print("ConfigError:", error)
else:
    print(os.environ["MUJOCO_GL"])
"""
    environment = {**os.environ, "MUJOCO_GL": variable}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere MuJoCo's own choice is kept")
@pytest.mark.skipif(find_spec("mujoco") is None, reason="the world needs MuJoCo: pip install 'foleykit[world]'")
def test_the_world_says_in_one_sentence_what_it_cannot_render_with():
    assert "neither libOSMesa nor libEGL is found" in first_use("")
    assert first_use("vulkan", "OSMesa", "EGL").startswith("ConfigError: the world needs a system GL library")
    # Where EGL itself is broken, it says so.
    assert first_use("", "EGL").startswith(("egl", "ConfigError:"))
