"""What happens to a decoded frame before anyone sees it: weave fields apart, scale, turn upright, convert to RGB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from foleykit.video.info import Orientation
from foleykit.video.probe import exact

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_UNSPECIFIED_COLORSPACE = 2
_HD_HEIGHT = 720


def seconds_of(frame: VideoFrame) -> Fraction:
    """Return a frame's time stamp, which it must have, in seconds of the file's own clock."""
    assert frame.pts is not None
    return frame.pts * exact(frame.time_base)


class Scaler:
    """Turns decoded frames into small upright RGB pictures (H, W, 3), uint8, in one pass of swscale's area average."""

    def __init__(self, orientation: Orientation, size: tuple[int, int]) -> None:
        """Scale to `size` (H, W), counted after turning upright."""
        height, width = size
        self._orientation = orientation
        self._coded = (width, height) if orientation.transpose else (height, width)
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return the frame's picture (H, W, 3); alpha is dropped, more than 8 bits are rounded."""
        height, width = self._coded
        # Untagged pictures of HD size are BT.709 to every player, while swscale takes them for BT.601.
        is_untagged_hd = frame.colorspace == _UNSPECIFIED_COLORSPACE and frame.height >= _HD_HEIGHT
        small = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=Colorspace.ITU709 if is_untagged_hd else None,
            interpolation=Interpolation.AREA,
            threads=1,
        )
        return self._orientation.apply(np.asarray(small.to_ndarray(), np.uint8))


class Deinterlacer:
    """Passes progressive frames on and, from the first interlaced one, rebuilds full frames with FFmpeg's bwdif."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._key: tuple[int, int, str] | None = None

    def run(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """Yield one progressive frame per input frame, in order; each frame needs a time stamp."""
        for frame in frames:
            if self._graph is None and not frame.interlaced_frame:
                yield frame
                continue
            key = (frame.width, frame.height, frame.format.name)
            if key != self._key:
                yield from self._finish()
                self._graph, self._key = self._build(frame), key
            assert self._graph is not None
            self._graph.vpush(frame)
            yield from self._drain()
        yield from self._finish()

    @staticmethod
    def _build(frame: VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
        graph.configure()
        return graph

    def _drain(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield frame

    def _finish(self) -> Iterator[VideoFrame]:
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._drain()
            self._graph = None
