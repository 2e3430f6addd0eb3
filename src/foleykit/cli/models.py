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


@dataclass(frozen=True, kw_only=True)
class MMAudioArgs:
    files: Annotated[
        list[Path], typer.Argument(metavar="FILES", help="Published files in any order, or folders of them.")
    ]
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")]
    size: Annotated[str, typer.Option(help="Which network is meant, where FILES hold several, e.g. small-16k.")] = ""
    reference: Annotated[
        bool, typer.Option("--reference", help="Choose pictures as the released demonstration does.")
    ] = False
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing model folder.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors and warnings only.")] = False


@dataclass(frozen=True, kw_only=True)
class EncoderArgs:
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The published file.")]
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")]
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors and warnings only.")] = False


@dataclass(frozen=True, kw_only=True)
class VggishArgs(EncoderArgs):
    pca: Annotated[Path | None, typer.Option(help="vggish_pca_params-970ea276.pth: the postprocessing.")] = None


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
    """Turn the published Action2Sound checkpoints into a model folder; nothing in them is executed."""
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


def run_convert_mmaudio(args: MMAudioArgs) -> None:
    """Turn the published MMAudio files into a model folder; nothing in them is executed."""
    from foleykit.jobs.convert_mmaudio import LICENCE, MMAudioRequest, convert_mmaudio

    if not args.quiet and not args.json:
        print(f"licence: {LICENCE}")
    request = MMAudioRequest(
        files=tuple(args.files),
        output=args.output,
        size=args.size,
        is_reference=args.reference,
        overwrite=args.overwrite,
    )
    with progress(quiet=args.quiet) as report:
        result = convert_mmaudio(request, report=report)
    if args.json:
        print_json(result.to_dict())
    elif not args.quiet:
        for note in result.notes:
            print(note)
        num_tensors = sum(result.num_tensors.values())
        print(f"{result.output}: {result.size}, {num_tensors} tensors, {result.num_bytes / 1e9:.2f} GB")


def run_convert_vggish(args: VggishArgs) -> None:
    """Turn vggish-10086976.pth into a folder that the Fréchet audio distance can be measured with."""
    _convert_encoder("vggish", args, pca=args.pca)


def run_convert_cnn14(args: EncoderArgs) -> None:
    """Turn Cnn14_mAP=0.431.pth or Cnn14_16k_mAP=0.438.pth into a folder for FD, KL and inception score."""
    _convert_encoder("cnn14", args)


def run_convert_passt(args: EncoderArgs) -> None:
    """Turn passt-s-f128-p16-s10-ap.476-swa.pt into a folder for FD, KL and inception score."""
    _convert_encoder("passt", args)


def run_convert_imagebind(args: EncoderArgs) -> None:
    """Turn the pictures' and the sound's part of imagebind_huge.pth into a folder for the ImageBind score."""
    _convert_encoder("imagebind", args)


def run_convert_audiogen_codec(args: EncoderArgs) -> None:
    """Turn compression_state_dict.bin of AudioGen into a codec folder; its weights are not for commercial use."""
    from foleykit.jobs.convert_codec import CodecRequest, convert_codec

    result = convert_codec(CodecRequest(source=args.file, output=args.output, overwrite=args.overwrite))
    if args.json:
        print_json(result.to_dict())
    elif not args.quiet:
        for note in result.notes:
            print(note)
        print(f"{result.output}: {result.num_tensors} tensors, {result.num_bytes / 1e9:.2f} GB")


def _convert_encoder(
    encoder: Literal["vggish", "cnn14", "passt", "imagebind"], args: EncoderArgs, *, pca: Path | None = None
) -> None:
    from foleykit.jobs.convert_encoder import EncoderRequest, convert_encoder, published_config

    config = published_config(encoder, args.file)
    result = convert_encoder(
        EncoderRequest(config=config, source=args.file, output=args.output, pca=pca, overwrite=args.overwrite)
    )
    if args.json:
        print_json(result.to_dict())
    elif not args.quiet:
        for note in result.notes:
            print(note)
        print(f"{result.output}: {result.num_tensors} tensors, {result.num_bytes / 1e9:.2f} GB")
