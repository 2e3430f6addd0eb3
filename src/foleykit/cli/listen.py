"""`foley listen`: people choose between systems they cannot tell apart, on a page of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress
from foleykit.core.errors import UsageError

if TYPE_CHECKING:
    from foleykit.evaluation.listening import Agreement, CriterionResult
    from foleykit.evaluation.metrics.intervals import Estimate

Option = typer.Option
Study = Annotated[Path, typer.Argument(metavar="STUDY", help="The folder of the listening test.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, kw_only=True)
class MakeArgs:
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="New folder for the listening test.")]
    systems: Annotated[
        list[str],
        typer.Argument(metavar="FOLDER...", help="A folder of sound or video files for each system, or NAME=FOLDER."),
    ]
    pictures: Annotated[
        Path | None,
        Option(metavar="DIR", help="Videos to show; default: the pictures of the first system that has some."),
    ] = None
    criterion: Annotated[
        list[str] | None,
        Option(
            metavar="NAME",
            help="A question to ask: overall, relevance, alignment, action or ambience; may be repeated. "
            "Default: the first three.",
        ),
    ] = None
    layout: Annotated[
        Literal["all", "pairs"], Option(help="all: the best of all systems on each clip; pairs: two systems at a time.")
    ] = "all"
    several: Annotated[bool, Option("--several", help="Let listeners choose more than one sound.")] = False
    num_trials: Annotated[
        int | None, Option(metavar="N", min=1, help="Comparisons per listener; default: all there are.")
    ] = None
    title: Annotated[str, Option(metavar="TEXT", help="What the page is called; listeners read it.")] = "Listening test"
    seed: Annotated[int, Option(min=0, help="Draws the order of clips and sounds.")] = 0
    json: Json = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print errors and warnings only.")] = False


@dataclass(frozen=True, kw_only=True)
class ServeArgs:
    study: Study
    host: Annotated[str, Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 lets other machines in.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Option(metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")] = 8765


@dataclass(frozen=True, kw_only=True)
class ResultsArgs:
    study: Study
    json: Json = False


def run_make(args: MakeArgs) -> None:
    """Make a listening test of files that have the same name in every system's folder."""
    from foleykit.jobs.listen import DEFAULT_CRITERIA, StudyRequest, make_study, named_folders

    request = StudyRequest(
        folder=args.study,
        systems=named_folders(args.systems),
        pictures=args.pictures,
        criteria=tuple(args.criterion or DEFAULT_CRITERIA),
        layout=args.layout,
        several=args.several,
        num_trials=args.num_trials,
        title=args.title,
        seed=args.seed,
    )
    with progress(quiet=args.quiet or args.json) as report:
        made = make_study(request, report=report)
    if args.json:
        print_json(made.to_dict())
    elif not args.quiet:
        print(f"{made.folder}: {made.num_clips} clips of {len(made.systems)} systems, {made.num_trials} comparisons")
        print(f"{len(made.unpaired)} left out: some system lacks them")
        for name, systems in made.unpaired.items():
            print(f"  {name}: not in {', '.join(systems)}")
        print(f"{len(made.unusable)} left out: cannot be shown or heard")
        for name, reason in made.unusable.items():
            print(f"  {name}: {reason}")


def run_serve(args: ServeArgs) -> None:
    """Serve the page of a listening test until Ctrl+C; started again, listeners go on where they stopped."""
    from foleykit.jobs.listen_store import ListeningStudy

    try:
        from foleykit.web.listen import serve
    except ModuleNotFoundError as error:
        raise UsageError(f"the page needs {error.name}: pip install 'foleykit[web]'") from error

    study = ListeningStudy.open(args.study)
    try:
        serve(study, host=args.host, port=args.port, announce=lambda address: print(f"{address}", flush=True))
    finally:
        study.close()


def run_results(args: ResultsArgs) -> None:
    """Say how often each system was chosen, with 95 % intervals, and how far the listeners agree."""
    from foleykit.jobs.listen_results import study_results

    results = study_results(args.study)
    if args.json:
        print_json(results.to_dict())
        return
    there = results.attendance
    print(
        f"{results.title}: {there.num_listeners} listeners, {there.num_finished} of them through; "
        f"{there.num_finished_trials} of {there.num_listeners * there.num_trials} comparisons; "
        f"{results.num_clips} clips"
    )
    for criterion in results.criteria:
        print(f"\n{criterion.criterion}: {results.questions[criterion.criterion]}")
        _print_criterion(criterion)


def _print_criterion(result: CriterionResult) -> None:
    if not result.num_answers:
        print("  no answers yet")
        return
    width = max(len(system.system) for system in result.systems)
    for system in result.systems:
        print(f"  {system.system:<{width}}  {_percent(system.share)}  {system.num_chosen} of {system.num_shown}")
    if len(result.systems) > 2:
        for pair in result.pairs:
            print(
                f"  {pair.first} rather than {pair.second}: {_percent(pair.share)}  "
                f"{pair.num_first} to {pair.num_second}"
            )
    print(f"  {_agreement(result.agreement)}")


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:5.1f} %  [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _agreement(agreement: Agreement | None) -> str:
    if agreement is None:
        return "agreement: no two listeners have answered the same comparison yet"
    pairs = f"{100 * agreement.observed:.1f} % of pairs of listeners agree"
    if agreement.alpha is None:
        return f"agreement: {pairs}; every answer is the same, so chance would agree as well"
    interval = "" if agreement.low is None else f" [{agreement.low:.3f}, {agreement.high:.3f}]"
    return f"agreement: Krippendorff's alpha {agreement.alpha:.3f}{interval}; {pairs}"
