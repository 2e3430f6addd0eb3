"""foleykit gives a video the sound it should have.

`foleykit.load(name)` returns a pipeline: frames in, a `Soundtrack` out. Nothing heavy is imported until it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foleykit.jobs.load import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> object:
    if name == "load":
        from foleykit.jobs.load import load

        return load
    raise AttributeError(f"module 'foleykit' has no attribute {name!r}")
