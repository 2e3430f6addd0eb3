"""What `--select best` gains: the mean take against the selected one, on the world's unseen places and on real videos.

    python benchmarks/best_of_takes.py [--world CACHE --num-clips 48] [--videos DIR] [--num-takes 4]

Takes are judged as `foley generate` judges them. The score that they are selected by is printed too; that it rises says
nothing. Onset F1 is the independent figure: against the true onsets of the world's clips (60 ms), and against the
recorded sound's onsets of real videos (100 ms), as `foley reproduce real-footage` counts them. Where OpenCV is
installed, selection by optical flow's impacts stands beside. Prints tables for benchmarks/results, with 95 % intervals
over clips.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.evaluation.clips import cut_clips
from foleykit.evaluation.metrics.intervals import bootstrap_percentile
from foleykit.evaluation.metrics.onset_f1 import OnsetCounts, onset_counts
from foleykit.evaluation.metrics.sync_score import sync_score
from foleykit.evaluation.onsets import onset_course
from foleykit.evaluation.real import RealProtocol, recorded_onsets, recorded_videos
from foleykit.evaluation.truth import clip_truth
from foleykit.evaluation.visual_impacts import VisualImpactConfig, impact_envelope
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.soundtrack import Settings
from foleykit.video.encode import write_video
from foleykit.video.info import VideoInfo
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe
from foleykit.world.cache import open_cache

WORLD_SECONDS = 6.0
SELECTED = "the sync classifier"
"""What `--select best` goes by, between takes without faults."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A video, and when things are heard in it."""

    video: VideoInfo
    seconds: float
    onsets: NDArray[np.float64]
    ignored_spans: NDArray[np.float64]
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    counts: NDArray[np.int64]
    """(takes, 3): matched, reference and generated onsets"""
    scores: dict[str, NDArray[np.float64]]
    """(takes,) by measure"""
    num_faulty: int


def world_cases(cache: Path, num_clips: int, folder: Path) -> Iterator[Case]:
    """Yield the first clip of as many unseen long videos, each from a place of its own, as video files."""
    for video in open_cache(cache, "test", limit=2 * num_clips):
        for info, audio in islice(cut_clips(video.long_video(), f"{video.index:06d}", seconds=WORLD_SECONDS), 1):
            fps = round(len(video.frames) / video.long_video().take.seconds)
            first = round(info.start * fps)
            path = folder / f"{info.clip_id}.mp4"
            write_video(path, iter(video.frames[first : first + round(WORLD_SECONDS * fps)]), fps)
            truth = clip_truth(info, audio)
            yield Case(
                video=probe(path),
                seconds=WORLD_SECONDS,
                onsets=truth.onsets,
                ignored_spans=truth.ignored_spans,
                tolerance=0.06,
            )


def real_cases(videos: Path, max_seconds: float) -> Iterator[Case]:
    """Yield the beginnings of the videos whose sound was recorded with the pictures and in which something begins."""
    protocol = RealProtocol()
    for path in recorded_videos(videos):
        info = probe(path)
        if not info.has_audio:
            continue
        own, rate = read_waveform(path, seconds=max_seconds, mono=True)
        seconds = min(float(info.duration), own.shape[1] / rate, max_seconds)
        onsets = recorded_onsets(path, own[0, : int(seconds * rate)], rate, protocol.reference_onsets)
        if len(onsets):
            yield Case(video=info, seconds=seconds, onsets=onsets, ignored_spans=np.zeros((0, 2)), tolerance=0.1)


def judge(pipeline: FoleyPipeline, case: Case, settings: Settings, num_takes: int) -> Judged:
    """Return what is heard in each take, and how each is scored."""
    settings = replace(settings, end=case.seconds)
    impacts = None
    if importlib.util.find_spec("cv2"):
        fps, config = min(case.video.average_fps, 60.0), VisualImpactConfig()
        size = (max(32, round(config.width * case.video.height / case.video.width / 2) * 2), config.width)
        envelope = impact_envelope(VideoReader(case.video, fps=fps, size=size, end=case.seconds), config)
        impacts = np.arange(len(envelope)) / fps, envelope

    counts, flow, verdicts = [], [], []
    onsets = RealProtocol().generated_onsets
    for take in pipeline.takes(case.video, settings, num_takes=num_takes, is_judged=True):
        candidates, course = onset_course(take.generated[:, : int(case.seconds * take.model_rate)][0], take.model_rate)
        heard = candidates.above(onsets.threshold)
        found = onset_counts(case.onsets, heard, tolerance=case.tolerance, ignored_spans=case.ignored_spans)
        counts.append([found.num_matched, found.num_reference, found.num_generated])
        assert take.verdict is not None
        verdicts.append(take.verdict)
        if impacts is not None:
            seen = np.interp(np.arange(len(course)) * onsets.hop_seconds, *impacts)
            flow.append(sync_score(seen, course, 1 / onsets.hop_seconds, tolerance=0.1) if seen.any() else 0.0)
    sync = np.array([verdict.sync or 0.0 for verdict in verdicts])
    scores = {SELECTED: sync}
    if impacts is not None:
        scores |= {"optical flow": np.array(flow), "both": sync + np.array(flow)}
    print(
        case.video.path.name,
        counts,
        np.round(sync, 3).tolist(),
        np.round(flow, 3).tolist(),
        file=sys.stderr,
        flush=True,
    )
    return Judged(counts=np.array(counts), scores=scores, num_faulty=sum(bool(one.faults) for one in verdicts))


