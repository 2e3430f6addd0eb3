"""`foley evaluate GENERATED --reference DIR` and `foley evaluate --compare A B C`: folders of media from any system."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress
from foleykit.core.errors import UsageError

if TYPE_CHECKING:
    from foleykit.evaluation.media_report import MediaReport
    from foleykit.evaluation.protocols import MediaProtocol

Option = typer.Option
Name = Literal["action2sound", "foleygen", "v2a", "onset"]
INCOMPLETE = 5
"""Exit code of a report that lacks clips or a figure that was asked for."""

ReferenceHelp = "Folder of recordings or videos with their own sound; files pair by name without suffix."
ProtocolHelp = "Which figures."
NetworksHelp = "Published networks as `foley models convert` writes them: folders vggish, cnn14, passt, imagebind."
CachesHelp = "Take features from av-benchmark's caches: GENERATED/cache and REFERENCE/cache."
SecondsHelp = "Compare only the beginning of every clip."
PartialHelp = "Accept that some clips are left out: they are still named, but the exit code is 0."


@dataclass(frozen=True, kw_only=True)
class MediaArgs:
    generated: Annotated[
        Path, typer.Argument(metavar="GENERATED", help="Folder of generated videos or sounds, from any system.")
    ]
    reference: Annotated[Path, Option(metavar="DIR", help=ReferenceHelp)]
    protocol: Annotated[Name, Option(help=ProtocolHelp)] = "v2a"
    embedding: Annotated[
        Path | None,
        Option(metavar="DIR", help="Trained material classifier, for Fréchet distance, precision, recall, coverage."),
    ] = None
    networks: Annotated[Path | None, Option(metavar="DIR", help=NetworksHelp)] = None
    caches: Annotated[bool, Option("--caches", help=CachesHelp)] = False
    take: Annotated[
        list[Path] | None, Option(metavar="DIR", help="Further sounds for the same clips; repeat for each take.")
    ] = None
    seconds: Annotated[float | None, Option(metavar="S", min=0.5, help=SecondsHelp)] = None
    require: Annotated[
        list[str] | None, Option(metavar="KEY", help="A figure without which the exit code is 5; repeatable.")
    ] = None
    partial: Annotated[bool, Option("--partial", help=PartialHelp)] = False
    seed: Annotated[int, Option(min=0, help="Redraws clips for intervals, pairs other clips.")] = 0
    output: Annotated[
        Path | None, Option("-o", "--output", metavar="DIR", help="Also write report and plots there.")
    ] = None
    workers: Annotated[int, Option(metavar="N", min=0, help="Processes; figures do not depend on it.")] = (
        os.cpu_count() or 1
    )
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class CompareArgs:
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FOLDER...",
            help="Folders that `foley evaluate -o` wrote, or with --reference folders of generated sound.",
        ),
    ]
    reference: Annotated[Path | None, Option(metavar="DIR", help=ReferenceHelp)] = None
    protocol: Annotated[Name, Option(help=ProtocolHelp)] = "v2a"
    networks: Annotated[Path | None, Option(metavar="DIR", help=NetworksHelp)] = None
    caches: Annotated[bool, Option("--caches", help=CachesHelp)] = False
    seconds: Annotated[float | None, Option(metavar="S", min=0.5, help=SecondsHelp)] = None
    partial: Annotated[bool, Option("--partial", help="Compare the clips that all systems have.")] = False
    seed: Annotated[int, Option(min=0, help="Redraws clips for intervals.")] = 0
    output: Annotated[Path | None, Option("-o", "--output", metavar="DIR", help="Also write the comparison there.")] = (
        None
    )
    workers: Annotated[int, Option(metavar="N", min=0, help="Processes; figures do not depend on it.")] = (
        os.cpu_count() or 1
    )
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    folder: Annotated[Path, typer.Argument(help="Folder of sounds or videos; its folder cache receives the features.")]
    networks: Annotated[Path, Option(metavar="DIR", help=NetworksHelp)]
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


def run_cache(args: CacheArgs) -> None:
    """Write what published networks hear in a folder's files, in the layout of av-benchmark's caches."""
    from foleykit.evaluation.av_benchmark import write_cache
    from foleykit.evaluation.published_networks import open_published

    # av-benchmark's own conventions are those of protocol v2a.
    networks = open_published(args.networks, "v2a")
    with progress(quiet=args.json) as report:
        written = write_cache(args.folder, networks, report)
    if args.json:
        print_json({"files": [str(path) for path in written]})
    else:
        print("\n".join(map(str, written)))


def run_media(args: MediaArgs) -> None:
    """Score a folder of generated media against recordings of the same names, beside chance, with 95 % intervals."""
    from foleykit.evaluation.protocols import PROTOCOLS
    from foleykit.jobs.evaluate import EvaluateRequest, evaluate

    known = [metric.key for metric in PROTOCOLS[args.protocol].metrics]
    required = list(args.require or ())
    for key in required:
        if key not in known:
            raise UsageError(f'protocol {args.protocol} has no figure "{key}"; it has {", ".join(known)}')
    if (args.embedding or args.networks or args.caches) and not PROTOCOLS[args.protocol].networks:
        raise UsageError(f"protocol {args.protocol} needs no network; leave out --embedding, --networks and --caches")
    request = EvaluateRequest(
        generated=args.generated,
        reference=args.reference,
        protocol=_protocol(args.protocol, args.seconds, args.seed),
        takes=tuple(args.take or ()),
        embedding=args.embedding,
        networks=args.networks,
        uses_caches=args.caches,
        output=args.output,
        num_workers=args.workers,
    )
    with progress(quiet=args.json) as report:
        result = evaluate(request, progress=report)
    if args.json:
        print_json(result.to_json())
    else:
        result.print()
    # Whoever names an embedding or takes wants their figures.
    required += ["fd_material"] if args.embedding is not None else []
    required += ["take_diversity_db"] if args.take and "take_diversity_db" in known else []
    _exit_if_incomplete(result, required, is_partial=args.partial)


def run_compare(args: CompareArgs) -> None:
    """Rank systems by paired tests on the same clips."""
    from foleykit.jobs.evaluate import EvaluateRequest, compare_folders, compare_reports, name_systems

    folders = name_systems(args.systems)
    reference = args.reference
    if reference is None and (args.networks is not None or args.caches or args.seconds is not None):
        raise UsageError("reports are compared as they are; --networks, --caches and --seconds need --reference")
    with progress(quiet=args.json) as report:
        if reference is None:
            result = compare_reports(folders, is_partial=args.partial, output=args.output)
        else:
            protocol = _protocol(args.protocol, args.seconds, args.seed)
            result = compare_folders(
                folders,
                lambda folder: EvaluateRequest(
                    generated=folder,
                    reference=reference,
                    protocol=protocol,
                    networks=args.networks,
                    uses_caches=args.caches,
                    num_workers=args.workers,
                ),
                is_partial=args.partial,
                output=args.output,
                progress=report,
            )
    if args.json:
        print_json(result.to_json())
    else:
        result.print()


def _protocol(name: Name, seconds: float | None, seed: int) -> MediaProtocol:
    from foleykit.evaluation.protocols import MediaProtocol
    from foleykit.evaluation.sound_measures import MeasureConfig

    return MediaProtocol(name=name, measure=MeasureConfig(seconds=seconds), seed=seed)


def _exit_if_incomplete(result: MediaReport, required: list[str], *, is_partial: bool) -> None:
    missing = [f"{key} ({result.metrics_left_out[key]})" for key in required if key in result.metrics_left_out]
    if missing:
        warnings.warn(f"the report lacks {', '.join(missing)}", stacklevel=1)
    if not (is_partial or result.is_complete):
        warnings.warn(
            f"{len(result.left_out)} clips were left out, so figures of other systems on other clips do not compare; "
            "--partial accepts this",
            stacklevel=1,
        )
    if missing or not (is_partial or result.is_complete):
        raise typer.Exit(INCOMPLETE)
