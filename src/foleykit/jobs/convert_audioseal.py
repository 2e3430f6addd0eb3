"""AudioSeal's published weights to a folder of two safetensors and a card: whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import save_tensors
from foleykit.core.errors import ModelError
from foleykit.core.unpickle import read_checkpoint, tensors_of
from foleykit.jobs.convert import check_folder, folder_or_nothing
from foleykit.jobs.models import CARD_NAME
from foleykit.watermark.audioseal import PARTS, build

LICENCE = "MIT"


@dataclass(frozen=True, kw_only=True)
class AudioSealRequest:
    """Which files become a folder."""

    generator: Path
    """`generator_base.pth`, or a file of its layout."""
    detector: Path
    """`detector_base.pth`."""
    output: Path
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class AudioSealResult:
    """What was written."""

    output: Path
    num_tensors: int
    num_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {"output": str(self.output), "num_tensors": self.num_tensors, "num_bytes": self.num_bytes}


def convert_audioseal(request: AudioSealRequest) -> AudioSealResult:
    """Write the folder `request.output`.

    Nothing in a published file is executed. Raises ModelError in one line when a file is not what it should be, and
    UsageError when the folder exists or the package audioseal is missing; then nothing is written.
    """
    sources = dict(zip(PARTS, (request.generator, request.detector), strict=True))
    check_folder(request.output, list(sources.values()), overwrite=request.overwrite)
    num_tensors = 0
    with folder_or_nothing(request.output) as folder:
        for part, source in sources.items():
            network = filled(build(part), tensors_of(read_checkpoint(source), source, "model"), source.name)
            tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
            save_tensors(tensors, folder / f"{part}.safetensors")
            num_tensors += len(tensors)
        (folder / CARD_NAME).write_text(card(request))
    num_bytes = sum(path.stat().st_size for path in request.output.glob("*.safetensors"))
    return AudioSealResult(output=request.output, num_tensors=num_tensors, num_bytes=num_bytes)


def filled(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """Return `network` with all its weights from `tensors`, their weight normalisation multiplied out.

    Raises ModelError where `tensors` lack one or fit no network of this kind.
    """
    from audioseal.loader import convert_state_dict_for_scriptable_model, load_state_dict

    for tensor in network.state_dict().values():
        tensor.fill_(torch.nan)
    try:
        load_state_dict(network, convert_state_dict_for_scriptable_model(dict(tensors)))
    except (RuntimeError, AttributeError, KeyError, AssertionError) as error:
        raise ModelError(
            f"{source} does not hold such a network of AudioSeal ({str(error).splitlines()[0]})"
        ) from error
    missing = [name for name, tensor in network.state_dict().items() if tensor.isnan().any()]
    if missing:
        raise ModelError(f"{source} lacks {len(missing)} tensors of AudioSeal's network, first {missing[0]}")
    return network


def card(request: AudioSealRequest) -> str:
    """Return the text of the folder's card."""
    return (
        f"---\nlicense: {LICENCE}\n---\n# AudioSeal, converted\n\n"
        f"Made from {request.generator.name} and {request.detector.name}; San Roman et al., ICML 2024.\n"
    )
