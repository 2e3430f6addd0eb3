"""What a video file is: its true times, its upright picture and its sound, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class MediaLimits:
    """What is still read; anything larger is refused with one line instead of filling the memory."""

    max_pixels: int = 8192 * 8192
    """Pixels of one coded picture."""
    max_seconds: float = 4 * 3600.0
    """Length of the picture stream in seconds."""


DEFAULT_LIMITS = MediaLimits()


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """How a coded picture is turned upright: first transposed, then mirrored."""

    transpose: bool = False
    """Rows and columns change places."""
    flip_x: bool = False
    """Left and right change places, after the transposition."""
    flip_y: bool = False
    """Top and bottom change places, after the transposition."""

    @classmethod
    def from_matrix(cls, matrix: NDArray[np.int32]) -> Orientation:
        """Return the nearest of the eight orientations to a display matrix (9,) of an MP4 track; zeros mean upright."""
        a, b, c, d = (int(matrix[index]) for index in (0, 1, 3, 4))
        if max(abs(b), abs(c)) > max(abs(a), abs(d)):
            return cls(transpose=True, flip_x=c < 0, flip_y=b < 0)
        return cls(flip_x=a < 0, flip_y=d < 0)

    @property
    def rotation(self) -> int:
        """Degrees clockwise, 0, 90, 180 or 270; a mirrored picture reports the turn that follows its mirroring."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    @property
    def is_mirrored(self) -> bool:
        return self.flip_x ^ self.flip_y ^ self.transpose

    @property
    def matrix(self) -> tuple[int, ...]:
        """The display matrix (9,) of this orientation, in the fixed point of MP4 tracks."""
        x, y = (-1 if self.flip_x else 1) << 16, (-1 if self.flip_y else 1) << 16
        a, b, c, d = (0, y, x, 0) if self.transpose else (x, 0, 0, y)
        return (a, b, 0, c, d, 0, 0, 0, 1 << 30)

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the upright view of a coded `picture` (H, W, 3)."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """The sound track that belongs to the pictures."""

    codec: str
    sample_rate: int
    """As the header says; some codecs decode at twice this rate."""
    channels: int
    start: Fraction
    """Seconds from the first picture to the first sound; negative when the sound starts earlier."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """A video as its packets describe it: every time is counted from the first displayed picture."""

    path: Path
    container: str
    """`mp4`, `mov`, `3gp`, `matroska`, `webm`, or FFmpeg's name of any other format."""
    stream_index: int
    """Which stream of the file holds the pictures."""
    codec: str
    pixel_format: str
    width: int
    """Pixels, upright."""
    height: int
    """Pixels, upright."""
    orientation: Orientation
    time_base: Fraction
    """Seconds per tick of the picture stream's clock."""
    start_time: Fraction
    """Time stamp of the first displayed picture in the file's own clock, in seconds."""
    duration: Fraction
    """Seconds from the first displayed picture to the end of the last."""
    last_duration: Fraction
    """Seconds for which the last picture is shown."""
    promised_duration: Fraction
    """Seconds that the header announces; more than `duration` when the file was cut off."""
    num_frames: int
    """Displayed pictures in the file."""
    is_vfr: bool
    """The gaps between pictures differ by more than rounding."""
    is_interlaced: bool
    has_all_times: bool
    """Every packet says when its picture is shown, so that packets can be copied into other containers."""
    has_hidden_start: bool
    """Pictures before the first displayed one are needed to decode it (an edit list hides them)."""
    has_hidden_end: bool
    """An edit list cuts the last picture short, or hides pictures after it."""
    audio: AudioInfo | None
    """None when there is no sound or when it cannot be read."""
    audio_problem: str = ""
    """Why an existing sound track cannot be read."""

    @property
    def has_audio(self) -> bool:
        return self.audio is not None

    @property
    def average_fps(self) -> float:
        return float(self.num_frames / self.duration)

    @property
    def nominal_fps(self) -> Fraction:
        """The rate for containers that store a rate instead of the last picture's duration, so that the end stays."""
        return (1 / self.last_duration if self.is_vfr else self.num_frames / self.duration).limit_denominator(1001)

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which the coded picture is turned to stand upright."""
        return self.orientation.rotation
