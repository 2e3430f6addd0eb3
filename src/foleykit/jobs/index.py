"""Libraries of ambient clips: build one from a folder of recordings or videos, add to it, ask it, count it."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from foleykit.core.errors import InputError, MediaError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.jobs.ambience import SILENCE_DBFS, background_level_db
from foleykit.jobs.embedding import embed_pictures, embed_recording, embed_sounds, has_pictures
from foleykit.jobs.library import embedding_space
from foleykit.jobs.library_media import Labels, cut_clips, find_media
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.sidecar import relative_to
from foleykit.retrieval import Backend, backend_of, create_index, open_index
from foleykit.retrieval.filters import EVERYTHING, RowFilter
from foleykit.retrieval.types import IndexStats, LibraryClip, LibraryRow, Match, VectorIndex

COMMIT_CLIPS = 128
"""Clips that are embedded and then written together: what a killed build may have to do again."""
SHORTEST_SECONDS = 0.1

QueryBy = Literal["auto", "pictures", "sound"]


@dataclass(frozen=True, kw_only=True)
class IndexRequest:
    """Media to put into an index."""

    index: str
    """A file for SQLite, a folder or URI for LanceDB."""
    media: tuple[Path, ...]
    """Files, and folders that are searched for sound and video files."""
    model: str = "tiny-avldm"
    labels: Labels = field(default_factory=Labels)
    """Hold for every file that `table` says nothing about; a sub-folder's name is the scene where none is told."""
    table: Path | None = None
    """CSV with the columns path (from the table's folder), scene, captions (separated by "|") and licence."""
    every: float | None = None
    """Seconds from one clip to the next of the same file; None takes one from its middle."""
    stores_audio: bool = False
    """Keep the sound itself in the index, as FLAC, so that it can be moved without the files."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.every is not None and not self.every > 0:
            raise UsageError(f"clips follow each other every so many seconds, more than 0, not {self.every:g}")
        if not self.media:
            raise UsageError("name a folder or files to put into the index")


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file that could not be used."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class IndexResult:
    """What became of the media."""

    index: str
    num_files: int
    num_added: int
    """Clips that are new in the index."""
    num_known: int
    """Files that were in the index already."""
    skipped: tuple[Skipped, ...]

    @property
    def reasons(self) -> dict[str, int]:
        """Skipped files by reason, most frequent first."""
        return dict(Counter(skip.reason for skip in self.skipped).most_common())

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "index": self.index,
            "num_files": self.num_files,
            "num_added": self.num_added,
            "num_known": self.num_known,
            "num_skipped": len(self.skipped),
            "reasons": self.reasons,
            "skipped": [{"path": str(skip.path), "reason": skip.reason} for skip in self.skipped],
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cut:
    """A clip on its way to be embedded."""

    clip: LibraryClip
    waveform: NDArray[np.float32]
    """(1, S) at the model's rate"""


def build_index(
    request: IndexRequest,
    *,
    backend: Backend = "sqlite",
    overwrite: bool = False,
    report: Report = no_report,
    pipeline: FoleyPipeline | None = None,
) -> IndexResult:
    """Make an index of everything usable in `request.media`, in commits: killed, it holds what was committed.

    `pipeline` is a loaded model to use instead of loading `request.model`. Raises UsageError when the index exists and
    `overwrite` is off, and MediaError when nothing can be used.
    """
    files = find_media(request.media, request.labels, request.table)
    if backend_of_existing(request.index) is not None:
        if not overwrite:
            raise UsageError(f"{request.index} exists; use `foley index add` to go on with it, or --overwrite")
        remove_index(request.index)
    pipeline = pipeline or load(request.model, device=request.device)
    index = create_index(request.index, embedding_space(pipeline.matcher, pipeline.description), backend=backend)
    return _fill(index, files, request, pipeline, report)


def add_to_index(
    request: IndexRequest, *, report: Report = no_report, pipeline: FoleyPipeline | None = None
) -> IndexResult:
    """Add to an existing index what it does not hold yet, as `build_index` does.

    Raises UsageError when the index is not of the embeddings of `request.model`.
    """
    files = find_media(request.media, request.labels, request.table)
    open_index(request.index).close()
    pipeline = pipeline or load(request.model, device=request.device)
    return _fill(
        open_index(request.index, embedding_space(pipeline.matcher, pipeline.description)),
        files,
        request,
        pipeline,
        report,
    )


def query_index(
    location: str,
    media: Path,
    *,
    by: QueryBy = "auto",
    where: RowFilter = EVERYTHING,
    num_matches: int = 10,
    model: str = "tiny-avldm",
    device: str = "cpu",
    pipeline: FoleyPipeline | None = None,
) -> list[Match]:
    """Return the clips of an index that go best with a video's pictures or sound most like a recording, best first.

    "auto" asks by the pictures where there are any. Raises MediaError when `media` cannot be used.
    """
    open_index(location).close()
    is_seen = has_pictures(media)
    if by == "pictures" and not is_seen:
        raise MediaError(f"{media} shows nothing; ask by its sound")
    pipeline = pipeline or load(model, device=device)
    index = open_index(location, embedding_space(pipeline.matcher, pipeline.description))
    embed = embed_pictures if is_seen and by != "sound" else embed_recording
    matches = index.search(embed(pipeline, media), num_matches=num_matches, where=where)
    index.close()
    return matches


