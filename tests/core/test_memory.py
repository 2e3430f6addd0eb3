"""Freed memory leaves the process."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

CODE = """
import sys
import numpy as np
from foleykit.core.memory import giving_back

def resident_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

heard = []
report = (lambda stage, share: heard.append((stage, share)))
if "return" in sys.argv:
    report = giving_back(report)
np.ones(30 * 2**20, np.uint8)
before = resident_mb()
blocks = [np.ones(3 * 2**20, np.uint8) for _ in range(32)]
del blocks[:-1]
report("look", 0.5)
assert heard == [("look", 0.5)]
print(resident_mb() - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="a part of the GNU C library"
)
def test_freed_blocks_below_one_in_use_are_returned() -> None:
    kept, returned = (
        float(subprocess.run([sys.executable, "-c", CODE, how], check=True, capture_output=True, text=True).stdout)
        for how in ("default", "return")
    )
    assert returned < 20 < 80 < kept
