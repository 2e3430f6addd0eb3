"""How many threads child processes use, and how threads wait for each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What the linear algebra libraries read."""
SPIN_VARIABLE, POLICY_VARIABLE = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
_SPIN_COUNT = 10_000
"""Turns that a waiting thread goes round before it sleeps, some 0.2 ms."""


def wait_briefly() -> None:
    """Let threads that wait for each other sleep soon; to be called before torch is imported.

    GNU's OpenMP, which torch computes with on Linux, has them spin thirty times as long, as if no other program ran.
    Beside others that do, a waiting thread keeps the one that it waits for from the core. A user's own choice stays.
    """
    if POLICY_VARIABLE not in os.environ:
        os.environ.setdefault(SPIN_VARIABLE, str(_SPIN_COUNT))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let child processes use one thread for linear algebra: there is one process per core already."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
