"""Score generated sound on real videos, where the recorded sound is the only witness of what happened when."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.core.errors import MediaError
from foleykit.core.progress import Report as Progress
from foleykit.core.progress import no_report
from foleykit.core.suffixes import VIDEO_SUFFIXES
from foleykit.evaluation import metrics
from foleykit.evaluation.metrics.envelope_correlation import energy_envelope_db, envelope_correlation
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_percentile
from foleykit.evaluation.metrics.onset_f1 import OnsetCounts, onset_counts
from foleykit.evaluation.onsets import OnsetConfig, detect_onsets
from foleykit.evaluation.report import Report, Row
from foleykit.evaluation.visual_impacts import VisualImpactConfig, visual_impacts

PARTNER_SUFFIXES = (".wav", ".flac", *VIDEO_SUFFIXES)

TIMES_SUFFIX = ".times.csv"
"""Of a file beside a video, of the same stem, with onset times that a person has labelled."""

RECORDED = "recorded"
"""What the column `sound` of a folder's metadata.csv begins with where the sound is the scene's own."""

GENERATED = "generated"
TIME_SHIFTED = "shifted in time"
OTHER_VIDEO = "of other videos"
ABOVE_SHIFTED = "generated minus shifted"
FLOW = "optical flow alone"
FLOW_SHIFTED = "optical flow shifted"


@dataclass(frozen=True, kw_only=True)
class RealProtocol:
    """How agreement on real videos is scored."""

    reference_onsets: OnsetConfig = field(default_factory=OnsetConfig)
    """The detector for the recorded sound."""
    generated_onsets: OnsetConfig = field(default_factory=OnsetConfig)
    """The detector for the generated sound; fixed, since these videos have no half to tune on."""
    impacts: VisualImpactConfig | None = None
    """The baseline of optical flow alone, the same for all videos; None leaves it out."""
    num_shifts: int = 20
    """Circular shifts of the generated onsets per video, evenly spaced."""
    max_seconds: float = 120.0
    """Only the beginning of a longer video is compared."""
    num_resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class _Heard:
    name: str
    seconds: float
    reference: NDArray[np.float64]
    is_labelled: bool
    """Whether a person has said when the recorded onsets are."""
    generated: NDArray[np.float64]
    impacts: NDArray[np.float64]
    """What optical flow alone suggests; empty when it is left out."""
    reference_db: NDArray[np.float64]
    generated_db: NDArray[np.float64]
    """(F,) levels of both sounds."""


def recorded_videos(folder: Path) -> list[Path]:
    """Return the videos of a folder, sorted by name.

    Where it holds a metadata.csv with the columns `file` and `sound`, only those whose sound was recorded with the
    pictures.

    Raises MediaError when there is no such folder or its metadata.csv lacks a column.
    """
    if not folder.is_dir():
        raise MediaError(f"{folder}: no such folder")
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    table = folder / "metadata.csv"
    if not table.is_file():
        return videos
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if not {"file", "sound"} <= set(rows.fieldnames or ()):
            raise MediaError(f"{table} needs the columns `file` and `sound`; it has {', '.join(rows.fieldnames or ())}")
        recorded = {row["file"] for row in rows if row["sound"].startswith(RECORDED)}
    return [path for path in videos if path.name in recorded]


def times_beside(video: Path) -> Path | None:
    """Return the file of a person's labels of `video`, STEM.times.csv beside it; None where there is none."""
    table = video.with_suffix(TIMES_SUFFIX)
    return table if table.is_file() else None


def labelled_onsets(video: Path) -> NDArray[np.float64] | None:
    """Return the times (N,) in seconds that a person has labelled, sorted; None where none lie beside `video`.

    They stand first in each line of `times_beside`, without a heading; what follows them says what was heard. Raises
    MediaError where a line does not begin with a time.
    """
    table = times_beside(video)
    if table is None:
        return None
    times = []
    with table.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            try:
                time = float(row[0])
            except (IndexError, ValueError):
                raise MediaError(f"{table}, line {number}: expected a time in seconds, got {','.join(row)!r}") from None
            if not 0 <= time < math.inf:
                raise MediaError(f"{table}, line {number}: a time is 0 s or more, not {row[0]}")
            times.append(time)
    return np.sort(np.array(times, dtype=np.float64))


def recorded_onsets(
    video: Path, waveform: NDArray[np.float32], sample_rate: int, config: OnsetConfig = OnsetConfig()
) -> NDArray[np.float64]:
    """Return when something begins to sound in `video`, in seconds (N,): by a person's labels or else by the detector.

    `waveform` (S,) is its own sound from the beginning; later labels are left out. Raises MediaError as
    `labelled_onsets` does.
    """
    labelled = labelled_onsets(video)
    if labelled is None:
        return detect_onsets(waveform, sample_rate, config)
    return labelled[labelled < len(waveform) / sample_rate]


