"""MMAudio's published files to a model folder: each is known by what it holds, and all must fit each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from foleykit.codecs import bigvgan, magnitude_vae
from foleykit.core.checkpoint import save_tensors
from foleykit.core.config import save_config
from foleykit.core.errors import ModelError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.core.unpickle import read_checkpoint, tensors_of
from foleykit.encoders import clip
from foleykit.encoders.clip import ClipConfig
from foleykit.encoders.text.clip_tokens import read_merges, save_merges
from foleykit.encoders.text.readers import MERGES_NAME
from foleykit.encoders.visual import synchformer
from foleykit.jobs.catalogue import MMAUDIO_LICENCE, published_checksum
from foleykit.jobs.convert import check_folder, folder_or_nothing
from foleykit.jobs.models import CARD_NAME
from foleykit.models.textvideo import network
from foleykit.models.textvideo.config import TextVideoConfig
from foleykit.models.textvideo.presets import MMAudioName, mmaudio

Part = Literal["network", "codec", "vocoder", "sync", "clip", "vocabulary"]
MARKS: Mapping[str, Part] = {
    "audio_input_proj.0.weight": "network",
    "decoder.conv_in.weight": "codec",
    "conv_pre.bias": "vocoder",
    "vfeat_extractor.cls_token": "sync",
    "visual.conv1.weight": "clip",
}
"""A name that only files of that part hold."""
USUAL: Mapping[Part, str] = {
    "network": "mmaudio_small_16k.pth or another size",
    "codec": "v1-16.pth for 16 kHz, v1-44.pth for 44.1 kHz",
    "vocoder": "best_netG.pt for 16 kHz, bigvgan_generator.pt of bigvgan_v2_44khz_128band_512x for 44.1 kHz",
    "sync": "synchformer_state_dict.pth",
    "clip": "open_clip_pytorch_model.bin of DFN5B-CLIP-ViT-H-14",
    "vocabulary": "merges.txt or bpe_simple_vocab_16e6.txt.gz of CLIP",
}
"""What each part is called where it is published."""
FIRST_WEIGHT = re.compile(r"conv_pre\.(weight|weight_v|parametrizations\.weight\.original1)")
"""The vocoder's tensor whose second axis is the mel bins."""
WEIGHT_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
VOCABULARY_NAMES = ("merges.txt", "bpe_simple_vocab_16e6.txt.gz")


def published_sizes() -> dict[str, TextVideoConfig]:
    """Return the configuration of every published model by name."""
    return {name: mmaudio(name) for name in get_args(MMAudioName)}


@dataclass(frozen=True, kw_only=True)
class MMAudioRequest:
    """Which files become a model folder."""

    files: tuple[Path, ...]
    """Published files in any order, or folders of them; each is known by what it holds."""
    output: Path
    size: str = ""
    """Which network is meant, where the files hold several."""
    is_reference: bool = False
    """Choose pictures as the released demonstration does."""
    overwrite: bool = False
    sizes: Mapping[str, TextVideoConfig] = field(default_factory=published_sizes)
    """Models that are known, by name."""

    def __post_init__(self) -> None:
        if self.size and self.size not in self.sizes:
            raise UsageError(f'there is no size "{self.size}"; choose {", ".join(self.sizes)}')


@dataclass(frozen=True, kw_only=True)
class MMAudioResult:
    """What was written, and what was found in the files."""

    output: Path
    size: str
    licence: str
    num_tensors: dict[str, int]
    """By part."""
    num_bytes: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {
            "output": str(self.output),
            "size": self.size,
            "licence": self.licence,
            "num_tensors": self.num_tensors,
            "num_bytes": self.num_bytes,
            "notes": list(self.notes),
        }


