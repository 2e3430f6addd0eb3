"""`foley generate`: one video in, the same pictures with a generated soundtrack out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress

if TYPE_CHECKING:
    from foleykit.jobs.generate import GenerateResult

Option = typer.Option

NOTHING_SEEN = (
    "nothing is seen that would sound: a higher --sensitivity hears fainter signs, --events FILE what you say"
)


@dataclass(frozen=True, kw_only=True)
class Args:
    video: Annotated[Path | None, typer.Argument(help="The video; with --replay it may be left out.")] = None
    output: Annotated[
        Path | None,
        Option(
            "-o", "--output", help="mp4, mov, mkv or webm; or wav or flac for sound alone. Default: NAME.foley.EXT."
        ),
    ] = None
    model: Annotated[str, Option(help="A shipped model (foley models list) or a model folder.")] = "tiny-avldm"
    ambient: Annotated[
        str,
        Option(
            metavar="auto|quiet|original|FILE",
            help="Background: fitting the pictures, (nearly) none, the video's own, or that of a recording.",
        ),
    ] = "auto"
    ambient_level: Annotated[
        float | None, Option(metavar="DB", help="Level of the background that is asked for, RMS in dBFS.")
    ] = None
    ambient_library: Annotated[
        str | None, Option(metavar="INDEX", help="Library that auto chooses from (foley index); default: the model's.")
    ] = None
    ambient_filter: Annotated[
        str, Option(metavar="FILTER", help='Clips of the library that may be chosen, such as "ambient_db < -50".')
    ] = ""
    prompt: Annotated[str | None, Option(metavar="TEXT", help="What should be heard, for models that read text.")] = (
        None
    )
    negative_prompt: Annotated[
        str | None, Option(metavar="TEXT", help="What should not be heard, for the same models.")
    ] = None
    cues: Annotated[
        Path | None,
        Option(metavar="FILE", help="JSON or CSV with start, end, prompt, negative_prompt: prompts for stretches."),
    ] = None
    events: Annotated[
        Path | None,
        Option(metavar="FILE", help="JSON or CSV from foley events: what is heard to happen instead of what is seen."),
    ] = None
    transcript: Annotated[
        Path | None,
        Option(metavar="FILE", help="JSON, CSV, SRT or VTT with times and text, spoken by espeak-ng; not lip-synced."),
    ] = None
    language: Annotated[str, Option(metavar="TAG", help="Of a transcript's lines that name none, such as de.")] = "en"
    speech: Annotated[
        bool, Option("--speech/--no-speech", help="Keep a take in which speech is heard, or make another.")
    ] = False
    music: Annotated[
        bool, Option("--music/--no-music", help="Keep a take in which music is heard, or make another.")
    ] = True
    original: Annotated[
        Literal["replace", "keep", "duck"],
        Option(
            help="The video's own sound: leave it out, mix it in, or mix it in but lower it where the new sound acts."
        ),
    ] = "replace"
    seed: Annotated[
        int | None,
        Option(
            help="Another number gives another take; -1 draws one and prints it. Default: 0; with --range, a new one."
        ),
    ] = None
    num_takes: Annotated[int, Option(metavar="N", min=1, help="Write N takes with successive seeds.")] = 1
    select: Annotated[
        Literal["all", "best"], Option(help="Of several takes, write all, or the one most in time with the pictures.")
    ] = "all"
    num_steps: Annotated[int | None, Option(metavar="N", min=1, help="Sampling steps; default: the model's.")] = None
    guidance_scale: Annotated[
        float | None, Option(metavar="X", help="How strongly the pictures steer; default: the model's.")
    ] = None
    sensitivity: Annotated[
        float,
        Option(metavar="X", help="How readily faint signs are heard: -1 only the clearest, 1 the faintest too."),
    ] = 0.0
    start: Annotated[
        float | None, Option(metavar="S", help="Only from here (seconds) is there new sound; before it the old stays.")
    ] = None
    end: Annotated[float | None, Option(metavar="S", help="Only up to here (seconds); after it the old stays.")] = None
    stems: Annotated[
        bool, Option("--stems", help="Also write NAME.action.wav, NAME.ambience.wav, NAME.speech.wav.")
    ] = False
    plot: Annotated[bool, Option("--plot", help="Also write NAME.png: pictures, onsets and spectrogram.")] = False
    loudness: Annotated[
        float | None, Option(metavar="LUFS", help="Integrated loudness of the result; default: as generated.")
    ] = None
    no_watermark: Annotated[
        bool, Option("--no-watermark", help="Leave the new sound unmarked; the sidecar records it.")
    ] = False
    watermark_key: Annotated[
        Path | None,
        Option(metavar="FILE", envvar="FOLEYKIT_WATERMARK_KEY", help="Mark with this key instead of the public one."),
    ] = None
    audioseal: Annotated[
        Path | None,
        Option(metavar="DIR", help="Mark by AudioSeal, with networks that foley models convert audioseal wrote."),
    ] = None
    certificate: Annotated[
        Path | None,
        Option(
            metavar="PEM", envvar="FOLEYKIT_CERTIFICATE", help="Sign content credentials with this certificate chain."
        ),
    ] = None
    private_key: Annotated[
        Path | None, Option(metavar="PEM", envvar="FOLEYKIT_PRIVATE_KEY", help="The certificate's private key.")
    ] = None
    audio_codec: Annotated[
        Literal["auto", "aac", "opus", "flac", "pcm"], Option(help="auto: AAC in mp4 and mov, Opus in mkv and webm.")
    ] = "auto"
    replay: Annotated[
        Path | None, Option(metavar="SIDECAR", help="Repeat the generation that a sidecar JSON describes.")
    ] = None
    range: Annotated[
        str | None,
        Option(
            metavar="S-S",
            help="With --replay: make only this stretch anew (seconds), under --seed, --prompt and --negative-prompt.",
        ),
    ] = None
    max_seconds: Annotated[float, Option(metavar="S", help="Refuse longer videos.")] = 4 * 3600.0
    max_pixels: Annotated[int, Option(metavar="N", help="Refuse larger pictures.")] = 8192 * 8192
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, mps or auto.")] = "cpu"
    dtype: Annotated[Literal["float32", "bfloat16", "float16"], Option(help="Precision of the networks.")] = "float32"
    overwrite: Annotated[bool, Option("--overwrite", help="Replace existing outputs.")] = False
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False
    verbose: Annotated[bool, Option("-v", "--verbose", help="Also print settings and times.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print errors and warnings only.")] = False


def run(args: Args) -> None:
    """Give one video a soundtrack, in time with what is seen."""
    from foleykit.core.errors import UsageError
    from foleykit.core.memory import giving_back
    from foleykit.core.ranges import parse_range
    from foleykit.jobs.credentials import Certificate
    from foleykit.jobs.cues import read_cues
    from foleykit.jobs.events import read_events
    from foleykit.jobs.generate import GenerateRequest, RerollRequest, generate
    from foleykit.jobs.mark import watermarker_of
    from foleykit.jobs.request import DRAW_SEED
    from foleykit.jobs.screening import unwanted_sounds
    from foleykit.jobs.soundtrack import Settings
    from foleykit.jobs.transcript import read_transcript
    from foleykit.video.info import MediaLimits

    if (args.certificate is None) != (args.private_key is None):
        raise UsageError("a signature needs both --certificate and --private-key")
    if args.no_watermark and args.audioseal is not None:
        raise UsageError("--no-watermark leaves AudioSeal's mark out too; give one of the two")
    certificate = None
    if args.certificate is not None and args.private_key is not None:
        certificate = Certificate(chain=args.certificate, private_key=args.private_key)

    prompt, negative_prompt = said(args.prompt), said(args.negative_prompt)
    draws_seed = args.seed == DRAW_SEED
    seed = None if draws_seed else args.seed
    reroll = None
    if args.range is not None:
        start, end = parse_range(args.range)
        reroll = RerollRequest(start=start, end=end, seed=seed, prompt=prompt, negative_prompt=negative_prompt)
    settings = Settings(
        ambient=args.ambient,
        ambient_level_db=args.ambient_level,
        ambient_library=args.ambient_library or "",
        ambient_filter=args.ambient_filter,
        prompt=prompt if reroll is None else "",
        negative_prompt=negative_prompt if reroll is None else "",
        cues=() if args.cues is None else read_cues(args.cues),
        events=None if args.events is None else read_events(args.events),
        transcript=() if args.transcript is None else read_transcript(args.transcript, args.language),
        original=args.original,
        seed=0 if seed is None or reroll is not None else seed,
        num_steps=args.num_steps,
        guidance_scale=args.guidance_scale,
        sensitivity=args.sensitivity,
        start=args.start,
        end=args.end,
        loudness_lufs=args.loudness,
        is_marked=not args.no_watermark,
    )
    request = GenerateRequest(
        video=args.video,
        output=args.output,
        model=args.model,
        settings=settings,
        draws_seed=draws_seed,
        num_takes=args.num_takes,
        select=args.select,
        unwanted=unwanted_sounds(speech=args.speech, music=args.music),
        writes_stems=args.stems,
        writes_plot=args.plot,
        audio_codec=None if args.audio_codec == "auto" else args.audio_codec,
        replay=args.replay,
        reroll=reroll,
        watermarker=watermarker_of(args.watermark_key, args.audioseal),
        certificate=certificate,
        limits=MediaLimits(max_pixels=args.max_pixels, max_seconds=args.max_seconds),
        device=args.device,
        dtype=args.dtype,
        overwrite=args.overwrite,
    )
    with progress(quiet=args.quiet) as report:
        result = generate(request, report=giving_back(report))
    show(result, as_json=args.json, verbose=args.verbose, quiet=args.quiet, shows_seed=request.draws_seed)


def said(text: str | None) -> str:
    """Return what a user wrote, or nothing; raises UsageError for an option that is given without a text."""
    from foleykit.core.errors import UsageError

    if text == "":
        raise UsageError("a prompt or negative prompt is empty; say what should be heard, or leave it out")
    return text or ""


def show(result: GenerateResult, *, as_json: bool, verbose: bool, quiet: bool, shows_seed: bool) -> None:
    """Print what was written: one JSON object, or a path per line."""
    if as_json:
        print_json(result.to_dict())
        return
    if quiet:
        return
    if result.selection is not None:
        print(result.selection.reason)
    for take in result.takes:
        if shows_seed or verbose:
            print(f"seed {take.seed}")
        if take.screening is not None and (verbose or take.screening.is_replacement):
            print(take.screening.report())
        for path in take.paths:
            print(path)
    if result.num_events == 0:
        print(NOTHING_SEEN, file=sys.stderr)
    if verbose:
        print(f"{result.seconds:.2f} s of sound; ambience: {result.ambience}")
        for stage, seconds in result.timings.items():
            print(f"{stage:<12} {seconds:6.2f} s")
