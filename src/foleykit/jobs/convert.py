"""Published checkpoints to a model folder: `config.json` and safetensors, complete or not there at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foleykit.codecs.unit_mel_vocoder import WEIGHTS_NAME, load_vocoder
from foleykit.core.checkpoint import load_tensors, save_tensors
from foleykit.core.config import save_config
from foleykit.core.errors import ModelError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.core.unpickle import read_checkpoint, tensors_of
from foleykit.jobs.models import CARD_NAME, WEIGHTS
from foleykit.models.avldm.published.config import Action2SoundConfig, PublishedSampling
from foleykit.models.avldm.published.convert import (
    Converted,
    from_latent_model,
    from_picture_model,
    from_video_model,
    from_vocoder,
    largest_difference,
    vocoder_config,
)
from foleykit.models.avldm.published.presets import action2sound

SHIPPED_VOCODER = WEIGHTS / "vocoder-128x16k"
"""Folder of the vocoder that is used unless another is given."""
SHIPPED_LIBRARY = WEIGHTS / "tiny-avldm" / "ambient"
REFERENCE_SAMPLING = PublishedSampling(null="zeros", posterior="sample")
"""How the released code samples."""


@dataclass(frozen=True, kw_only=True)
class ConvertRequest:
    """Which files become a model folder."""

    output: Path
    video: Path
    """`av.pth` or another file with the video encoder."""
    latent_model: Path | None = None
    """`epoch=000007.ckpt`: denoiser, autoencoder and conditioner."""
    picture_model: Path | None = None
    """`sd-v1-4-full-ema.ckpt`: the start of a training or, beside `latent_model`, a check of its autoencoder."""
    vocoder: Path | None = None
    """`hifi-gan.pth` with `hifi-gan.json` beside it, or a folder that `foley train vocoder-128x16k` wrote; without one,
    the shipped vocoder or, for another mel than its, Griffin-Lim."""
    is_reference: bool = False
    """Sample as the released code does."""
    overwrite: bool = False
    config: Action2SoundConfig = field(default_factory=action2sound)

    def __post_init__(self) -> None:
        if self.latent_model is None and self.picture_model is None:
            raise UsageError("a model needs --ldm FILE (a trained AV-LDM) or --sd FILE (a start for training)")


@dataclass(frozen=True, kw_only=True)
class ConvertResult:
    """What was written, and what was found in the files."""

    output: Path
    num_tensors: dict[str, int]
    """By part."""
    num_bytes: int
    vocoder: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {
            "output": str(self.output),
            "num_tensors": self.num_tensors,
            "num_bytes": self.num_bytes,
            "vocoder": self.vocoder,
            "notes": list(self.notes),
        }


def convert(request: ConvertRequest, *, report: Report = no_report) -> ConvertResult:
    """Write the model folder `request.output`.

    Nothing in a published file is executed. Raises ModelError in one line when a file is not what it should be and
    UsageError when the folder exists; then nothing is written.
    """
    is_file = request.vocoder is not None and not request.vocoder.is_dir()
    sources = (request.latent_model, request.picture_model, request.video, request.vocoder if is_file else None)
    check_folder(request.output, [path for path in sources if path is not None], overwrite=request.overwrite)
    num_tensors: dict[str, int] = {}
    notes: list[str] = []
    with folder_or_nothing(request.output) as folder:

        def keep(converted: Converted, source: Path) -> None:
            for part, tensors in converted.parts.items():
                save_tensors(tensors, folder / f"{part}.safetensors")
                num_tensors[part] = len(tensors)
            notes.extend(f"{source.name}: {note}" for note in converted.notes)
            if converted.num_ignored:
                notes.append(f"{source.name}: {converted.num_ignored} other entries left out")

        # One file after the other, the smallest first: a file's tensors are let go before the next is opened.
        report("video", 0)
        keep(converted_video(request), request.video)
        report("vocoder", 0)
        config, vocoder = with_vocoder(request, folder)
        if vocoder is not None:
            num_tensors["vocoder"] = vocoder
        report("denoiser", 0)
        keep(converted_model(request), request.latent_model or request.picture_model or request.video)
        if request.latent_model is not None and request.picture_model is not None:
            notes.append(compared(folder, request.picture_model, config))
        if request.is_reference:
            config = replace(config, sampling=REFERENCE_SAMPLING)
        if SHIPPED_LIBRARY.is_dir():
            shutil.copytree(SHIPPED_LIBRARY, folder / "ambient")
        (folder / CARD_NAME).write_text(card(request, config, notes))
        save_config(config, folder / "config.json")
        report("denoiser", 1)
    return ConvertResult(
        output=request.output,
        num_tensors=num_tensors,
        num_bytes=sum(path.stat().st_size for path in request.output.glob("*.safetensors")),
        vocoder=config.vocoder,
        notes=tuple(notes),
    )


def converted_video(request: ConvertRequest) -> Converted:
    entries = tensors_of(read_checkpoint(request.video), request.video, "state_dict")
    return from_video_model(entries, request.config, source=request.video.name)


def converted_model(request: ConvertRequest) -> Converted:
    """Return denoiser, autoencoder and conditioner of the latent model or, without one, of the picture model."""
    path = request.latent_model or request.picture_model
    assert path is not None
    entries = tensors_of(read_checkpoint(path), path, "state_dict")
    read = from_latent_model if request.latent_model is not None else from_picture_model
    return read(entries, request.config, source=path.name)


def with_vocoder(request: ConvertRequest, folder: Path) -> tuple[Action2SoundConfig, int | None]:
    """Write the vocoder to `folder` and return the config that names it, with the number of its tensors, if any."""
    path = request.vocoder
    if path is None:
        if request.config.mel != action2sound().mel:
            return replace(request.config, vocoder="griffin-lim"), None
        path = SHIPPED_VOCODER
    if path.is_dir():
        own = load_vocoder(path)
        if own.config.mel != request.config.mel:
            raise ModelError(f"{path.name} takes another mel than the model makes")
        save_tensors(own.state_dict(), folder / WEIGHTS_NAME)
        return replace(request.config, vocoder="istft", istft=own.config), len(own.state_dict())
    entries = tensors_of(read_checkpoint(path), path, "generator", "state_dict")
    stated_path = path.with_suffix(".json")
    stated = read_json(stated_path) if stated_path.is_file() else None
    sizes = vocoder_config(entries, stated, request.config, source=path.name)
    tensors = from_vocoder(entries, sizes, source=path.name).parts["vocoder"]
    save_tensors(tensors, folder / WEIGHTS_NAME)
    return replace(request.config, vocoder="hifigan", hifigan=sizes), len(tensors)


def read_json(path: Path) -> dict[str, object]:
    """Return the object that a JSON file holds; raises ModelError when there is none."""
    try:
        values = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path.name} holds no JSON object")
    return values


def compared(folder: Path, picture_model: Path, config: Action2SoundConfig) -> str:
    """Return a note on how far the converted autoencoder is from the picture model's, which training leaves fixed."""
    entries = tensors_of(read_checkpoint(picture_model), picture_model, "state_dict")
    original = from_picture_model(entries, config, source=picture_model.name).parts["vae"]
    difference = largest_difference(load_tensors(folder / "vae.safetensors"), original)
    verdict = "the autoencoders are equal" if difference == 0 else f"the autoencoders differ by up to {difference:.1e}"
    return f"{picture_model.name}: {verdict}"


