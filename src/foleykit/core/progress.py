"""How long work tells its caller where it is."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, float], None]
"""Called as work proceeds with the name of the stage and the share of it that is done, 0 to 1."""


def no_report(stage: str, fraction: float) -> None:
    """Ignore progress."""
