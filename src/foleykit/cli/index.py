"""`foley index`: libraries of ambient clips that pictures and sounds can be compared with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress

if TYPE_CHECKING:
    from foleykit.jobs.index import IndexRequest, IndexResult

Option = typer.Option

SHOWN_SKIPS = 5
"""Skipped files that are named on a terminal; --json names all."""


@dataclass(frozen=True, kw_only=True)
class AddArgs:
    index: Annotated[
        str, typer.Argument(metavar="INDEX", help="The index: a file (SQLite), or a folder or URI (LanceDB).")
    ]
    media: Annotated[list[Path], typer.Argument(metavar="MEDIA...", help="Folders or files of sound or video.")]
    model: Annotated[str, Option(help="Whose embeddings: a shipped model or a model folder.")] = "tiny-avldm"
    scene: Annotated[str, Option(metavar="NAME", help="Scene of all files; default: the name of the sub-folder.")] = ""
    caption: Annotated[
        list[str] | None, Option(metavar="TEXT", help="What is heard in all files; may be repeated.")
    ] = None
    licence: Annotated[str, Option(metavar="NAME", help="Licence of all files, such as CC0-1.0.")] = ""
    table: Annotated[
        Path | None,
        Option(metavar="CSV", help="Scene, captions (separated by |) and licence by path, for files that differ."),
    ] = None
    every: Annotated[
        float | None, Option(metavar="S", help="Cut a clip every S seconds; default: one from the middle of each file.")
    ] = None
    store_audio: Annotated[
        bool, Option("--store-audio", help="Keep the sound in the index, so that it needs the files no more.")
    ] = False
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print errors and warnings only.")] = False


@dataclass(frozen=True, kw_only=True)
class BuildArgs(AddArgs):
    backend: Annotated[
        Literal["sqlite", "lancedb"],
        Option(help="sqlite: one file, exact search in memory; lancedb: a folder or URI, for millions of clips."),
    ] = "sqlite"
    overwrite: Annotated[bool, Option("--overwrite", help="Replace an existing index.")] = False


@dataclass(frozen=True, kw_only=True)
class QueryArgs:
    index: Annotated[str, typer.Argument(metavar="INDEX", help="The index.")]
    media: Annotated[
        Path, typer.Argument(metavar="MEDIA", help="A video, whose pictures are compared, or a recording.")
    ]
    by: Annotated[
        Literal["auto", "pictures", "sound"], Option(help="What is compared; auto: the pictures where there are any.")
    ] = "auto"
    where: Annotated[
        list[str] | None,
        Option(metavar="FILTER", help='Such as "ambient_db < -50 and scene = kitchen"; may be repeated.'),
    ] = None
    num_matches: Annotated[int, Option("-n", "--num-matches", metavar="N", min=1, help="Clips to list.")] = 10
    model: Annotated[str, Option(help="Whose embeddings: a shipped model or a model folder.")] = "tiny-avldm"
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class StatsArgs:
    index: Annotated[str, typer.Argument(metavar="INDEX", help="The index.")]
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


def run_build(args: BuildArgs) -> None:
    """Make an index of the sound and video files of folders. Killed, it holds what it has committed: go on with add."""
    from foleykit.jobs.index import build_index

    with progress(quiet=args.quiet or args.json) as report:
        result = build_index(_request(args), backend=args.backend, overwrite=args.overwrite, report=report)
    _show(result, args)


def run_add(args: AddArgs) -> None:
    """Add files to an index; what it holds already is left alone."""
    from foleykit.jobs.index import add_to_index

    with progress(quiet=args.quiet or args.json) as report:
        result = add_to_index(_request(args), report=report)
    _show(result, args)


def run_query(args: QueryArgs) -> None:
    """List the clips of an index that go best with a video's pictures, or sound most like a recording."""
    from foleykit.jobs.index import query_index
    from foleykit.retrieval.filters import EVERYTHING, parse_filter

    where = EVERYTHING
    for text in args.where or ():
        where &= parse_filter(text)
    matches = query_index(
        args.index,
        args.media,
        by=args.by,
        where=where,
        num_matches=args.num_matches,
        model=args.model,
        device=args.device,
    )
    if args.json:
        print_json({"matches": [{"score": match.score, **asdict(match.clip)} for match in matches]})
        return
    if not matches:
        print("no clip passes the filter" if args.where else "the index is empty")
        return
    print_table(
        ("score", "dBFS", "scene", "licence", "clip"),
        [
            (f"{match.score:.3f}", f"{match.clip.ambient_db:.1f}", match.clip.scene, match.clip.licence, match.clip.key)
            for match in matches
        ],
    )


def run_stats(args: StatsArgs) -> None:
    """Say what an index holds: clips, dimensions, model, size, levels, scenes, licences."""
    from foleykit.jobs.index import index_stats

    stats = index_stats(args.index)
    if args.json:
        print_json(asdict(stats))
        return
    lines = {
        "index": f"{stats.location} ({stats.backend})",
        "clips": f"{stats.num_clips}, {stats.num_with_audio} of them with their sound",
        "embeddings": str(stats.space),
        "size": "not on this machine" if stats.num_bytes is None else f"{stats.num_bytes / 1e6:.1f} MB",
    }
    if stats.ambient_db is not None:
        lowest, median, highest = stats.ambient_db
        lines["ambient_db"] = f"{lowest:.1f} to {highest:.1f} dBFS, median {median:.1f}"
    for name, counts in (("scenes", stats.scenes), ("licences", stats.licences)):
        lines[name] = ", ".join(f"{text or 'not told'} {count}" for text, count in counts.items())
    for name, text in lines.items():
        print(f"{name:<12} {text}")


def print_table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print rows under their heads, in columns as wide as what they hold."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    for row in [heads, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _request(args: AddArgs) -> IndexRequest:
    from foleykit.jobs.index import IndexRequest
    from foleykit.jobs.library_media import Labels

    return IndexRequest(
        index=args.index,
        media=tuple(args.media),
        model=args.model,
        labels=Labels(scene=args.scene, captions=tuple(args.caption or ()), licence=args.licence),
        table=args.table,
        every=args.every,
        stores_audio=args.store_audio,
        device=args.device,
    )


def _show(result: IndexResult, args: AddArgs) -> None:
    if args.json:
        print_json(result.to_dict())
        return
    if args.quiet:
        return
    print(f"{result.index}: {result.num_added} clips added from {result.num_files} files")
    if result.num_known:
        print(f"{result.num_known} files were in it already")
    if result.skipped:
        print(f"{len(result.skipped)} files skipped:")
        for reason, count in result.reasons.items():
            names = [str(skip.path) for skip in result.skipped if skip.reason == reason]
            more = ", ..." if count > SHOWN_SKIPS else ""
            print(f"  {count} x {reason}: {', '.join(names[:SHOWN_SKIPS])}{more}")
