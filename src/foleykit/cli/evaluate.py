"""`foley evaluate`: score generated sound against what is known to be true."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foleykit.cli.show import print_json, progress
from foleykit.core.errors import ModelError, UsageError

if TYPE_CHECKING:
    from foleykit.evaluation.report import Report

Option = typer.Option

RETRIEVAL_VIDEOS = 200
"""Long videos of the training split that the retrieval baseline may take its sound from."""


@dataclass(frozen=True, kw_only=True)
class WorldArgs:
    reference: Annotated[Path, typer.Argument(help="Reference set cut from the world: manifest.jsonl and true stems.")]
    conditions: Annotated[
        list[str], typer.Argument(metavar="NAME=FOLDER...", help="Folders of generated sound, named.")
    ]
    classifier: Annotated[
        Path | None, Option(metavar="DIR", help="Trained material classifier; without it its figures are left out.")
    ] = None
    output: Annotated[Path | None, Option("-o", "--output", metavar="DIR", help="Also write the report there.")] = None
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class ModelArgs:
    model: Annotated[str, typer.Argument(help="A shipped model or a model folder.")] = "tiny-avldm"
    data: Annotated[
        Path, Option(metavar="DIR", help="Cache of the world; missing videos of unseen places are rendered.")
    ] = Path("cache/world")
    num_videos: Annotated[
        int,
        Option(metavar="N", min=1, help="Long videos of the training split; a sixteenth as many are unseen places."),
    ] = 1000
    seed: Annotated[int, Option(min=0, help="Draws the world.")] = 0
    num_clips: Annotated[int, Option(metavar="N", min=2, help="Clips of three seconds.")] = 256
    guidance_scale: Annotated[float | None, Option(metavar="X", help="Default: the model's.")] = None
    classifier: Annotated[
        Path | None, Option(metavar="DIR", help="Trained material classifier; without it its figures are left out.")
    ] = None
    output: Annotated[
        Path,
        Option("-o", "--output", metavar="DIR", help="Receives the clips, what was generated for them, the report."),
    ] = Path("runs/evaluation")
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class AmbienceArgs:
    model: Annotated[str, typer.Argument(help="A shipped model or a model folder.")] = "tiny-avldm"
    data: Annotated[Path, Option(metavar="DIR", help="Cache of the world; missing unseen places are rendered.")] = Path(
        "cache/world"
    )
    recordings: Annotated[Path | None, Option(metavar="DIR", help="The recordings that the cache was built with.")] = (
        None
    )
    num_scenes: Annotated[int, Option(metavar="N", min=4, help="Unseen places.")] = 256
    seed: Annotated[int, Option(min=0, help="Draws the world.")] = 0
    output: Annotated[Path | None, Option("-o", "--output", metavar="FILE", help="Also write it there as JSON.")] = None
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class RealArgs:
    videos: Annotated[Path, typer.Argument(help="Folder of videos with their recorded sound.")]
    generated: Annotated[Path, typer.Argument(help="Folder of generated sound or videos of the same names.")]
    output: Annotated[Path | None, Option("-o", "--output", metavar="DIR", help="Also write the report there.")] = None
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False


def run_world(args: WorldArgs) -> None:
    """Score generated sound on clips of the world, beside ground truth and chance, with 95 % intervals."""
    from foleykit.evaluation.material_classifier import MaterialClassifier
    from foleykit.evaluation.world import evaluate_world

    folders = dict(split_condition(condition) for condition in args.conditions)
    classifier = None if args.classifier is None else MaterialClassifier.load(args.classifier)
    with progress(quiet=args.json) as report:
        result = evaluate_world(args.reference, folders, classifier=classifier, progress=report)
    show(result, args.output, as_json=args.json)


def run_model(args: ModelArgs) -> None:
    """Score a model on clips of unseen places: quiet, true and retrieved ambience, a retrieval baseline, the dial.

    Only models of the tiny-avldm kind compare pictures with sounds: of others retrieval and its baseline are left out.
    Those that read text are given none.
    """
    from foleykit.evaluation.material_classifier import MaterialClassifier
    from foleykit.evaluation.plots import dial_curve
    from foleykit.evaluation.world import evaluate_world
    from foleykit.jobs.load import load
    from foleykit.models.avldm.pipeline import AvLdmPipeline
    from foleykit.models.foleygen.pipeline import FoleyGenPipeline
    from foleykit.models.textvideo.pipeline import TextVideoPipeline
    from foleykit.recipes import avldm_evaluation as recipe
    from foleykit.recipes.ambience_retrieval import read_retrieval, retrieval_table
    from foleykit.recipes.textvideo_table import Unprompted
    from foleykit.recipes.world_data import WorldDataArgs, open_world
    from foleykit.world.config import WorldConfig

    classifier = None if args.classifier is None else MaterialClassifier.load(args.classifier)
    loaded = load(args.model, device=args.device).model
    model = Unprompted(model=loaded) if isinstance(loaded, TextVideoPipeline) else loaded
    frame_size = model.config.frame_size
    if not isinstance(model, AvLdmPipeline | FoleyGenPipeline | Unprompted) or frame_size is None:
        raise ModelError(f"{args.model}: unseen places are scored for models that were trained on the world")
    data = WorldDataArgs(
        cache=args.data,
        num_videos=args.num_videos,
        seed=args.seed,
        world=WorldConfig(frame_size=frame_size, video_fps=model.config.video_fps),
        sample_rate=model.config.sample_rate,
    )
    clips = recipe.WorldSetArgs(data=data, folder=args.output, num_clips=args.num_clips)
    reference = args.output / "reference"
    recipe.write_world_reference(clips)
    with progress(quiet=args.json) as report:
        scored: recipe.SoundModel[Any] = model
        ambients: dict[str, recipe.Ambient[Any]] = {
            "quiet": recipe.quiet_ambient(scored),
            "neighbour": recipe.neighbour_ambient(reference),
        }
        if isinstance(model, AvLdmPipeline):
            ambients["retrieved"] = recipe.retrieved_ambient(model)
        folders = {
            name: recipe.generate_condition(
                clips, scored, name, ambient, guidance_scale=args.guidance_scale, progress=report
            )
            for name, ambient in ambients.items()
        }
        if isinstance(model, AvLdmPipeline):
            if model.takes_events:
                folders["told the true events"] = recipe.told_condition(clips, model, progress=report)
            folders["retrieval baseline"] = recipe.retrieve_condition(
                clips, model, open_world(replace(data, num_videos=RETRIEVAL_VIDEOS), "train")
            )
        result = evaluate_world(reference, folders, classifier=classifier, progress=report)
        report("dial", 0)
        dial = recipe.read_dial(clips, scored)
        report("retrieval", 0)
        retrieval = read_retrieval(data, model) if isinstance(model, AvLdmPipeline) else None
    show(result, args.output, as_json=args.json)
    (args.output / "dial.json").write_text(json.dumps(asdict(dial), indent=2) + "\n")
    asked, heard = zip(*((point.level_db, point.gap_level_db) for point in dial.points), strict=True)
    dial_curve(args.output / "dial.png", asked, heard, dial.spearman)
    if retrieval is not None:
        (args.output / "retrieval.json").write_text(json.dumps(asdict(retrieval), indent=2) + "\n")
    if not args.json:
        points = ", ".join(f"{point.level_db:.0f} → {point.gap_level_db:.1f}" for point in dial.points)
        print(f"ambience asked for → heard, dBFS: {points}. {dial.in_words()}")
    if not args.json and retrieval is not None:
        print(retrieval_table(retrieval))


def run_ambience(args: AmbienceArgs) -> None:
    """Count in how many unseen places `auto` picks a background whose source is in sight, beside chance."""
    from foleykit.jobs.load import load
    from foleykit.models.avldm.pipeline import AvLdmPipeline
    from foleykit.recipes.ambience_retrieval import read_retrieval, retrieval_table
    from foleykit.recipes.world_data import WorldDataArgs
    from foleykit.world.config import WorldConfig

    model = load(args.model, device=args.device).model
    if not isinstance(model, AvLdmPipeline):
        raise ModelError(f"{args.model}: only models that compare pictures with sounds choose an ambience by them")
    data = WorldDataArgs(
        cache=args.data,
        num_videos=16 * args.num_scenes,
        seed=args.seed,
        recordings=args.recordings,
        world=WorldConfig(frame_size=model.config.frame_size, video_fps=model.config.video_fps),
    )
    with progress(quiet=args.json) as report:
        retrieval = read_retrieval(data, model, report=report)
    if args.output is not None:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(asdict(retrieval), indent=2) + "\n")
    if args.json:
        print_json(asdict(retrieval))
    else:
        print(retrieval_table(retrieval))


def run_real(args: RealArgs) -> None:
    """Score when generated sounds begin against videos' own recordings, beside chance, with 95 % intervals."""
    from foleykit.evaluation.real import evaluate_real, recorded_videos

    with progress(quiet=args.json) as report:
        result = evaluate_real(recorded_videos(args.videos), args.generated, progress=report)
    show(result, args.output, as_json=args.json)


def split_condition(text: str) -> tuple[str, Path]:
    """Return name and folder of `NAME=FOLDER`; raises UsageError."""
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise UsageError(f'"{text}" is not a condition; write NAME=FOLDER, such as quiet=runs/quiet')
    if not Path(folder).is_dir():
        raise UsageError(f"{folder}: no such folder")
    return name, Path(folder)


def show(result: Report, output: Path | None, *, as_json: bool) -> None:
    """Print the report and, where asked, write it to a folder."""
    if output is not None:
        result.save(output)
    if as_json:
        print_json(result.to_json())
    else:
        result.print()
