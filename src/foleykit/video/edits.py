"""End the edit list of an MP4 picture track where the source ended it: FFmpeg's writer can hide a start, but no end."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

_VIDEO_HANDLER = int.from_bytes(b"vide", "big")


@dataclass(frozen=True, kw_only=True)
class _Box:
    kind: bytes
    start: int
    """First byte of the payload."""
    end: int


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between two positions (ISO/IEC 14496-12, section 4.2)."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            size, header = struct.unpack(">Q", file.read(8))[0], 16
        stop = end if size == 0 else start + size
        if stop < start + header:
            return
        yield _Box(kind=kind, start=start + header, end=min(stop, end))
        start = stop


def _find(file: BinaryIO, parent: _Box, *path: bytes) -> _Box | None:
    for kind in path:
        inner = next((box for box in _boxes(file, parent.start, parent.end) if box.kind == kind), None)
        if inner is None:
            return None
        parent = inner
    return parent


def _read(file: BinaryIO, position: int, code: str) -> int:
    file.seek(position)
    return int(struct.unpack(code, file.read(struct.calcsize(code)))[0])


def _write(file: BinaryIO, position: int, code: str, value: int) -> None:
    file.seek(position)
    file.write(struct.pack(code, value))


def trim_edit_list(path: Path, duration: Fraction) -> None:
    """Make the last edit of the picture track in the MP4 file `path` end after `duration` seconds, where it is longer.

    A file without an edit list, or one that ends in time, stays as it is.
    """
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        moov = _find(file, _Box(kind=b"file", start=0, end=size), b"moov")
        if moov is None:
            return
        header = _find(file, moov, b"mvhd")
        if header is None:
            return
        is_long = _read(file, header.start, ">B") == 1
        clock = _read(file, header.start + (20 if is_long else 12), ">I")
        for track in [box for box in _boxes(file, moov.start, moov.end) if box.kind == b"trak"]:
            handler = _find(file, track, b"mdia", b"hdlr")
            edits = _find(file, track, b"edts", b"elst")
            if handler is not None and edits is not None and _read(file, handler.start + 8, ">I") == _VIDEO_HANDLER:
                _trim(file, track, edits, round(duration * clock))


def _trim(file: BinaryIO, track: _Box, edits: _Box, ticks: int) -> None:
    """Shorten the last entry of an edit list, and the length in the track's header, so that the edits last `ticks`."""
    is_long = _read(file, edits.start, ">B") == 1
    code, entry_size = (">Q", 20) if is_long else (">I", 12)
    count = _read(file, edits.start + 4, ">I")
    entries = [edits.start + 8 + entry_size * index for index in range(count)]
    lengths = [_read(file, entry, code) for entry in entries]
    if not entries or sum(lengths) <= ticks or sum(lengths[:-1]) >= ticks:
        return
    _write(file, entries[-1], code, ticks - sum(lengths[:-1]))
    header = _find(file, track, b"tkhd")
    if header is not None:
        is_long = _read(file, header.start, ">B") == 1
        _write(file, header.start + (28 if is_long else 20), ">Q" if is_long else ">I", ticks)
