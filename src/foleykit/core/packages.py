"""Optional libraries, asked for in words."""

from __future__ import annotations

import importlib.util

from foleykit.core.errors import ModelError


def check_published(package: str, networks: str) -> None:
    """Raise ModelError unless the library that holds these published networks is installed."""
    if importlib.util.find_spec(package) is None:
        raise ModelError(f"{networks} needs the package {package}: pip install 'foleykit[published]'")
