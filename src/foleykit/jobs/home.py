"""The folder in which foleykit keeps what a user fetched and made."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return foleykit's own folder: FOLEYKIT_HOME, or `foleykit` where programs of this user keep what they fetched."""
    if own := os.environ.get("FOLEYKIT_HOME"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "foleykit"
