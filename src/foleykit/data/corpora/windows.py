"""Cover a video that nobody annotated with clips."""

from __future__ import annotations


def windows_of(video_seconds: float, clip_seconds: float, stride_seconds: float) -> list[tuple[float, float]]:
    """Return spans of `clip_seconds` that start every `stride_seconds` and end inside the video."""
    count = int((video_seconds - clip_seconds) / stride_seconds + 1e-6) + 1 if video_seconds >= clip_seconds else 0
    return [(index * stride_seconds, index * stride_seconds + clip_seconds) for index in range(count)]
