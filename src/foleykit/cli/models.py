"""`foley models`: which models can be used here, and what each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from foleykit.cli.show import print_json, progress
from foleykit.core.errors import Interrupted


@dataclass(frozen=True, kw_only=True)
class ListArgs:
    commercial_ok: Annotated[
        bool, typer.Option("--commercial-ok", help="Only models whose licence allows commercial use.")
    ] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class InfoArgs:
    name: Annotated[str, typer.Argument(help="A shipped model or a model folder.")] = "tiny-avldm"
    card: Annotated[bool, typer.Option("--card", help="Print the model card.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False


@dataclass(frozen=True, kw_only=True)
class DownloadArgs:
    name: Annotated[str, typer.Argument(metavar="NAME", help="A published model of foley models list.")]
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Agree to the licence that is shown without it.")
    ] = False
    folder: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder of the files; default: foleykit's own.")
    ] = None
    base_url: Annotated[
        str, typer.Option(metavar="URL", help="A mirror: take the files from URL/FILE, where they are called the same.")
    ] = ""
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors and warnings only.")] = False


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
        Path | None,
        typer.Option(help="hifi-gan.pth, its json beside it, or a trained folder; default: the shipped one."),
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


@dataclass(frozen=True, kw_only=True)
class AudioSealArgs:
    generator: Annotated[Path, typer.Argument(metavar="GENERATOR", help="generator_base.pth: what writes the mark.")]
    detector: Annotated[Path, typer.Argument(metavar="DETECTOR", help="detector_base.pth: what finds it.")]
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")]
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing folder.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors and warnings only.")] = False


def run_list(args: ListArgs) -> None:
    """List the models that are shipped, that are here and that could be had, with what each takes and allows."""
    from foleykit.jobs.inventory import list_models

    listings = list_models(only_commercial=args.commercial_ok)
    if args.json:
        print_json({"models": [listing.to_dict() for listing in listings]})
        return
    rows = [("name", "state", "family", "size", "memory", "rate", "commercial", "licence")]
    for listing in listings:
        rows.append(
            (
                listing.name,
                listing.state,
                listing.family,
                megabytes(listing.num_bytes),
                f"{megabytes(listing.memory_bytes)} {listing.memory_basis}",
                f"{listing.sample_rate} Hz",
                {True: "yes", False: "no", None: "unknown"}[listing.commercial_use],
                listing.licence.split(" (")[0],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


def run_download(args: DownloadArgs) -> None:
    """Fetch the files of a published model; size and licence are shown first, and the licence must be accepted.

    What broke off is continued by the same command, every file is checked before it counts as here, and no other
    command touches the network. FOLEYKIT_OFFLINE=1 or HF_HUB_OFFLINE=1 forbids it.
    """
    from foleykit.jobs.download import DownloadRequest, download, plan_download

    plan = plan_download(
        DownloadRequest(
            name=args.name,
            folder=args.folder,
            base_url=args.base_url,
            is_licence_accepted=args.accept_licence,
        )
    )
    is_talking = not args.quiet and not args.json
    if is_talking:
        print(
            f"{plan.entry.name}: {megabytes(plan.entry.num_bytes)}, {megabytes(plan.num_bytes_missing)} of it missing"
        )
        print(f"licence: {plan.entry.licence}", flush=True)
    try:
        with progress(quiet=args.quiet) as report:
            result = download(plan, report=report)
    except KeyboardInterrupt as stop:
        raise Interrupted("interrupted; what came is kept, and the same command goes on from there") from stop
    if args.json:
        print_json(result.to_dict())
    elif is_talking:
        for file in result.files:
            how = "only its size is published" if file.checked_by == "size" else f"{file.checked_by} as published"
            print(f"{file.name}: {megabytes(file.num_bytes)}, {how}, sha256 {file.digests['sha256']}")
        print(f"next: {result.convert_command}")


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
    from foleykit.jobs.catalogue import MMAUDIO_LICENCE
    from foleykit.jobs.convert_mmaudio import MMAudioRequest, convert_mmaudio

    if not args.quiet and not args.json:
        print(f"licence: {MMAUDIO_LICENCE}")
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


def run_convert_audioseal(args: AudioSealArgs) -> None:
    """Turn AudioSeal's two files into a folder that foley generate and foley detect take as --audioseal."""
    from foleykit.jobs.convert_audioseal import AudioSealRequest, convert_audioseal

    result = convert_audioseal(
        AudioSealRequest(generator=args.generator, detector=args.detector, output=args.output, overwrite=args.overwrite)
    )
    if args.json:
        print_json(result.to_dict())
    elif not args.quiet:
        print(f"{result.output}: {result.num_tensors} tensors, {result.num_bytes / 1e6:.0f} MB")


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
