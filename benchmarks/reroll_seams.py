"""Seams of re-rolled ranges: how much the level moves there, against how much the sound moves by itself.

    python benchmarks/reroll_seams.py VIDEO... [--ranges 4] [--length 0.9]

For every video one take is made, ranges of it are re-rolled, and the changes of level from one 10 ms frame to the next
are compared: at the seams of each re-roll; in the take itself; and at the seams of another take's sound put in the same
place with the same cross-fade. A seam's jump is by how much the level changes more than in either of the sounds that
meet there: a hit at a seam is not the seam's doing. Also checks that no sample outside a range changed. Prints a table
for benchmarks/results.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.core.ranges import Reroll
from foleykit.evaluation.metrics.intervals import bootstrap_percentile
from foleykit.evaluation.metrics.level_change import level_changes_db
from foleykit.jobs.load import load
from foleykit.jobs.soundtrack import CROSSFADE_SECONDS, OUTPUT_RATE, Settings, Soundtrack, Splice


def heard(soundtrack: Soundtrack) -> NDArray[np.float32]:
    """Return the new sound (S,), without the silence after its end."""
    end = soundtrack.settings.end
    return soundtrack.waveform[0, : None if end is None else round(end * OUTPUT_RATE)]


def jumps(
    spliced: Soundtrack, earlier: Soundtrack, later: Soundtrack, seams: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Return by how many dB the level changes more at `seams` than in both sounds that meet there."""
    here, before, after = (level_changes_db(heard(sound), OUTPUT_RATE, seams)[0] for sound in (spliced, earlier, later))
    return np.maximum(here - np.maximum(before, after), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--model", default="tiny-avldm")
    parser.add_argument("--ambient", default="auto")
    parser.add_argument("--ranges", type=int, default=4)
    parser.add_argument("--length", type=float, default=0.9)
    parser.add_argument("--max-seconds", type=float, default=8.0)
    options = parser.parse_args()
    pipeline = load(options.model)
    rng = np.random.default_rng(0)
    changes: dict[str, list[NDArray[np.float64]]] = {"the take itself": [], "re-rolled": [], "another take put in": []}
    for video in options.videos:
        settings = Settings(ambient=options.ambient, end=options.max_seconds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            take, other = pipeline.takes(video, settings, num_takes=2)
            last = min(take.seconds, options.max_seconds) - options.length
            starts = rng.uniform(0, last, options.ranges)
            ranges = [
                Reroll(start=round(start, 3), end=round(start + options.length, 3), seed=100 + number)
                for number, start in enumerate(starts)
            ]
            # One run makes the chain of all re-rolls; each result before the last is the next one's earlier one.
            (result,) = pipeline.takes(video, replace(settings, rerolls=tuple(ranges)))
        results = [result]
        while results[0].splice is not None:
            results.insert(0, results[0].splice.earlier)
        for asked, (earlier, later) in zip(ranges, pairwise(results), strict=True):
            first, stop = round(asked.start * OUTPUT_RATE), round(asked.end * OUTPUT_RATE)
            changed = np.flatnonzero((earlier.waveform != later.waveform).any(axis=0))
            assert len(changed) and first <= changed.min() and changed.max() < stop, (
                "a sample outside the range changed"
            )
            fade = CROSSFADE_SECONDS
            seams = [(asked.start, asked.start + fade), (asked.end - fade, asked.end)]
            changes["re-rolled"].append(jumps(later, earlier, replace(later, splice=None), seams))
            changes["another take put in"].append(
                jumps(replace(other, splice=Splice(earlier=take, first=first, stop=stop)), take, other, seams)
            )
            changes["the take itself"].append(level_changes_db(heard(take), OUTPUT_RATE, seams)[1])
    num_ranges = len(changes["re-rolled"])
    print(f"{num_ranges} ranges of {options.length:g} s in {len(options.videos)} videos; no sample outside changed\n")
    print("| changes of level, dB per 10 ms | mean | 95th percentile |\n|---|---|---|")
    for name, values in changes.items():
        figures = [
            bootstrap_percentile(
                lambda some, figure=figure, values=values: figure([values[i] for i in some]), num_ranges
            )
            for figure in (
                lambda parts: float(np.mean(np.concatenate(parts))),
                lambda parts: float(np.percentile(np.concatenate(parts), 95)),
            )
        ]
        print(
            f"| {name} | "
            + " | ".join(f"{each.value:.2f} [{each.low:.2f}, {each.high:.2f}]" for each in figures)
            + " |"
        )


if __name__ == "__main__":
    main()
