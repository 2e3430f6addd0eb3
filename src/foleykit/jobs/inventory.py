"""What there is: models that come with the package, that were made or fetched here, and that could be had."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from foleykit.core.errors import ModelError
from foleykit.jobs.catalogue import (
    MIB,
    PUBLISHED,
    Memory,
    MemoryBasis,
    Published,
    allows_commercial_use,
)
from foleykit.jobs.download import download_folder, output_folder
from foleykit.jobs.fetch import num_bytes_here
from foleykit.jobs.home import home
from foleykit.jobs.models import ModelSummary, model_folder, shipped_models, summarise_model

State = Literal["shipped", "here", "downloaded", "in part", "published"]
MEASURED = {
    "tiny-avldm": Memory(num_bytes=503 * MIB, basis="measured"),
    "tiny-foleygen": Memory(num_bytes=497 * MIB, basis="measured"),
    "tiny-textvideo": Memory(num_bytes=490 * MIB, basis="measured"),
}
"""Of shipped models: benchmarks/results/generate_2core-epyc_202611.md, 10 s of 1080p30 with default settings."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One line of the list."""

    name: str
    state: State
    """Shipped with the package; a model folder here; files here that wait for `foley models convert`, all or in part;
    or published elsewhere."""
    family: str
    num_bytes: int
    """Of the weights of a model, or of the files that would be fetched."""
    memory_bytes: int
    memory_basis: MemoryBasis
    """A peak of generation that benchmarks/results holds, or the weights alone."""
    sample_rate: int
    licence: str
    commercial_use: bool | None
    """None where the licence is not one we know."""
    folder: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {**asdict(self), "folder": None if self.folder is None else str(self.folder)}


def list_models(*, only_commercial: bool = False) -> list[Listing]:
    """Return every model known here: shipped ones, folders in foleykit's own, then published ones.

    With `only_commercial` those alone whose licence is known to allow commercial use. A folder that is no model is left
    out with a warning.
    """
    names = {entry.name for entry in PUBLISHED}
    made = sorted(path.parent for path in (home() / "models").glob("*/config.json") if path.parent.name not in names)
    listings = [of_folder(summarise_model(model_folder(name)), "shipped") for name in shipped_models()]
    for folder in made:
        try:
            listings.append(of_folder(summarise_model(folder), "here"))
        except ModelError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    listings += [of_published(entry) for entry in PUBLISHED]
    return [listing for listing in listings if listing.commercial_use is True or not only_commercial]


def of_folder(model: ModelSummary, state: State) -> Listing:
    memory = MEASURED.get(model.name) if state == "shipped" else None
    return Listing(
        name=model.name,
        state=state,
        family=model.family,
        num_bytes=model.num_bytes,
        memory_bytes=memory.num_bytes if memory else model.num_bytes,
        memory_basis=memory.basis if memory else "weights",
        sample_rate=model.sample_rate,
        licence=model.licence,
        commercial_use=allows_commercial_use(model.licence),
        folder=model.folder,
    )


def of_published(entry: Published) -> Listing:
    state, folder = state_of(entry)
    return Listing(
        name=entry.name,
        state=state,
        family=entry.family,
        num_bytes=entry.num_bytes,
        memory_bytes=entry.memory.num_bytes,
        memory_basis=entry.memory.basis,
        sample_rate=entry.sample_rate,
        licence=entry.licence,
        commercial_use=entry.commercial_use,
        folder=folder,
    )


def state_of(entry: Published) -> tuple[State, Path | None]:
    """Return how much of a published model is here, and where."""
    made, files = output_folder(entry), download_folder(entry)
    if entry.is_model and (made / "config.json").is_file():
        return "here", made
    if all((files / file.name).is_file() for file in entry.files):
        return "downloaded", files
    # Models share files: another's do not make this one half fetched, its own network does.
    return ("in part", files) if num_bytes_here(entry.files[0], files) else ("published", None)
