"""`foley models`: which models can be used here, and what each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress


@dataclass(frozen=True, kw_only=True)
class ListArgs:
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class InfoArgs:
    name: Annotated[str, typer.Argument(help="A shipped model or a model folder.")] = "tiny-avldm"
    card: Annotated[bool, typer.Option("--card", help="Print the model card.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class ConvertArgs:
    preset: Annotated[Literal["action2sound"], typer.Argument(help="Whose published files these are.")]
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")]
    video: Annotated[Path, typer.Option(help="av.pth or egovlp.pth: the video encoder.")]
    ldm: Annotated[Path | None, typer.Option(help="epoch=000007.ckpt: the trained model.")] = None
    sd: Annotated[
        Path | None,
        typer.Option(help="sd-v1-4-full-ema.ckpt: a start for training; beside --ldm, a check of its autoencoder."),
    ] = None
    vocoder: Annotated[
        Path | None, typer.Option(help="hifi-gan.pth, its json beside it; default: the shipped one, else Griffin-Lim.")
    ] = None
    reference: Annotated[bool, typer.Option("--reference", help="Sample as the released code does.")] = False
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing model folder.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors and warnings only.")] = False


def run_list(args: ListArgs) -> None:
    """List the models that come with foleykit."""
    from foleykit.jobs.models import describe_model, shipped_models

    descriptions = [describe_model(name) for name in shipped_models()]
    if args.json:
        print_json({"models": [description.to_dict() for description in descriptions]})
        return
    for description in descriptions:
        print(
            f"{description.name:<20} {description.family:<10} {description.num_bytes / 1e6:6.1f} MB  "
            f"{description.sample_rate} Hz  {description.licence}"
        )
    if not descriptions:
        print("no models are shipped with this build")


def run_info(args: InfoArgs) -> None:
    """Say what one model is: family, size, rates, licence, checksum."""
    from foleykit.jobs.models import describe_model

    description = describe_model(args.name)
    if args.json:
        print_json(description.to_dict())
    elif args.card:
        print(description.card or f"{description.name} has no model card")
    else:
        for key, value in description.to_dict().items():
            print(f"{key:<16} {value}")


def run_convert(args: ConvertArgs) -> None:
    """Turn published checkpoints into a model folder; nothing in them is executed."""
    from foleykit.jobs.convert import ConvertRequest, convert

    request = ConvertRequest(
        output=args.output,
        video=args.video,
        latent_model=args.ldm,
        picture_model=args.sd,
        vocoder=args.vocoder,
        is_reference=args.reference,
        overwrite=args.overwrite,
    )
    with progress(quiet=args.quiet) as report:
        result = convert(request, report=report)
    if args.json:
        print_json(result.to_dict())
    elif not args.quiet:
        for note in result.notes:
            print(note)
        print(f"{result.output}: {sum(result.num_tensors.values())} tensors, {result.num_bytes / 1e9:.2f} GB")
