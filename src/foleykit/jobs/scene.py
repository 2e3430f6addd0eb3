"""A video as a model sees it: what was read of a span of it, and on which clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foleykit.core.progress import Report
from foleykit.core.ranges import Stretch
from foleykit.core.types import VideoFeatures
from foleykit.models.events import SeenEvent
from foleykit.models.textvideo.pipeline import VideoFeatures as TextVideoFeatures
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader
from foleykit.video.quality import QualityReport
from foleykit.video.shots import ShotDetector

Ranged = TypeVar("Ranged", bound=Stretch)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A video as a model sees it."""

    info: VideoInfo
    start: Fraction
    """Second from which there is new sound."""
    end: Fraction
    """Second up to which there is new sound."""
    features: VideoFeatures | TextVideoFeatures
    shots: tuple[float, ...] = ()
    """Seconds from `start` at which the picture cuts to another shot."""
    quality: QualityReport | None = None
    """What in the pictures makes the sound hard to guess."""

    @property
    def frame_features(self) -> VideoFeatures:
        """The features, of a model that has them frame by frame."""
        assert isinstance(self.features, VideoFeatures)
        return self.features

    def on_clock(self, ranges: tuple[Ranged, ...]) -> tuple[Ranged, ...]:
        """Return `ranges` of the video on the clock of the new sound."""
        start = float(self.start)
        return tuple(replace(one, start=one.start - start, end=one.end - start) for one in ranges)

    def heard(self, events: tuple[SeenEvent, ...]) -> tuple[SeenEvent, ...]:
        """Return a video's `events`, all of them in the new sound, on its clock."""
        return tuple(replace(event, time=event.time - float(self.start)) for event in events)


class Watch:
    """Hears of every chunk of frames that passes: where shots begin, and how much is done."""

    def __init__(self, fps: float, report: Report, num_frames: int) -> None:
        self._detector = ShotDetector(fps)
        self._report = report
        self._num_frames = num_frames
        self._done = 0
        self.shots: list[float] = []

    def passing(self, chunks: VideoReader, *, is_cut: bool = True) -> Iterator[NDArray[np.uint8]]:
        """Yield `chunks`; of two streams of one video, one is looked at for cuts."""
        for chunk in chunks:
            if is_cut:
                self.shots.extend(self._detector.update(chunk))
            yield chunk
            self._done += len(chunk)
            self._report("look", min(1.0, self._done / self._num_frames))