def convert_mmaudio(request: MMAudioRequest, *, report: Report = no_report) -> MMAudioResult:
    """Write the model folder `request.output`.

    Nothing in a published file is executed. Raises ModelError in one line when a part is missing, is of another model
    or rate, or is not what it should be, and UsageError when the folder exists; then nothing is written.
    """
    report("read", 0)
    paths = files_of(request.files)
    check_folder(request.output, paths, overwrite=request.overwrite)
    parts = sorted_by_part(paths)
    size, network_path = chosen_network(parts["network"], request)
    config = request.sizes[size]
    if request.is_reference:
        config = replace(config, frame_pick="next")
    found = {part: fitting(part, parts[part], config, size) for part in get_args(Part) if part != "network"}
    found["network"] = network_path
    merges = read_merges(found["vocabulary"], clip_of(config).text.vocabulary_size)
    num_tensors: dict[str, int] = {}
    with folder_or_nothing(request.output) as folder:
        steps = makers(found, config)
        for index, make in enumerate(steps):
            report("convert", index / len(steps))
            # One file after the other: a file's tensors are let go before the next is opened.
            for part, tensors in make().items():
                save_tensors(tensors, folder / f"{part}.safetensors")
                num_tensors[part] = len(tensors)
        save_merges(merges, folder / MERGES_NAME)
        save_config(config, folder / "config.json")
        notes = notes_on(found, parts)
        (folder / CARD_NAME).write_text(card(size, found, notes))
    report("convert", 1)
    return MMAudioResult(
        output=request.output,
        size=size,
        licence=MMAUDIO_LICENCE,
        num_tensors=num_tensors,
        num_bytes=sum(path.stat().st_size for path in request.output.glob("*.safetensors")),
        notes=tuple(notes),
    )


def files_of(given: tuple[Path, ...]) -> list[Path]:
    """Return the files that were named, folders replaced by the weights and vocabularies in them."""
    paths: list[Path] = []
    for path in given:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        wanted = [item for item in inside if item.suffix in WEIGHT_SUFFIXES or item.name in VOCABULARY_NAMES]
        paths += wanted if path.is_dir() else inside
    return paths


def sorted_by_part(paths: list[Path]) -> dict[Part, list[Path]]:
    """Return the files of each part, known by the names of their tensors; raises ModelError for an unknown file."""
    parts: dict[Part, list[Path]] = {part: [] for part in get_args(Part)}
    for path in paths:
        if path.suffix not in WEIGHT_SUFFIXES:
            parts["vocabulary"].append(path)
            continue
        entries = entries_of(path)
        part = next((part for mark, part in MARKS.items() if mark in entries), None)
        if part is None:
            raise ModelError(
                f"{path.name} is no part of MMAudio: it holds neither network, codec, vocoder, Synchformer nor CLIP"
            )
        parts[part].append(path)
    return parts