def index_stats(location: str) -> IndexStats:
    """Return an index in numbers."""
    index = open_index(location)
    stats = index.stats()
    index.close()
    return stats


def backend_of_existing(location: str) -> Backend | None:
    """Return the store that `location` holds, None where it is free: nothing there, or an empty file or folder."""
    path = Path(location)
    if "://" not in location and path.is_dir() and not any(path.iterdir()):
        return None
    if path.is_file() and path.stat().st_size == 0:
        return None
    if "://" not in location:
        return backend_of(location)
    try:
        open_index(location).close()
    except MediaError:
        return None
    return "lancedb"


def remove_index(location: str) -> None:
    """Delete an index of this machine; raises MediaError when what is there is not one."""
    index = open_index(location)
    index.close()
    if "://" in location:
        raise UsageError(f"{location} is not on this machine; delete it there")
    path = Path(location)
    if path.is_dir():
        shutil.rmtree(path)
        return
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def to_flac(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """Return a waveform (C, S) as 16-bit FLAC; samples beyond [-1, 1] are clipped."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(waveform, -1, 1).T, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _fill(
    index: VectorIndex, files: dict[Path, Labels], request: IndexRequest, pipeline: FoleyPipeline, report: Report
) -> IndexResult:
    """Embed and append what the index does not know, a file at a time, in commits."""
    num_added, num_known, num_usable = 0, 0, 0
    skipped: list[Skipped] = []
    pending: list[_Cut] = []

    def commit() -> None:
        nonlocal num_added
        if pending:
            num_added += index.append(_rows(pending, index, pipeline, request))
            pending.clear()

    for number, (path, labels) in enumerate(files.items()):
        report(f"index, {number} of {len(files)} files", number / len(files))
        source = _source_name(path, index.location)
        # A file's clips are committed together, so that its first stands for all of them.
        if index.known([_key(source, 0)]):
            num_known += 1
            continue
        try:
            cuts = _cut_file(path, source, labels, request, pipeline)
        except MediaError as error:
            skipped.append(Skipped(path=path, reason=_reason(error, path)))
            continue
        num_usable += 1
        pending += cuts
        if len(pending) >= COMMIT_CLIPS:
            commit()
    commit()
    report("index, put in order", 1)
    index.optimise()
    index.close()
    if skipped and not num_usable + num_known:
        raise MediaError(f"none of {len(skipped)} files can be used; {skipped[0].path}: {skipped[0].reason}")
    return IndexResult(
        index=request.index,
        num_files=len(files),
        num_added=num_added,
        num_known=num_known,
        skipped=tuple(skipped),
    )


def _cut_file(path: Path, source: str, labels: Labels, request: IndexRequest, pipeline: FoleyPipeline) -> list[_Cut]:
    """Return the clips of a file that hold sound; raises MediaError when none does."""
    config = pipeline.model.config
    rate = config.sample_rate
    cuts: list[_Cut] = []
    for start, waveform in cut_clips(path, sample_rate=rate, num_samples=config.ambient_samples, every=request.every):
        if waveform.shape[-1] < SHORTEST_SECONDS * rate:
            raise MediaError(f"{path}: shorter than {SHORTEST_SECONDS:g} s")
        level = background_level_db(waveform, rate)
        if level < SILENCE_DBFS:
            continue
        clip = LibraryClip(
            key=_key(source, len(cuts)),
            ambient_db=level,
            scene=labels.scene,
            captions=labels.captions,
            licence=labels.licence,
            source=source,
            start=start / rate,
            seconds=waveform.shape[-1] / rate,
        )
        cuts.append(_Cut(clip=clip, waveform=waveform.copy()))
    if not cuts:
        raise MediaError(f"{path}: silent")
    return cuts


def _rows(cuts: Sequence[_Cut], index: VectorIndex, pipeline: FoleyPipeline, request: IndexRequest) -> list[LibraryRow]:
    rate = pipeline.model.config.sample_rate
    embeddings = embed_sounds(pipeline, [cut.waveform for cut in cuts])
    if not np.isfinite(embeddings).all():
        raise InputError(f'model "{request.model}" gave embeddings that are not finite')
    return [
        LibraryRow(
            clip=cut.clip,
            embedding=embedding,
            model_id=index.space.model_id,
            audio=to_flac(cut.waveform, rate) if request.stores_audio else None,
        )
        for cut, embedding in zip(cuts, embeddings, strict=True)
    ]


def _key(source: str, number: int) -> str:
    return f"{source}#{number}"


def _source_name(path: Path, location: str) -> str:
    return path.resolve().as_posix() if "://" in location else relative_to(path, Path(location).parent)


def _reason(error: MediaError, path: Path) -> str:
    """Return what an error says besides the name of the file, so that equal reasons can be counted."""
    return " ".join(str(error).replace(f"{path}: ", "").replace(str(path), "the file").split())