def f1(counts: NDArray[np.int64]) -> float:
    """Return F1 of counts (..., 3) summed over everything but their last axis."""
    matched, reference, generated = counts.reshape(-1, 3).sum(0).tolist()
    return OnsetCounts(num_matched=matched, num_reference=reference, num_generated=generated).f1


def print_table(title: str, judged: Sequence[Judged]) -> None:
    """Print the mean take, the take that each measure selects, and the one that F1 itself would select."""
    counts = np.stack([case.counts for case in judged])  # (clips, takes, 3)
    clips, takes = counts.shape[:2]
    single = np.array([[f1(counts[clip, take]) for take in range(takes)] for clip in range(clips)])
    scores = {name: np.stack([case.scores[name] for case in judged]) for name in judged[0].scores}
    row = np.arange(clips)

    def summed(chosen: NDArray[np.int64] | None) -> Callable[[NDArray[np.int64]], float]:
        if chosen is None:
            return lambda some: float(np.mean([f1(counts[some, take]) for take in range(takes)]))
        return lambda some: f1(counts[some, chosen[some]])

    def averaged(values: NDArray[np.float64], chosen: NDArray[np.int64] | None) -> Callable[[NDArray[np.int64]], float]:
        column = values.mean(1) if chosen is None else values[row, chosen]
        return lambda some: float(column[some].mean())

    def cell(figure: Callable[[NDArray[np.int64]], float]) -> str:
        estimate = bootstrap_percentile(figure, clips)
        return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"

    def difference(
        first: Callable[[NDArray[np.int64]], float], second: Callable[[NDArray[np.int64]], float]
    ) -> Callable[[NDArray[np.int64]], float]:
        return lambda some: first(some) - second(some)

    print(f"\n{title}: {clips} clips, {takes} takes of each\n")
    print("| take | F1, counts summed | above the mean take | F1, mean of clips | above the mean take | sync score |")
    print("|---|---|---|---|---|---|")
    choices = {"mean": None, **{f"by {name}": values.argmax(1) for name, values in scores.items()}}
    for name, chosen in {**choices, "by F1 itself": single.argmax(1)}.items():
        all_counts, mean = summed(chosen), averaged(single, chosen)
        figures = [
            all_counts,
            difference(all_counts, summed(None)),
            mean,
            difference(mean, averaged(single, None)),
            averaged(scores[SELECTED], chosen),
        ]
        print(f"| {name} | " + " | ".join(cell(figure) for figure in figures) + " |")
    print(f"\n{sum(case.num_faulty for case in judged)} of {clips * takes} takes had a fault.", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-avldm")
    parser.add_argument("--ambient", default="quiet")
    parser.add_argument("--world", type=Path, metavar="CACHE")
    parser.add_argument("--num-clips", type=int, default=48)
    parser.add_argument("--videos", type=Path, metavar="DIR")
    parser.add_argument("--max-seconds", type=float, default=120.0, help="of a real video")
    parser.add_argument("--num-takes", type=int, default=4)
    options = parser.parse_args()
    pipeline = load(options.model)
    settings = Settings(ambient=options.ambient)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if options.world:
            cases = islice(world_cases(options.world, options.num_clips, Path(folder)), options.num_clips)
            print_table("World", [judge(pipeline, case, settings, options.num_takes) for case in cases])
        if options.videos:
            cases = real_cases(options.videos, options.max_seconds)
            print_table("Real videos", [judge(pipeline, case, settings, options.num_takes) for case in cases])


if __name__ == "__main__":
    main()