def evaluate_real(
    videos: Sequence[Path], generated: Path, *, protocol: RealProtocol = RealProtocol(), progress: Progress = no_report
) -> Report:
    """Return how generated onsets agree with those of the videos' own sound, beside chance.

    `generated` holds one sound or video file of the same stem per video of `videos`; videos without sound, without
    onsets or without a generated partner are named in the protocol and left out. Labels beside a video are believed
    rather than the detector (`recorded_onsets`). Chance: the same generated onsets shifted in time around the video,
    and those of all other videos. F1 is micro-averaged; intervals redraw videos.

    Raises MediaError when fewer than two videos can be compared and where labels cannot be read.
    """
    heard: list[_Heard] = []
    left_out: dict[str, str] = {}
    for index, path in enumerate(videos):
        pair = _listen(path, generated, protocol)
        if isinstance(pair, str):
            left_out[path.name] = pair
        else:
            heard.append(pair)
        progress("listen", (index + 1) / len(videos))
    if len(heard) < 2:
        raise MediaError(f"{len(heard)} videos can be compared with the sounds in {generated}, at least 2 are needed")
    tables = {tolerance: _tables(heard, tolerance, protocol) for tolerance in (0.1, 0.06)}
    envelopes = _envelopes(heard, protocol)
    names = [GENERATED, TIME_SHIFTED, OTHER_VIDEO, ABOVE_SHIFTED, *([FLOW, FLOW_SHIFTED] if protocol.impacts else [])]
    return Report(
        title="Agreement with the recorded sound",
        metrics=metrics.REAL_METRICS,
        rows=tuple(Row(name=name, estimates=_figures(tables, envelopes, name, protocol)) for name in names),
        protocol=_describe(heard, left_out, tables[0.1], envelopes, protocol),
    )


def _listen(path: Path, generated: Path, protocol: RealProtocol) -> _Heard | str:
    """Return the onsets of a video and its generated sound, or why it is left out."""
    partners = [generated / (path.stem + suffix) for suffix in PARTNER_SUFFIXES]
    partner = next((candidate for candidate in partners if candidate.is_file()), None)
    if partner is None:
        return "no generated sound"
    try:
        own, own_rate = read_waveform(path, seconds=protocol.max_seconds, mono=True)
    except MediaError as error:
        return f"no sound of its own ({error})"
    made, made_rate = read_waveform(partner, seconds=protocol.max_seconds, mono=True)
    seconds = min(own.shape[1] / own_rate, made.shape[1] / made_rate)
    reference = recorded_onsets(path, own[0, : int(seconds * own_rate)], own_rate, protocol.reference_onsets)
    if not len(reference):
        return "no onset in its own sound"
    onsets = detect_onsets(made[0, : int(seconds * made_rate)], made_rate, protocol.generated_onsets)
    levels = [
        energy_envelope_db(sound[0, : int(seconds * rate)], rate)
        for sound, rate in ((own, own_rate), (made, made_rate))
    ]
    return _Heard(
        name=path.name,
        seconds=seconds,
        reference=reference,
        is_labelled=times_beside(path) is not None,
        generated=onsets,
        impacts=visual_impacts(path, seconds=seconds, config=protocol.impacts) if protocol.impacts else np.zeros(0),
        reference_db=levels[0],
        generated_db=levels[1],
    )


