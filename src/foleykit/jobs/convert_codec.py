"""A published token codec to a folder of `config.json`, `model.safetensors` and a card: whole, or not at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foleykit.codecs.encodec import EncodecConfig
from foleykit.codecs.encodec_published import config_of, from_published
from foleykit.core.checkpoint import save_tensors
from foleykit.core.config import save_config
from foleykit.core.errors import ModelError
from foleykit.core.unpickle import read_checkpoint, tensors_of
from foleykit.jobs.convert import check_folder, folder_or_nothing
from foleykit.jobs.models import CARD_NAME

LICENCE = "CC BY-NC 4.0"
"""Of the weights that AudioCraft publishes; its code is under another one."""


@dataclass(frozen=True, kw_only=True)
class CodecRequest:
    """Which file becomes a folder."""

    source: Path
    """`compression_state_dict.bin` of AudioGen or a file of its layout."""
    output: Path
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class CodecResult:
    """What was written, and what was found in the file."""

    output: Path
    num_tensors: int
    num_bytes: int
    licence: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {**asdict(self), "output": str(self.output), "notes": list(self.notes)}


def convert_codec(request: CodecRequest) -> CodecResult:
    """Write the folder `request.output`.

    The architecture is what the file's own settings say; nothing in it is executed. Raises ModelError in one line when
    the file is not what it should be or our codec would compute something else, and UsageError when the folder exists;
    then nothing is written.
    """
    check_folder(request.output, [request.source], overwrite=request.overwrite)
    source = request.source.name
    entries = read_checkpoint(request.source)
    if "pretrained" in entries:
        raise ModelError(
            f'{source} holds no weights, only the name of another model, "{entries["pretrained"]}"; convert that one'
        )
    settings = entries.get("xp.cfg")
    if not isinstance(settings, str):
        raise ModelError(f"{source} has no settings under xp.cfg, so its architecture is not known")
    config = config_of(settings, source=source)
    tensors = from_published(tensors_of(entries, request.source, "best_state"), config, source=source)
    notes = (
        description(config),
        f"weights under {LICENCE}: not for commercial use, not to be passed on with a product",
    )
    with folder_or_nothing(request.output) as folder:
        save_tensors(tensors, folder / "model.safetensors")
        save_config(config, folder / "config.json")
        (folder / CARD_NAME).write_text(card(source, notes))
    return CodecResult(
        output=request.output,
        num_tensors=len(tensors),
        num_bytes=(request.output / "model.safetensors").stat().st_size,
        licence=LICENCE,
        notes=notes,
    )


def description(config: EncodecConfig) -> str:
    """Return what the codec is, in one line."""
    return (
        f"EnCodec at {config.sample_rate} Hz: {config.frame_rate:g} frames/s of {config.num_codebooks} codes out of "
        f"{config.codebook_size}, pad_mode {config.pad_mode}"
    )


def card(source: str, notes: tuple[str, ...]) -> str:
    """Return the text of a converted codec's card."""
    head = ["---", f"license: {LICENCE}", "---", "# EnCodec, converted", "", f"Made from {source}.", ""]
    return "\n".join([*head, *(f"- {note}" for note in notes)]) + "\n"
