"""Libraries of clips: embeddings with what is known about each clip, and nearest-neighbour search among them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, assert_never

from foleykit.core.errors import MediaError, UsageError
from foleykit.retrieval.types import EmbeddingSpace, VectorIndex

Backend = Literal["sqlite", "lancedb"]


def open_index(location: str | Path, space: EmbeddingSpace | None = None) -> VectorIndex:
    """Return the index at `location`: a SQLite file, or a folder or URI of LanceDB.

    With `space` an index of any other space is refused by name (UsageError). Raises UsageError when there is no index
    and MediaError when what is there is not one or cannot be read.
    """
    match backend_of(location):
        case "sqlite":
            from foleykit.retrieval.sqlite import SqliteIndex

            index: VectorIndex = SqliteIndex.open(Path(location))
        case "lancedb":
            from foleykit.retrieval.lance import LanceIndex

            index = LanceIndex.open(str(location))
        case None:
            raise UsageError(f"there is no index at {location}; `foley index build` makes one")
        case other:
            assert_never(other)
    if space is not None and index.space != space:
        held = index.space
        index.close()
        held.require(space, where=f"index {location}")
    return index


def create_index(location: str | Path, space: EmbeddingSpace, *, backend: Backend = "sqlite") -> VectorIndex:
    """Return a new, empty index; raises UsageError when something is there already."""
    match backend:
        case "sqlite":
            from foleykit.retrieval.sqlite import SqliteIndex

            return SqliteIndex.create(Path(location), space)
        case "lancedb":
            from foleykit.retrieval.lance import LanceIndex

            return LanceIndex.create(str(location), space)
        case _:
            assert_never(backend)


def backend_of(location: str | Path) -> Backend | None:
    """Return which store is at `location`, judged by what lies there; None where nothing does.

    Raises MediaError for a folder that is not a store of LanceDB.
    """
    if "://" in str(location):
        return "lancedb"
    path = Path(location)
    if path.is_dir():
        if not any(path.glob("*.lance")):
            raise MediaError(f"{path} is a folder without an index; name the index file or build one")
        return "lancedb"
    return "sqlite" if path.exists() else None
