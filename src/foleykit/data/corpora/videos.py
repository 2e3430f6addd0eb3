"""Find the long videos of a corpus and place clips in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foleykit.core.errors import MediaError
from foleykit.data.manifest import Reason
from foleykit.data.spans import header_seconds


class ClipProblemError(Exception):
    """Why a row cannot become a clip; `scan` turns it into a rejection."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass
class VideoFolder:
    """The long videos below a folder, each looked at once."""

    root: Path
    known_seconds: Mapping[str, float] = field(default_factory=dict)
    """Lengths by path, where a table states them."""
    _seconds: dict[str, float | ClipProblemError] = field(default_factory=dict)

    def find(self, candidates: Iterable[str]) -> str:
        """Return the first of some relative paths that exists; raises ClipProblemError when none does."""
        tried = list(candidates)
        for path in tried:
            if (self.root / path).is_file():
                return path
        raise ClipProblemError("missing-file", f"{tried[0]} is not in {self.root}")

    def seconds(self, path: str) -> float:
        """Return the length that a video's header or a table states; raises ClipProblemError when it is no video."""
        if path in self.known_seconds:
            return self.known_seconds[path]
        if path not in self._seconds:
            try:
                self._seconds[path] = header_seconds(self.root / path)
            except MediaError as error:
                self._seconds[path] = ClipProblemError("corrupt-video", str(error))
        found = self._seconds[path]
        if isinstance(found, ClipProblemError):
            raise found
        return found


def clip_around(time: float, video_seconds: float, clip_seconds: float = 3.0) -> tuple[float, float]:
    """Return the span of `clip_seconds` around `time`, moved inside the video at either end.

    A video shorter than a clip gives a negative start, as the published script does; `checked_clip` refuses it.
    """
    start, end = time - clip_seconds / 2, time + clip_seconds / 2
    if start < 0:
        start, end = 0.0, clip_seconds
    if end > video_seconds:
        start, end = video_seconds - clip_seconds, video_seconds
    return start, end


def checked_clip(time: float, video_seconds: float, clip_seconds: float) -> tuple[float, float]:
    """Return `clip_around`; raises ClipProblemError for a time outside the video or a video shorter than a clip."""
    if not 0 <= time <= video_seconds:
        raise ClipProblemError("bad-time", f"{time:g} s is outside the video of {video_seconds:g} s")
    if video_seconds < clip_seconds:
        raise ClipProblemError("bad-time", f"the video of {video_seconds:g} s is shorter than a clip")
    return clip_around(time, video_seconds, clip_seconds)
