"""Cut many spans out of a long video in one pass over its file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import MediaError
from foleykit.data.manifest import Reason
from foleykit.data.span_pictures import SeenSpan, SpanPictures
from foleykit.data.span_sound import HeardSpan, SpanSound
from foleykit.data.span_types import CutConfig, Span
from foleykit.video.probe import exact, open_media, packets_of, picture_stream, sound_stream


@dataclass(frozen=True, kw_only=True)
class CutSpan:
    """One span as it came out of the pass."""

    key: str
    waveform: NDArray[np.float32]
    """(S,) mono; (0,) for a video without sound."""
    movie: bytes
    """An mp4 of the pictures alone; empty when only the sound was asked for, or when the span was refused."""
    num_frames: int
    missing_sound: float
    """Seconds of `waveform` for which the track held nothing."""
    problem: Reason | None = None
    detail: str = ""


def header_seconds(path: Path) -> float:
    """Return how long the header says that a video is; raises MediaError when it is no video or does not say."""
    with open_media(path) as container:
        stream = picture_stream(container, path)
        if stream.duration and stream.time_base:
            return float(stream.duration * exact(stream.time_base))
        if container.duration:
            return container.duration / av.time_base
    raise MediaError(f"{path} does not say how long it is")


def cut_spans(
    path: Path, spans: Sequence[Span], config: CutConfig = CutConfig(), *, with_pictures: bool = True
) -> Iterator[CutSpan]:
    """Yield every span, in order of its start, from one pass over `path` that ends after the last of them.

    A picture belongs to a span from the one on show at its start to the last that appears before its end; its time
    stays true. Spans may overlap. A span of which too much is missing is yielded with its `problem`, never filled up.
    Memory holds the spans that are open at one moment. Raises MediaError when the file is no video at all.
    """
    ordered = sorted(spans, key=lambda span: (span.start, span.end, span.key))
    with open_media(path) as container:
        stream = picture_stream(container, path)
        sound, problem = sound_stream(container)
        if sound is None:
            detail = problem or "the file has no sound track"
            yield from (_refused(span, "no-sound", detail) for span in ordered)
            return
        begins = stream.start_time if stream.start_time is not None else 0
        ears = SpanSound(path, ordered, config, begins * exact(stream.time_base))
        eyes = SpanPictures(ordered, config, stream) if with_pictures else None
        if eyes is None:
            stream.discard = av.stream.Discard.all
        waiting = deque(zip(ears.spans, eyes.spans if eyes else [None] * len(ordered), strict=True))
        for packet in packets_of(container, *([stream, sound] if eyes else [sound])):
            if packet.stream_index == stream.index:
                if eyes:
                    eyes.take(packet)
            else:
                ears.take(packet)  # type: ignore[arg-type]
            while waiting and waiting[0][0].is_done and (waiting[0][1] is None or waiting[0][1].is_done):
                yield _result(*waiting.popleft(), config)
            if not waiting:
                return
        ears.finish()
        if eyes:
            eyes.finish()
        for heard, seen in waiting:
            yield _result(heard, seen, config)


def _refused(span: Span, reason: Reason, detail: str) -> CutSpan:
    return CutSpan(
        key=span.key, waveform=np.zeros(0, np.float32), movie=b"", num_frames=0,
        missing_sound=span.end - span.start, problem=reason, detail=detail,
    )  # fmt: skip


def _result(heard: HeardSpan, seen: SeenSpan | None, config: CutConfig) -> CutSpan:
    problem: Reason | None = None
    detail = ""
    if heard.missing > config.max_missing_sound:
        problem, detail = "sound-missing", f"{heard.missing:.2f} s of its sound are not in the file"
    elif seen is not None and seen.problem:
        problem, detail = "pictures-missing", seen.problem
    return CutSpan(
        key=heard.span.key,
        waveform=heard.waveform,
        movie=b"" if seen is None or problem else seen.movie,
        num_frames=0 if seen is None else seen.num_frames,
        missing_sound=round(heard.missing, 6),
        problem=problem,
        detail=detail,
    )
