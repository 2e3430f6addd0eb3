"""A generated sound in its place: marked, beside the video's own, at its level, and re-rolled in stretches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.loudness import normalise
from foleykit.audio.mix import duck
from foleykit.core.errors import UsageError
from foleykit.core.progress import Report
from foleykit.core.ranges import Reroll
from foleykit.core.signals import Signal, between, blocks_of, write_blocks, zeros
from foleykit.jobs.mark import mark, mark_like
from foleykit.jobs.original import read_original
from foleykit.jobs.scene import Scene
from foleykit.jobs.soundtrack import OUTPUT_RATE, Course, Settings, Soundtrack, Splice
from foleykit.video.info import VideoInfo
from foleykit.watermark import Watermarker

FADE_SECONDS = 0.02
"""Ramp between the original and the new sound where the new sound does not fill the video."""


def place(generated: Signal, scene: Scene, sample_rate: int) -> Signal:
    """Return `generated` (1, S) at its time in the whole video, with silence around it."""
    num_samples = max(1, round(scene.info.duration * sample_rate))
    return write_blocks(zeros(1, num_samples), blocks_of(generated), at=round(scene.start * sample_rate))


def finish(alone: Soundtrack, scene: Scene, watermarker: Watermarker, report: Report) -> Soundtrack:
    """Return a generated sound marked, beside the video's own, at its level."""
    if alone.settings.is_marked:
        report("mark", 0)
        alone = mark(alone, watermarker)
    report("level", 0)
    soundtrack = with_original(alone, scene)
    gain_db = normalise(soundtrack.blocks(), OUTPUT_RATE, target_lufs=alone.settings.loudness_lufs)
    report("level", 1)
    return soundtrack.with_gain(gain_db)


def with_original(alone: Soundtrack, scene: Scene) -> Soundtrack:
    """Return `alone` together with the video's own sound, as its settings and the span ask for.

    Outside the span only the original is heard, whatever becomes of it inside.
    """
    settings = alone.settings
    inside = span_weight(scene)
    alone = replace(alone, generated_weight=inside)
    if settings.original == "replace" and inside is None:
        return alone
    original = read_original(scene.info, OUTPUT_RATE)
    if original is None:
        return alone
    match settings.original:
        case "replace":
            assert inside is not None
            weight: Course | None = inside.outside
        case "keep":
            weight = None
        case "duck":
            weight = duck(alone.blocks(), OUTPUT_RATE)
        case _:
            assert_never(settings.original)
    return replace(alone, original=original, original_weight=weight)


@dataclass(frozen=True, kw_only=True)
class SpanWeight:
    """1 inside a span, 0 outside, with short ramps inside it where it does not begin or end with the video."""

    start: float | None
    """Second at which it begins; None is the beginning of the video."""
    end: float | None
    """Second at which it ends; None is the end of the video."""

    def __call__(self, start: int, stop: int, /) -> NDArray[np.float32]:
        """Return the weights (stop - start,) of samples `start` to `stop`."""
        time = np.arange(start, stop) / OUTPUT_RATE
        weight = np.ones(stop - start, np.float32)
        if self.start is not None:
            weight *= np.clip((time - self.start) / FADE_SECONDS, 0, 1)
        if self.end is not None:
            weight *= np.clip((self.end - time) / FADE_SECONDS, 0, 1)
        return weight

    def outside(self, start: int, stop: int, /) -> NDArray[np.float32]:
        """Return what is missing from 1."""
        return 1 - self(start, stop)


def span_weight(scene: Scene) -> SpanWeight | None:
    """Return the weight of new sound in a scene; None where it is all of the video."""
    is_late, is_early = scene.start > 0, scene.end < scene.info.duration
    if not (is_late or is_early):
        return None
    return SpanWeight(
        start=float(scene.start) if is_late else None,
        end=float(scene.end) if is_early else None,
    )


def check_ranges(info: VideoInfo, settings: Settings) -> None:
    """Raise UsageError where a cue, a line, a re-roll or an event asks for what is not new sound."""
    first = 0.0 if settings.start is None else settings.start
    last = float(info.duration) if settings.end is None else min(settings.end, float(info.duration))
    for asked in (*settings.cues, *settings.transcript, *settings.rerolls):
        if asked.start < first or asked.end > last + 1e-6:
            raise UsageError(
                f"the range {asked.start:g} to {asked.end:g} s does not lie inside the new sound, "
                f"{first:g} to {last:g} s"
            )
    for event in settings.events or ():
        if not first <= event.time < last:
            raise UsageError(
                f"the event at {event.time:g} s does not lie inside the new sound, {first:g} to {last:g} s"
            )


def reroll(earlier: Soundtrack, alone: Soundtrack, asked: Reroll, scene: Scene, watermarker: Watermarker) -> Soundtrack:
    """Return `earlier`, sample by sample, with what was generated anew in the stretch that is asked for.

    The whole of `alone` is finished as a soundtrack of its own, under the mark and at the gain of the earlier one, and
    heard in the stretch only: no filter's reach and no rounding can touch what lies outside.
    """
    if earlier.watermark is not None:
        alone = mark_like(alone, earlier.watermark, watermarker)
    splice = Splice(earlier=earlier, first=round(asked.start * OUTPUT_RATE), stop=round(asked.end * OUTPUT_RATE))
    later = with_original(alone, scene).with_gain(earlier.root.gain_db)
    none = np.zeros((later.num_channels, 0), np.float32)
    heard = np.concatenate([none, *between(later.blocks(), splice.first, splice.stop)], axis=-1)
    # Only what is new can be lowered where it would pass the ceiling.
    ceiling_db = normalise(heard, OUTPUT_RATE, target_lufs=None)
    return replace(later, gain_db=later.gain_db + ceiling_db, splice=splice)
