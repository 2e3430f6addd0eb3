"""Published networks that scores run on, to folders of `config.json` and `model.safetensors`: whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never

from torch import Tensor

from foleykit.core.checkpoint import save_tensors
from foleykit.core.config import save_config
from foleykit.core.errors import UsageError
from foleykit.core.unpickle import read_arrays, read_checkpoint, tensors_of
from foleykit.encoders.audio import cnn14, passt, vggish
from foleykit.encoders.audio.cnn14 import Cnn14Config
from foleykit.encoders.audio.passt import PasstConfig
from foleykit.encoders.audio.vggish import VggishConfig
from foleykit.encoders.visual import imagebind
from foleykit.encoders.visual.imagebind import ImageBindConfig
from foleykit.jobs.convert import check_folder, folder_or_nothing
from foleykit.jobs.models import CARD_NAME

EncoderName = Literal["vggish", "cnn14", "passt", "imagebind"]
EncoderConfig = VggishConfig | Cnn14Config | PasstConfig | ImageBindConfig


@dataclass(frozen=True, kw_only=True)
class EncoderRequest:
    """Which file becomes a folder."""

    config: EncoderConfig
    """What the file must hold."""
    source: Path
    output: Path
    pca: Path | None = None
    """VGGish's second file; distances do not need it."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.pca is not None and self.config.kind != "vggish":
            raise UsageError(f"{self.config.kind} has no second file; only vggish has one")


@dataclass(frozen=True, kw_only=True)
class EncoderResult:
    """What was written, and what was found in the file."""

    encoder: EncoderName
    output: Path
    num_tensors: int
    num_bytes: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {
            "encoder": self.encoder,
            "output": str(self.output),
            "num_tensors": self.num_tensors,
            "num_bytes": self.num_bytes,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class ConvertedEncoder:
    """The weights of a folder."""

    tensors: Mapping[str, Tensor]
    pca: Mapping[str, Tensor]
    """Of VGGish's postprocessing; empty without one."""
    num_left_out: int
    """Entries of the file that are known and not wanted."""


def published_config(encoder: EncoderName, source: Path) -> EncoderConfig:
    """Return the published sizes of `encoder`; the two of Cnn14 are told apart by the file. Raises ModelError."""
    match encoder:
        case "vggish":
            return VggishConfig()
        case "cnn14":
            return cnn14.config_of(entries_of(source), source=source.name)
        case "passt":
            return PasstConfig()
        case "imagebind":
            return ImageBindConfig()
        case _:
            assert_never(encoder)


def convert_encoder(request: EncoderRequest) -> EncoderResult:
    """Write the folder `request.output`.

    Nothing in the files is executed. Raises ModelError in one line when one is not what it should be and UsageError
    when the folder exists; then nothing is written.
    """
    sources = [path for path in (request.source, request.pca) if path is not None]
    check_folder(request.output, sources, overwrite=request.overwrite)
    made = converted_encoder(request)
    notes = [description(request.config)]
    if made.num_left_out:
        notes.append(f"{request.source.name}: {made.num_left_out} other entries left out")
    with folder_or_nothing(request.output) as folder:
        save_tensors(made.tensors, folder / "model.safetensors")
        if made.pca:
            save_tensors(made.pca, folder / vggish.PCA_FILE)
        save_config(request.config, folder / "config.json")
        (folder / CARD_NAME).write_text(card(request, notes))
    return EncoderResult(
        encoder=request.config.kind,
        output=request.output,
        num_tensors=len(made.tensors) + len(made.pca),
        num_bytes=sum(path.stat().st_size for path in request.output.glob("*.safetensors")),
        notes=tuple(notes),
    )


def converted_encoder(request: EncoderRequest) -> ConvertedEncoder:
    """Return the weights of the folder, every name and shape of the files checked."""
    entries, name = entries_of(request.source), request.source.name
    pca: Mapping[str, Tensor] = {}
    match request.config:
        case VggishConfig() as config:
            tensors, inside = vggish.from_published(entries, config, source=name)
            pca = inside or {}
            if request.pca is not None:
                pca = vggish.pca_from_published(read_arrays(request.pca), config, source=request.pca.name)
            num_taken = len(tensors) + len(inside or ())
        case Cnn14Config() as config:
            tensors = cnn14.from_published(entries, config, source=name)
            num_taken = sum(key in tensors for key in entries)
        case PasstConfig() as config:
            tensors = passt.from_published(entries, config, source=name)
            num_taken = len(tensors)
        case ImageBindConfig() as config:
            tensors = imagebind.from_published(entries, config, source=name)
            num_taken = len(tensors)
        case _:
            assert_never(request.config)
    return ConvertedEncoder(tensors=tensors, pca=pca, num_left_out=len(entries) - num_taken)


def entries_of(source: Path) -> dict[str, Tensor]:
    return tensors_of(read_checkpoint(source), source, "model", "state_dict")


def description(config: EncoderConfig) -> str:
    """Return what the network is and takes, in one line."""
    match config:
        case VggishConfig():
            return f"VGGish: {config.embedding_width} values per 0.96 s of sound at {config.sample_rate} Hz"
        case Cnn14Config():
            return f"Cnn14 for sound at {config.sample_rate} Hz"
        case PasstConfig():
            return f"PaSST for up to {config.seconds:g} s of sound at {config.sample_rate} Hz"
        case ImageBindConfig():
            return "ImageBind's pictures and sound; for non-commercial use only (CC BY-NC 4.0)"
        case _:
            assert_never(config)


def card(request: EncoderRequest, notes: list[str]) -> str:
    """Return the text of a converted network's card."""
    names = " and ".join(path.name for path in (request.source, request.pca) if path is not None)
    licence = "CC BY-NC 4.0" if request.config.kind == "imagebind" else "that of the published file"
    head = ["---", f"license: {licence}", "---", f"# {request.config.kind}, converted", "", f"Made from {names}.", ""]
    return "\n".join([*head, *(f"- {note}" for note in notes)]) + "\n"
