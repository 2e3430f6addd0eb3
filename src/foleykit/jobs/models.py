"""Models by name, without loading them: the ones that come with the package, and folders."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, assert_never

import foleykit
from foleykit.core.config import load_config
from foleykit.core.errors import ModelError, UsageError
from foleykit.jobs.catalogue import PUBLISHED
from foleykit.jobs.home import home
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.published.config import Action2SoundConfig
from foleykit.models.foleygen.config import FoleyGenConfig
from foleykit.models.textvideo.config import TextVideoConfig

WEIGHTS = Path(foleykit.__file__).parent / "weights"
CARD_NAME = "MODEL_CARD.md"

ModelKind = Literal["avldm", "action2sound", "foleygen", "textvideo"]
ModelConfig = AvLdmConfig | Action2SoundConfig | FoleyGenConfig | TextVideoConfig


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """What a model's configuration and card say, and the size of its weights."""

    name: str
    family: str
    folder: Path
    num_bytes: int
    """Of all weight files."""
    sample_rate: int
    """Of what the network makes; files are written at 48 kHz."""
    video_fps: float
    licence: str
    """Of the weights; "not stated" where the model card does not say."""
    kind: ModelKind = "avldm"
    """Which structure the folder holds."""
    card: str = ""
    """The model card's text."""


@dataclass(frozen=True, kw_only=True)
class ModelDescription(ModelSummary):
    """What can be said about a model without loading it; every byte of its files is read."""

    weights_sha256: str
    """Over all files that generation reads: config, weights, ambient library."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values, without the card's text."""
        values = asdict(self)
        del values["card"]
        return {**values, "folder": str(self.folder)}


def shipped_models() -> tuple[str, ...]:
    """Return the names of the models that come with the package, sorted."""
    return tuple(sorted(config.parent.name for config in WEIGHTS.glob("*/config.json")))


def model_folder(name: str | Path) -> Path:
    """Return the folder of a shipped model's name, of a path, or of a name in foleykit's own folder.

    Raises ModelError, listing what exists, or saying how a published model is had.
    """
    if str(name) in shipped_models():
        return WEIGHTS / str(name)
    folder = Path(name).expanduser()
    for candidate in (folder, home() / "models" / folder):
        if (candidate / "config.json").is_file():
            return candidate
    if any(entry.name == str(name) and entry.is_model for entry in PUBLISHED):
        raise ModelError(f"{name} is not here; `foley models download {name}` says what it takes to have it")
    shipped = ", ".join(shipped_models()) or "none"
    reason = f"folder {folder} holds no config.json" if folder.is_dir() else "there is no such model or folder"
    raise ModelError(f'cannot load model "{name}": {reason}; shipped models: {shipped}')


def describe_model(name: str | Path) -> ModelDescription:
    """Return what a model's files say about it; raises ModelError when it is missing or has no weights."""
    folder = model_folder(name)
    summary = summarise_model(folder)
    return ModelDescription(**vars(summary), weights_sha256=_hash_files(folder))


def summarise_model(folder: Path) -> ModelSummary:
    """Return what is known of a model folder without reading its weights; raises ModelError when it is not complete."""
    weights = sorted(folder.glob("**/*.safetensors"))
    if not weights:
        raise ModelError(f"model folder {folder} holds no *.safetensors; train it or copy it again")
    try:
        config = read_config(folder / "config.json")
    except (UsageError, json.JSONDecodeError) as error:
        raise ModelError(f"{folder / 'config.json'} does not describe a model: {error}") from error
    card_path = folder / CARD_NAME
    card = card_path.read_text() if card_path.is_file() else ""
    licence = re.search(r"^licen[cs]e:\s*(.+?)\s*$", card, re.MULTILINE)
    return ModelSummary(
        name=folder.name,
        family=family_of(config),
        folder=folder,
        num_bytes=sum(path.stat().st_size for path in weights),
        sample_rate=config.sample_rate,
        video_fps=config.video_fps,
        licence=licence.group(1) if licence else "not stated",
        kind="avldm" if isinstance(config, AvLdmConfig) else config.kind,
        card=card,
    )


def read_config(path: Path) -> ModelConfig:
    """Return a saved model's configuration; all kinds but the first name themselves. Raises ConfigError, ModelError."""
    values = json.loads(path.read_text())
    kind = values.get("kind", "avldm") if isinstance(values, dict) else "avldm"
    match kind:
        case "avldm":
            return load_config(AvLdmConfig, path)
        case "foleygen":
            return load_config(FoleyGenConfig, path)
        case "textvideo":
            return load_config(TextVideoConfig, path)
        case _:
            return load_config(Action2SoundConfig, path)


def family_of(config: ModelConfig) -> str:
    """Return the family that a configuration is of."""
    match config:
        case FoleyGenConfig() | TextVideoConfig():
            return config.kind
        case AvLdmConfig() | Action2SoundConfig():
            return "avldm"
        case _:
            assert_never(config)


def _hash_files(folder: Path) -> str:
    """Return one SHA-256 over names and contents of config, weights and library, so that equal means all are equal."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".json", ".safetensors", ".flac", ".txt"):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return total.hexdigest()
