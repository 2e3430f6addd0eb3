"""`foley data`: filter corpora, cut them into training shards, write the simulated world as a corpus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress

if TYPE_CHECKING:
    from foleykit.jobs.data import CorpusRequest

Option = typer.Option
Corpus = Annotated[
    Literal["ego4d-sounds", "epic-kitchens", "vggsound", "folder", "manifest"],
    typer.Argument(help="What the videos are; manifest is a table of foleykit's own, such as a filter's kept.csv."),
]
Videos = Annotated[Path, Option(metavar="DIR", help="Folder of the long videos.")]
Metadata = Annotated[Path | None, Option(metavar="CSV", help="The corpus' own table; a plain folder has none.")]
Split = Annotated[
    Literal["train", "valid", "test"],
    Option(help="What the table lists; of an Ego4D-Sounds train list one video in twenty becomes valid."),
]
Durations = Annotated[Path | None, Option(metavar="JSON", help="ego4d.json, to take the videos' lengths from.")]
Seconds = Annotated[float, Option(metavar="S", min=0.1, help="Length of a clip.")]
Engine = Annotated[Literal["local", "ray"], Option(help="Processes on this machine, or a Ray cluster.")]
Workers = Annotated[int, Option(metavar="N", min=0, help="Processes; 0 works in this one. Results do not change.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, Option("-q", "--quiet", help="Print errors and warnings only.")]


@dataclass(frozen=True, kw_only=True)
class PrepareArgs:
    corpus: Corpus
    output: Annotated[Path, typer.Argument(help="Where the shards go; a killed run in it goes on.")]
    videos: Videos
    metadata: Metadata = None
    split: Split = "train"
    durations: Durations = None
    clip_seconds: Seconds = 3.0
    size: Annotated[int, Option(metavar="PIXELS", min=16, help="Width and height of the pictures; even.")] = 224
    sample_rate: Annotated[int, Option(metavar="HZ", min=1000, help="Of the sound, which becomes mono.")] = 16_000
    clips_per_shard: Annotated[int, Option(metavar="N", min=1, help="Close a shard when it holds so many.")] = 500
    on_error: Annotated[Literal["skip", "stop"], Option(help="A corrupt video: list its clips and go on, or stop.")] = (
        "skip"
    )
    engine: Engine = "local"
    workers: Workers = 2
    json: Json = False
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class FilterArgs:
    corpus: Corpus
    output: Annotated[Path, typer.Argument(help="Where kept.csv, the report and samples to listen to go.")]
    videos: Videos
    metadata: Metadata = None
    split: Split = "train"
    durations: Durations = None
    clip_seconds: Seconds = 3.0
    silence_db: Annotated[
        float, Option(metavar="DB", help="silence: drop when the loudest 50 ms are below, in dBFS.")
    ] = -75.0
    speech_probability: Annotated[
        float, Option(metavar="P", help="social: drop when speech is at least so likely.")
    ] = 0.5
    music_probability: Annotated[
        float, Option(metavar="P", help="speech-or-music: drop when either is at least so likely ...")
    ] = 0.5
    other_probability: Annotated[float, Option(metavar="P", help="... and anything else is less likely than this.")] = (
        0.5
    )
    energy_db: Annotated[
        float, Option(metavar="DB", help="low-energy: drop when the loudest 50 ms are below, in dBFS.")
    ] = -46.0
    tagger: Annotated[
        Path | None,
        Option(metavar="DIR", help="Folder of an AudioSet AST for transformers; without it the signal is measured."),
    ] = None
    device: Annotated[str, Option(help="Where the tagger runs: cpu, cuda, cuda:1 or mps.")] = "cpu"
    num_samples: Annotated[int, Option(metavar="N", min=0, help="Clips to listen to, for each stage.")] = 5
    engine: Engine = "local"
    workers: Workers = 2
    json: Json = False
    quiet: Quiet = False


@dataclass(frozen=True, kw_only=True)
class WorldArgs:
    output: Annotated[Path, typer.Argument(help="Where videos/, metadata.csv and truth.csv go.")]
    num_videos: Annotated[int, Option(metavar="N", min=1, help="Long videos.")] = 10
    seconds: Annotated[float, Option(metavar="S", min=6, help="Length of each place, before what is planted.")] = 20.0
    size: Annotated[int, Option(metavar="PIXELS", min=16, help="Width and height of the pictures.")] = 128
    sample_rate: Annotated[int, Option(metavar="HZ", min=8000, help="Of the sound.")] = 16_000
    num_planted: Annotated[
        int, Option(metavar="N", min=0, help="Stretches of silence, speech, music and low energy, of each, per video.")
    ] = 1
    seed: Annotated[int, Option(min=0, help="Draws the world.")] = 0
    split: Annotated[Literal["train", "valid", "test"], Option(help="Whose places.")] = "train"
    recordings: Annotated[
        Path | None,
        Option(metavar="DIR", help="Folder with actions/ and ambient/ recordings to voice part of the events."),
    ] = None
    workers: Workers = 2
    json: Json = False
    quiet: Quiet = False


def _corpus(args: PrepareArgs | FilterArgs) -> CorpusRequest:
    from foleykit.jobs.data import CorpusRequest

    return CorpusRequest(
        corpus=args.corpus,
        videos=args.videos,
        metadata=args.metadata,
        split=args.split,
        durations=args.durations,
        clip_seconds=args.clip_seconds,
    )


def run_prepare(args: PrepareArgs) -> None:
    """Cut a corpus into training shards, decoding each long video once; what cannot be used is counted and listed."""
    from foleykit.data.prepare import PrepareConfig
    from foleykit.data.span_types import CutConfig
    from foleykit.jobs.data import PrepareRequest, prepare_corpus

    cut = CutConfig(size=(args.size, args.size), sample_rate=args.sample_rate)
    request = PrepareRequest(
        corpus=_corpus(args),
        output=args.output,
        config=PrepareConfig(cut=cut, clips_per_shard=args.clips_per_shard, on_error=args.on_error),
        engine=args.engine,
        workers=args.workers,
    )
    with progress(quiet=args.quiet) as report:
        result = prepare_corpus(request, report)
    if args.json:
        print_json({"folder": str(result.folder), **result.to_dict()})
    elif not args.quiet:
        print(f"{result.folder}: {result.num_clips} clips in {result.num_shards} shards")
        if result.num_resumed:
            print(f"{result.num_resumed} shards were there already")
        for name in result.unknown_columns:
            print(f'column "{name}" is unknown and was ignored')
        for reason, count in result.counts().items():
            print(f"{count} left out: {reason}")
        for path in result.corrupt_videos:
            print(f"corrupt: {path}")
        if result.rejected:
            print(f"every one of them is listed in {result.folder / 'rejected.csv'}")


def run_filter(args: FilterArgs) -> None:
    """Drop clips that are silent, social, only speech or music, or of low energy, and say how many of each."""
    from foleykit.data.filtering import FilterConfig
    from foleykit.data.taggers import AstTaggerConfig, SignalTaggerConfig
    from foleykit.jobs.data import FilterRequest, filter_corpus

    tagger = SignalTaggerConfig() if args.tagger is None else AstTaggerConfig(folder=args.tagger, device=args.device)
    config = FilterConfig(
        silence_db=args.silence_db,
        speech_probability=args.speech_probability,
        music_probability=args.music_probability,
        other_probability=args.other_probability,
        energy_db=args.energy_db,
        tagger=tagger,
    )
    request = FilterRequest(
        corpus=_corpus(args),
        output=args.output,
        config=config,
        num_samples=args.num_samples,
        engine=args.engine,
        workers=args.workers,
    )
    with progress(quiet=args.quiet) as report:
        result = filter_corpus(request, report)
    if args.json:
        print_json({"folder": str(args.output), **result.to_dict()})
    elif not args.quiet:
        print(f"{args.output / 'kept.csv'}: {len(result.kept)} of {len(result.verdicts)} clips stay")
        for stage, count in result.stage_counts().items():
            print(f"{count} dropped: {stage}")
        for reason, count in result.reason_counts().items():
            print(f"{count} could not be judged: {reason}")


def run_world(args: WorldArgs) -> None:
    """Write the simulated world as long videos and metadata like Ego4D-Sounds, with clips that a filter must drop."""
    from foleykit.data.corpora.world import ExportConfig, export_world
    from foleykit.world.config import WorldConfig

    config = ExportConfig(
        world=WorldConfig(seconds=args.seconds, frame_size=(args.size, args.size)),
        num_videos=args.num_videos,
        seed=args.seed,
        split=args.split,
        sample_rate=args.sample_rate,
        num_planted=args.num_planted,
    )
    with progress(quiet=args.quiet) as report:
        truths = export_world(args.output, config, recordings=args.recordings, workers=args.workers, report=report)
    kinds = [truth.kind for truth in truths]
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    if args.json:
        print_json({"folder": str(args.output), "num_videos": args.num_videos, "clips": counts})
    elif not args.quiet:
        listed = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        print(f"{args.output}: {args.num_videos} long videos with {len(kinds)} clips ({listed})")
