"""Threads that wait for each other leave the core to others, unless the user says otherwise."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from foleykit.core.threads import POLICY_VARIABLE, SPIN_VARIABLE, wait_briefly


def gnu_openmp_settings(**environment: str) -> dict[str, str]:
    """Return what GNU's OpenMP says that it was set to when a command had it loaded; nothing of another's."""
    ours = {name: value for name, value in os.environ.items() if name not in (SPIN_VARIABLE, POLICY_VARIABLE)}
    done = subprocess.run(
        [sys.executable, "-m", "foleykit", "doctor"],
        env=ours | {"OMP_DISPLAY_ENV": "VERBOSE"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(re.findall(r"(G?OMP_\w+) = '(.*)'", done.stderr))


def test_openmp_hears_of_it_before_it_is_loaded() -> None:
    settings = gnu_openmp_settings()
    if SPIN_VARIABLE not in settings:
        pytest.skip("torch does not compute with GNU's OpenMP here")
    assert settings[SPIN_VARIABLE] == "10000"
    assert gnu_openmp_settings(GOMP_SPINCOUNT="77")[SPIN_VARIABLE] == "77"


def test_a_policy_of_the_users_own_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POLICY_VARIABLE, "ACTIVE")
    monkeypatch.delenv(SPIN_VARIABLE, raising=False)
    wait_briefly()
    assert SPIN_VARIABLE not in os.environ