def card(request: ConvertRequest, config: Action2SoundConfig, notes: list[str]) -> str:
    """Return the text of a converted model's card."""
    sources = [request.latent_model or request.picture_model, request.video, request.vocoder]
    lines = [
        "---",
        "license: that of the published files (Stable Diffusion v1 is under CreativeML OpenRAIL-M)",
        "---",
        "# Action2Sound, converted",
        "",
        f"Made from {', '.join(path.name for path in sources if path is not None)}.",
        f"Vocoder: {config.vocoder}. Sampling: {config.sampling.num_steps} steps of {config.sampling.sampler}, "
        f"guidance {config.sampling.guidance_scale:g} against {config.sampling.null}.",
        "",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


def check_folder(output: Path, sources: Sequence[Path], *, overwrite: bool) -> None:
    """Raise UsageError unless the output folder can be made: it is absent or empty, or a model to overwrite.

    Raises ModelError when one of the `sources` does not exist.
    """
    if output.is_file():
        raise UsageError(f"{output} is a file; name a folder for the model")
    if output.is_dir() and any(output.iterdir()):
        if not (output / "config.json").is_file():
            raise UsageError(f"folder {output} holds something else than a model; choose another")
        if not overwrite:
            raise UsageError(f"{output} exists; use --overwrite or another folder")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"folder {output.absolute().parent} does not exist; create it first")
    for path in sources:
        if not path.is_file():
            raise ModelError(f"there is no checkpoint {path}")


@contextmanager
def folder_or_nothing(target: Path) -> Iterator[Path]:
    """Yield a hidden folder to fill; on success it becomes `target`, on any failure or interruption it is removed."""
    target = target.absolute()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    part.mkdir()
    try:
        yield part
        if target.exists():
            target.rename(old)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
