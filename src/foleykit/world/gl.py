"""MuJoCo, imported with a GL library that draws without a display."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from ctypes.util import find_library
from typing import Any, Literal

from foleykit.core.errors import ConfigError

_NEEDED = (
    "the world needs a system GL library to render without a display; install libosmesa6 (Debian) or set "
    "MUJOCO_GL=egl with libegl1 installed"
)


def choose_gl_library(find: Callable[[str], str | None] = find_library) -> Literal["osmesa", "egl"]:
    """Return the value of MUJOCO_GL for the first of OSMesa and EGL that `find` finds; ConfigError if neither."""
    if find("OSMesa"):
        return "osmesa"
    if find("EGL"):
        return "egl"
    raise ConfigError(f"{_NEEDED} (neither libOSMesa nor libEGL is found)")


def import_mujoco() -> Any:  # mujoco has no type hints
    """Return the module mujoco, with the GL library that MUJOCO_GL names or else one that is there.

    Raises ConfigError when MuJoCo or a GL library is missing.
    """
    # MuJoCo chooses its GL library when it is first imported, and its own default on Linux needs a display.
    if sys.platform == "linux" and not os.environ.get("MUJOCO_GL"):
        os.environ["MUJOCO_GL"] = choose_gl_library()
    try:
        import mujoco
        import mujoco.gl_context
    except ModuleNotFoundError as error:
        raise ConfigError("the world needs MuJoCo: pip install 'foleykit[world]'") from error
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise no_gl_library(error) from error
    return mujoco


def no_gl_library(error: Exception) -> ConfigError:
    """Return the error that says what to install, and how MuJoCo or the GL library itself put it."""
    return ConfigError(f"{_NEEDED} ({type(error).__name__}: {error})")
