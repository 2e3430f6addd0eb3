"""Turn a corpus into training data: scan it, filter it, cut it into shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, assert_never

from foleykit.core.errors import UsageError
from foleykit.core.progress import Report, no_report
from foleykit.data.corpora import ego4d_sounds, epic_kitchens, folder, vggsound
from foleykit.data.engine import Engine
from foleykit.data.filtering import FilterConfig, FilterResult, filter_clips, write_filter_report
from foleykit.data.manifest import Manifest, ManifestSplit, read_manifest
from foleykit.data.prepare import PrepareConfig, PrepareResult, prepare

CorpusName = Literal["ego4d-sounds", "epic-kitchens", "vggsound", "folder", "manifest"]


@dataclass(frozen=True, kw_only=True)
class CorpusRequest:
    """Which clips of which videos."""

    corpus: CorpusName
    videos: Path
    """Folder of the long videos."""
    metadata: Path | None = None
    """The corpus' own table, or a manifest; a plain folder has none."""
    split: ManifestSplit = "train"
    """What the table lists; an Ego4D-Sounds list that is no test list is divided into train and valid."""
    durations: Path | None = None
    """Ego4D's list of videos, where lengths are to come from it."""
    clip_seconds: float = 3.0
    """Length of a clip."""


def scan_corpus(request: CorpusRequest) -> Manifest:
    """Return the clips of a corpus; raises UsageError when its table is not named, or named for nothing."""
    if request.corpus == "folder":
        if request.metadata is not None:
            raise UsageError("a folder of videos has no table; leave out --metadata")
        return folder.scan(request.videos, split=request.split, clip_seconds=request.clip_seconds)
    if request.metadata is None:
        raise UsageError(f"{request.corpus} needs its table; name it with --metadata")
    if request.durations is not None and request.corpus != "ego4d-sounds":
        raise UsageError("--durations is Ego4D's list of videos; it says nothing about other corpora")
    match request.corpus:
        case "ego4d-sounds":
            return ego4d_sounds.scan(
                request.metadata,
                request.videos,
                is_test_list=request.split == "test",
                durations=None if request.durations is None else ego4d_sounds.read_durations(request.durations),
                clip_seconds=request.clip_seconds,
            )
        case "epic-kitchens":
            return epic_kitchens.scan(
                request.metadata, request.videos, split=request.split, clip_seconds=request.clip_seconds
            )
        case "vggsound":
            return vggsound.scan(request.metadata, request.videos, clip_seconds=request.clip_seconds)
        case "manifest":
            return read_manifest(request.metadata)
        case _:
            assert_never(request.corpus)


@dataclass(frozen=True, kw_only=True)
class PrepareRequest:
    """Cut a corpus into shards."""

    corpus: CorpusRequest
    output: Path
    """Folder of the shards; a killed run in it goes on."""
    config: PrepareConfig = field(default_factory=PrepareConfig)
    engine: Engine = "local"
    workers: int = 1


def prepare_corpus(request: PrepareRequest, report: Report = no_report) -> PrepareResult:
    """Scan and prepare; see `foleykit.data.prepare.prepare`."""
    report("scan", 0)
    manifest = scan_corpus(request.corpus)
    return prepare(
        manifest,
        request.corpus.videos,
        request.output,
        request.config,
        engine=request.engine,
        workers=request.workers,
        report=report,
    )


@dataclass(frozen=True, kw_only=True)
class FilterRequest:
    """Keep the clips in which an action is heard."""

    corpus: CorpusRequest
    output: Path
    """Folder of the report; kept.csv in it is the manifest of what stays."""
    config: FilterConfig = field(default_factory=FilterConfig)
    num_samples: int = 5
    """Clips to listen to, for each stage and for what stays."""
    engine: Engine = "local"
    workers: int = 1


def filter_corpus(request: FilterRequest, report: Report = no_report) -> FilterResult:
    """Scan, filter and write the report; raises UsageError when `output` holds another filter's report."""
    if (request.output / "kept.csv").exists():
        raise UsageError(f"{request.output} holds a report already; choose another folder")
    report("scan", 0)
    manifest = scan_corpus(request.corpus)
    result = filter_clips(
        manifest,
        request.corpus.videos,
        request.config,
        engine=request.engine,
        workers=request.workers,
        report=report,
    )
    write_filter_report(result, request.corpus.videos, request.output, num_samples=request.num_samples)
    return result