def entries_of(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a published file; those of vocoders lie one level deeper."""
    return tensors_of(read_checkpoint(path), path, "generator", "state_dict")


def chosen_network(paths: list[Path], request: MMAudioRequest) -> tuple[str, Path]:
    """Return the name of a published size and the file that holds it; raises ModelError unless there is exactly one."""
    sizes = {path: size_of(path, request.sizes) for path in paths}
    wanted = [(size, path) for path, size in sizes.items() if not request.size or size == request.size]
    if not wanted:
        what = f"the network {request.size}" if request.size else "the network"
        raise ModelError(f"{what} is missing; give {USUAL['network']}")
    if len(wanted) > 1:
        names = ", ".join(path.name for _, path in wanted)
        raise ModelError(f"{names} hold a network each; name one of them or its --size")
    return wanted[0]


def size_of(path: Path, sizes: Mapping[str, TextVideoConfig]) -> str:
    """Return which of `sizes` a network file is of; raises ModelError for a network that none of them is."""
    entries = entries_of(path)
    first, time = entries["audio_input_proj.0.weight"], entries.get("t_embed.mlp.0.weight")
    blocks = {name.split(".")[0] + name.split(".")[1] for name in entries if "_blocks." in name}
    num_joint = sum(name.startswith("joint") for name in blocks)
    stated = (*first.shape[:2], 0 if time is None else time.shape[1], num_joint, len(blocks) - num_joint)
    for size, config in sizes.items():
        own = config.network
        if stated == (
            own.width,
            own.latent_width,
            own.num_time_features,
            own.num_joint_blocks,
            own.num_fused_blocks,
        ):
            return size
    raise ModelError(
        f"{path.name} is of no known size: width {stated[0]}, {stated[1]} latent channels, {stated[2]} time features, "
        f"{stated[3]} joint and {stated[4]} fused blocks"
    )


def clip_of(config: TextVideoConfig) -> ClipConfig:
    """Return the towers, which every published model has."""
    assert config.clip is not None
    return config.clip


def fitting(part: Part, paths: list[Path], config: TextVideoConfig, size: str) -> Path:
    """Return the one file of `part` that fits the model; raises ModelError where there is none or more than one."""
    if not paths:
        raise ModelError(f"the {part} is missing; give {USUAL[part]}")
    assert config.vocoder is not None
    num_mels = config.vocoder.num_mels
    fits = [path for path in paths if num_mels_of(part, path) in (None, num_mels)]
    if not fits:
        raise ModelError(
            f"{paths[0].name} is the {part} of {num_mels_of(part, paths[0])} mel bins; {size} needs that of "
            f"{num_mels}, for {config.sample_rate} Hz: {USUAL[part]}"
        )
    if len(fits) > 1:
        raise ModelError(f"{' and '.join(path.name for path in fits)} are both a {part}; name one")
    return fits[0]


def num_mels_of(part: Part, path: Path) -> int | None:
    """Return the mel bins of a codec or a vocoder, by which their rates are told apart; None where nothing tells."""
    match part:
        case "codec":
            last = entries_of(path).get("decoder.conv_out.weight")
            return None if last is None else last.shape[0]
        case "vocoder":
            first = (tensor for name, tensor in entries_of(path).items() if FIRST_WEIGHT.fullmatch(name))
            return next((tensor.shape[1] for tensor in first), None)
        case _:
            return None


def makers(found: Mapping[Part, Path], config: TextVideoConfig) -> list[Callable[[], dict[str, dict[str, Tensor]]]]:
    """Return, for each file with weights, what makes the parts of the folder of it."""

    def towers() -> dict[str, dict[str, Tensor]]:
        path = found["clip"]
        image, text = clip.from_open_clip(entries_of(path), clip_of(config), source=path.name)
        return {"image": image, "text": text}

    def single(part: Part, convert: Callable[..., dict[str, Tensor]], sizes: object) -> Callable[[], dict[str, Any]]:
        path = found[part]
        return lambda: {part: convert(entries_of(path), sizes, source=path.name)}

    return [
        single("codec", magnitude_vae.from_published, config.codec),
        single("vocoder", bigvgan.from_published, config.vocoder),
        single("sync", synchformer.from_published, config.sync),
        single("network", network.from_published, config.network),
        towers,
    ]


def notes_on(found: Mapping[Part, Path], parts: Mapping[Part, list[Path]]) -> list[str]:
    """Return what a user should know about the files: those left out, and known names with other contents."""
    notes = []
    for paths in parts.values():
        notes += [f"{path.name}: left out, of another model" for path in paths if path not in found.values()]
    for path in found.values():
        checksum = published_checksum(path.name)
        if checksum is not None:
            with path.open("rb") as file:
                is_published = hashlib.file_digest(file, checksum.algorithm).hexdigest() == checksum.value
            notes.append(f"{path.name}: {'the published file' if is_published else 'not the file published so'}")
    return notes


def card(size: str, found: Mapping[Part, Path], notes: list[str]) -> str:
    """Return the text of a converted model's card."""
    names = ", ".join(sorted(path.name for path in found.values()))
    lines = ["---", f"license: {MMAUDIO_LICENCE}", "---", f"# MMAudio {size}, converted", "", f"Made from {names}.", ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes)]) + "\n"
