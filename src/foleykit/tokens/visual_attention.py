"""Which video frames a step of audio may look at: the mechanisms of FoleyGen (Mei et al. 2023, sec. 3.4) as masks.

A sequence is N video frames, then S steps of audio. Among themselves both are causal; video never looks at audio. What
differs is which frames an audio step sees. The paper leaves the timing open: `VisualTiming` states our readings.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, assert_never

from torch import Tensor

PrefixAttention = Literal["all_frame", "causal", "frame_wise"]
"""An audio step sees all frames, those up to its own time, or the one of its own time."""


@dataclass(frozen=True, kw_only=True)
class VisualTiming:
    """How a step of audio is placed on the video's clock."""

    frames_per_step: Fraction
    """Video frames per step: 1 frame against 50 codes per second is 1/50."""
    frame_of: Literal["predicted", "input"] = "predicted"
    """A step's time is that of the code it predicts, or of the code it was given, one step earlier."""
    codebook_delay: int = 0
    """Delay of the codebook whose time counts: 0 for the coarsest; the finest's keeps all codes off the future."""

    def frame_at(self, steps: Tensor, num_visual: int) -> Tensor:
        """Return the frame (S,) that coincides with each of `steps` (S,), the last one for steps beyond the video."""
        late = self.codebook_delay + (self.frame_of == "input")
        ratio = self.frames_per_step
        frame = (steps - late).clamp(min=0) * ratio.numerator // ratio.denominator
        return frame.clamp(max=num_visual - 1)


def prefix_mask(
    rows: Tensor,
    columns: Tensor,
    num_visual: int,
    attention: PrefixAttention,
    timing: VisualTiming,
    *,
    visual_rows: Literal["causal", "diagonal"] = "causal",
) -> Tensor:
    """Return (Q, P), True where position `rows` (Q,) may look at position `columns` (P,).

    Positions count video frames first. `visual_rows` says whether a frame sees those before it or itself alone; seeing
    later ones would carry the future to audio that may not look at it.
    """
    query, key = rows[:, None], columns[None, :]
    allowed = key <= query
    if visual_rows == "diagonal":
        allowed = allowed & ((query >= num_visual) | (key == query))
    current = timing.frame_at((rows - num_visual).clamp(min=0), num_visual)[:, None]
    is_cross = (query >= num_visual) & (key < num_visual)
    match attention:
        case "all_frame":
            return allowed
        case "causal":
            return allowed & (~is_cross | (key <= current))
        case "frame_wise":
            return allowed & (~is_cross | (key == current))
        case _:
            assert_never(attention)


def is_plainly_causal(attention: PrefixAttention, visual_rows: Literal["causal", "diagonal"]) -> bool:
    """Return whether the mask is the ordinary causal one, for which attention has a faster way than a mask."""
    return attention == "all_frame" and visual_rows == "causal"