def _tables(heard: Sequence[_Heard], tolerance: float, protocol: RealProtocol) -> dict[str, NDArray[np.int64]]:
    """Return for each pairing (V, 3): matched, reference and generated onsets per video, summed over its pairings."""

    def row(video: _Heard, candidates: Sequence[NDArray[np.float64]]) -> list[int]:
        counts = [onset_counts(video.reference, times, tolerance=tolerance) for times in candidates]
        return _sums(counts)

    def shifted(video: _Heard, times: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        return [np.sort((times + shift) % video.seconds) for shift in _shifts(protocol) * video.seconds]

    def others(video: _Heard) -> list[int]:
        counts = []
        for partner in heard:
            if partner is not video:
                length = min(video.seconds, partner.seconds)
                parts = (times[times < length] for times in (video.reference, partner.generated))
                counts.append(onset_counts(*parts, tolerance=tolerance))
        return _sums(counts)

    return {
        GENERATED: np.array([row(video, [video.generated]) for video in heard]),
        TIME_SHIFTED: np.array([row(video, shifted(video, video.generated)) for video in heard]),
        OTHER_VIDEO: np.array([others(video) for video in heard]),
        FLOW: np.array([row(video, [video.impacts]) for video in heard]),
        FLOW_SHIFTED: np.array([row(video, shifted(video, video.impacts)) for video in heard]),
    }


def _sums(counts: Sequence[OnsetCounts]) -> list[int]:
    return [
        sum(count.num_matched for count in counts),
        sum(count.num_reference for count in counts),
        sum(count.num_generated for count in counts),
    ]


def _shifts(protocol: RealProtocol) -> NDArray[np.float64]:
    """Return the shifts as shares of a video's length."""
    return np.arange(1, protocol.num_shifts + 1) / (protocol.num_shifts + 1)


def _envelopes(heard: Sequence[_Heard], protocol: RealProtocol) -> dict[str, NDArray[np.float64]]:
    """Return for each pairing (V,): how a video's level correlates with those of the sounds it is paired with."""

    def correlation(video: _Heard, levels: NDArray[np.float64]) -> float:
        length = min(len(video.reference_db), len(levels))
        reference = video.reference_db[:length]
        # A recording of one unbroken level has no course to follow.
        return envelope_correlation(reference, levels[:length]) if np.ptp(reference) > 1e-9 and length >= 3 else 0.0

    def mean(video: _Heard, sounds: Sequence[NDArray[np.float64]]) -> float:
        return float(np.mean([correlation(video, levels) for levels in sounds]))

    def shifted(video: _Heard) -> list[NDArray[np.float64]]:
        return [np.roll(video.generated_db, round(share * len(video.generated_db))) for share in _shifts(protocol)]

    def others(video: _Heard) -> list[NDArray[np.float64]]:
        return [partner.generated_db for partner in heard if partner is not video]

    return {
        GENERATED: np.array([mean(video, [video.generated_db]) for video in heard]),
        TIME_SHIFTED: np.array([mean(video, shifted(video)) for video in heard]),
        OTHER_VIDEO: np.array([mean(video, others(video)) for video in heard]),
    }


def _figures(
    tables: dict[float, dict[str, NDArray[np.int64]]],
    envelopes: dict[str, NDArray[np.float64]],
    name: str,
    protocol: RealProtocol,
) -> dict[str, Estimate]:
    def estimate(figure: Callable[[str, NDArray[np.int64]], float]) -> Estimate:
        def statistic(chosen: NDArray[np.int64]) -> float:
            if name == ABOVE_SHIFTED:
                return figure(GENERATED, chosen) - figure(TIME_SHIFTED, chosen)
            return figure(name, chosen)

        num_videos = len(envelopes[GENERATED])
        return bootstrap_percentile(statistic, num_videos, seed=protocol.seed, num_resamples=protocol.num_resamples)

    figures = {
        metrics.AGREEMENT_100.key: estimate(lambda row, chosen: _f1(tables[0.1][row][chosen])),
        metrics.AGREEMENT_60.key: estimate(lambda row, chosen: _f1(tables[0.06][row][chosen])),
        metrics.AGREEMENT_MEAN.key: estimate(
            lambda row, chosen: float(np.mean([_f1(tables[0.1][row][[video]]) for video in chosen]))
        ),
    }
    if name not in (FLOW, FLOW_SHIFTED):
        figures[metrics.ENVELOPE.key] = estimate(lambda row, chosen: float(envelopes[row][chosen].mean()))
    return figures


def _f1(table: NDArray[np.int64]) -> float:
    matched, reference, generated = (int(value) for value in table.sum(axis=0))
    return OnsetCounts(num_matched=matched, num_reference=reference, num_generated=generated).f1


def _describe(
    heard: Sequence[_Heard],
    left_out: dict[str, str],
    table: dict[str, NDArray[np.int64]],
    envelopes: dict[str, NDArray[np.float64]],
    protocol: RealProtocol,
) -> dict[str, object]:
    columns = {"f1_100ms": GENERATED, "f1_100ms_shifted": TIME_SHIFTED, "f1_100ms_other": OTHER_VIDEO}
    if protocol.impacts:
        columns |= {"f1_100ms_flow": FLOW, "f1_100ms_flow_shifted": FLOW_SHIFTED}
    per_video = {
        video.name: {
            "seconds": round(video.seconds, 3),
            "num_reference": len(video.reference),
            "is_labelled": video.is_labelled,
            "num_generated": len(video.generated),
            **{column: _f1(table[row][[index]]) for column, row in columns.items()},
            "envelope_correlation": float(envelopes[GENERATED][index]),
        }
        for index, video in enumerate(heard)
    }
    return {"videos": per_video, "left_out": left_out, "settings": asdict(protocol)}
