"""Pictures beside a report: what was compared, how late onsets are, how a dial is followed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foleykit.audio.plot import Mark, Row, curve, histogram, sheet, spectrogram, spectrogram_ticks
from foleykit.evaluation.media_report import MediaReport
from foleykit.evaluation.onsets import detect_onsets
from foleykit.evaluation.pairing import Pair
from foleykit.evaluation.sound_measures import EDGE_SECONDS, MeasureConfig, read_sound

WIDTH, SPECTRUM_HEIGHT, CHART_HEIGHT = 900, 200, 260
NUM_SHEETS = 6


def save_plots(
    folder: Path, report: MediaReport, pairs: Sequence[Pair], config: MeasureConfig, *, num_sheets: int = NUM_SHEETS
) -> None:
    """Write offsets.png, and a sheet for clips spread evenly from the worst to the best sync score."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(report.offsets_ms):
        offset_histogram(folder / "offsets.png", report.offsets_ms, config.tolerance)
    scores = np.nan_to_num(report.clips["sync_score"], nan=-1.0)
    order = np.argsort(scores, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(num_sheets, len(order))).astype(int))]
    by_id = {pair.clip_id: pair for pair in pairs}
    for number, index in enumerate(chosen, start=1):
        name = report.clip_ids[index]
        clip_sheet(folder / f"sheet_{number}_{name}.png", by_id[name], float(scores[index]), config)


def clip_sheet(path: Path, pair: Pair, sync_score: float, config: MeasureConfig) -> None:
    """Write the spectrograms of reference and generated sound over one time axis, with their onsets."""
    rows, lengths = [], []
    for label, file in (("reference", pair.reference), ("generated", pair.generated)):
        waveform, rate = read_sound(file)
        mono = waveform.mean(axis=0)
        if config.seconds is not None:
            mono = mono[: round(config.seconds * rate)]
        seconds = len(mono) / rate
        onsets = detect_onsets(mono, rate, config.onsets)
        onsets = onsets[(onsets >= EDGE_SECONDS) & (onsets <= seconds - EDGE_SECONDS)]
        lengths.append(seconds)
        rows.append(
            Row(
                label=f"{label}: {file.name}, {rate} Hz, {len(onsets)} onsets",
                picture=spectrogram(mono, rate, width=WIDTH, height=SPECTRUM_HEIGHT, max_hz=16_000.0),
                marks=tuple(Mark(time=float(onset)) for onset in onsets),
                ticks=spectrogram_ticks(rate, max_hz=16_000.0),
            )
        )
    title = f"{pair.clip_id}: sync score {sync_score:.2f}"
    sheet(title, rows, max(lengths)).save(path, format="PNG", optimize=True)


def offset_histogram(path: Path, offsets_ms: NDArray[np.float64], tolerance: float) -> None:
    """Write the histogram of offsets (N,) of matching onsets; chance is flat."""
    reach = 1000 * tolerance
    edges = np.linspace(-reach, reach, 25)
    picture, most = histogram(offsets_ms, edges, width=WIDTH, height=CHART_HEIGHT)
    row = Row(
        label=f"{len(offsets_ms)} onsets, median {np.median(offsets_ms):+.1f} ms; dashed: as many, spread evenly",
        picture=picture,
        ticks=((0.0, str(most)), (1.0, "0")),
    )
    marks = np.linspace(-reach, reach, 7)
    axis = tuple((float((value + reach) / (2 * reach)), f"{value:+.0f}") for value in marks)
    sheet("Generated minus reference onsets in ms, late to the right", [row], axis_ticks=axis).save(path, format="PNG")


def dial_curve(path: Path, asked_db: ArrayLike, heard_db: ArrayLike, spearman: float) -> None:
    """Write heard against asked ambience in dBFS, (N,) each, beside the line where both are equal."""
    asked, heard = np.asarray(asked_db, np.float64), np.asarray(heard_db, np.float64)
    low, high = (float(edge(np.concatenate([asked, heard]))) for edge in (np.min, np.max))
    low, high = 10 * np.floor(low / 10), 10 * np.ceil(high / 10)
    picture = curve(asked, heard, limits=(low, high), width=WIDTH, height=2 * CHART_HEIGHT)
    values = np.arange(low, high + 1, 10)
    ticks = tuple((float((value - low) / (high - low)), f"{value:.0f}") for value in values)
    row = Row(
        label=f"heard (up) and asked (right), dBFS; rank correlation {spearman:.3f}; grey: heard as asked",
        picture=picture,
        ticks=tuple((1 - share, text) for share, text in ticks),
    )
    axis = ticks
    sheet("Ambience in the gaps against the level asked for", [row], axis_ticks=axis).save(path, format="PNG")
