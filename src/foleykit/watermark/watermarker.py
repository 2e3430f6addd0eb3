"""What marks and finds again, whatever the mark is made of: our own, which needs no network, or another's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foleykit.core.signals import Signal
from foleykit.watermark.code import PUBLIC_KEY
from foleykit.watermark.detection import SPEED_RANGE, Detection, detect_parts
from foleykit.watermark.embedding import Marked, embed

PUBLIC = "public"


class Watermarker(Protocol):
    """One way of marking sound."""

    @property
    def name(self) -> str:
        """What a sidecar calls it, from which no secret can be guessed."""
        ...

    def embed(
        self,
        waveform: Signal,
        sample_rate: int,
        message: int,
        *,
        parts: tuple[Signal, ...] = (),
        shift: int | None = None,
    ) -> Marked:
        """Return `waveform` (C, S) with a mark that carries the 16 bits of `message`, and `parts` of it with theirs."""
        ...

    def detect_parts(self, parts: Iterable[NDArray[np.float32]], sample_rate: int) -> Detection:
        """Return what is found in a sound whose parts (C, S) of `PART_SECONDS` each start `STEP_SECONDS` apart."""
        ...


@dataclass(frozen=True, kw_only=True)
class KeyedWatermarker:
    """The spread-spectrum mark of `watermark.embed` and `watermark.detect`."""

    key: bytes = PUBLIC_KEY
    speed_range: float = SPEED_RANGE
    """Largest change of speed that is looked for, as a share."""

    @property
    def name(self) -> str:
        """ "public", or the first 16 digits of the SHA-256 of a key of the user's own."""
        return PUBLIC if self.key == PUBLIC_KEY else hashlib.sha256(self.key).hexdigest()[:16]

    def embed(
        self,
        waveform: Signal,
        sample_rate: int,
        message: int,
        *,
        parts: tuple[Signal, ...] = (),
        shift: int | None = None,
    ) -> Marked:
        """Return `watermark.embed` under this key."""
        return embed(waveform, sample_rate, message, self.key, parts=parts, shift=shift)

    def detect_parts(self, parts: Iterable[NDArray[np.float32]], sample_rate: int) -> Detection:
        """Return `watermark.detect_parts` under this key."""
        return detect_parts(parts, sample_rate, self.key, speed_range=self.speed_range)


PUBLIC_WATERMARKER = KeyedWatermarker()
"""With the key that everybody knows."""
