"""Time spent in each stage of a job, read off its progress reports."""

from __future__ import annotations

import time

from foleykit.core.progress import Report


class StageClock:
    """A `Report` that passes everything on and adds up the seconds between reports, stage by stage."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._current: str | None = None
        self._since = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, fraction: float) -> None:
        self._turn(stage)
        self._report(stage, fraction)

    def timings(self) -> dict[str, float]:
        """Return seconds by stage so far, to the millisecond, in order of appearance."""
        self._turn(self._current)
        return {stage: round(seconds, 3) for stage, seconds in self._seconds.items()}

    def _turn(self, stage: str | None) -> None:
        now = time.perf_counter()
        if self._current is not None:
            self._seconds[self._current] = self._seconds.get(self._current, 0.0) + now - self._since
        self._current, self._since = stage, now
