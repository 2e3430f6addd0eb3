"""What the C library does with memory that is no longer needed."""

from __future__ import annotations

import ctypes
import sys

from foleykit.core.progress import Report

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""
_LARGE_BYTES = 2**22


def giving_back(report: Report) -> Report:
    """Return `report`, at each call of which this process gives freed memory back to the system, on Linux with glibc.

    Blocks of less than 4 MB are kept in between and used again, since new pages cost more than what is done with them;
    larger ones go back at once. By default glibc raises that bound to the largest block freed so far, up to 32 MB, and
    gives back the end of its heap only. The networks' activations then fragment it, and it grows with every chunk of a
    long video although as much is in use as for a short one.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "malloc_trim"):
        return report
    library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    library.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)

    def trimmed(stage: str, fraction: float) -> None:
        library.malloc_trim(0)
        report(stage, fraction)

    return trimmed
