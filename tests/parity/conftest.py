"""Writes the table of largest errors where FOLEYKIT_PARITY_TABLE names a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    from parity.fixtures import RESULTS

    target = os.environ.get("FOLEYKIT_PARITY_TABLE")
    if target and RESULTS:
        rows = [f"| {what} | {error:.1e} | {tolerance:.0e} |" for what, (error, tolerance) in sorted(RESULTS.items())]
        Path(target).write_text("\n".join(["| output | largest error | tolerance |", "|---|---|---|", *rows]) + "\n")
