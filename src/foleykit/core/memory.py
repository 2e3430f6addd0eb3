"""What the C library does with memory that is no longer needed."""

from __future__ import annotations

import ctypes
import sys

_M_MMAP_THRESHOLD = -3
"""From glibc's malloc.h."""
_LARGE_BYTES = 2**20


def return_large_blocks() -> None:
    """Let this process give memory blocks of 1 MB and more back to the system when they are freed, on Linux with glibc.

    By default glibc raises this bound to the largest block freed so far, up to 32 MB. The networks' activations then
    fragment its heap, which grows with every chunk of a long video although as much is in use as for a short one.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
