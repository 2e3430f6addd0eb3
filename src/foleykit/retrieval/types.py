"""What a library of clips holds, and the one interface of the stores that hold it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import InputError, UsageError
from foleykit.retrieval.filters import EVERYTHING, RowFilter


@dataclass(frozen=True, kw_only=True)
class EmbeddingSpace:
    """What makes two embeddings comparable."""

    model_id: str
    """Names the weights that made the embeddings; vectors of other weights mean something else."""
    num_dimensions: int

    def __post_init__(self) -> None:
        if not self.model_id or self.num_dimensions < 1:
            raise InputError(f"an embedding space needs a model id and at least one dimension, not {self}")

    def __str__(self) -> str:
        return f'"{self.model_id}" with {self.num_dimensions} dimensions'

    def require(self, other: EmbeddingSpace, *, where: str) -> None:
        """Raise UsageError, naming both, when `other` is not this space; `where` names what holds this one."""
        if self != other:
            raise UsageError(
                f"{where} holds embeddings of {self}, not of {other}; use the model it was built with, or build another"
            )


@dataclass(frozen=True, kw_only=True)
class LibraryClip:
    """What is known about one clip of a library, besides its embedding and its sound."""

    key: str
    """Unique in its index; appending a key again changes nothing."""
    ambient_db: float
    """Level of the background, RMS in dBFS."""
    scene: str = ""
    """Where it was recorded, such as kitchen; empty where unknown."""
    captions: tuple[str, ...] = ()
    """What is heard or done, one phrase each."""
    licence: str = ""
    """Such as CC0-1.0; empty where unknown."""
    source: str = ""
    """File that the clip was cut from, as seen from the folder of the index."""
    start: float = 0.0
    """Second of `source` at which the clip starts."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class LibraryRow:
    """One clip on its way into an index."""

    clip: LibraryClip
    embedding: NDArray[np.float32]
    """(D,); its length is ignored."""
    model_id: str
    """What made the embedding."""
    audio: bytes | None = None
    """The sound as FLAC; None leaves it in `clip.source`."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """A clip that answers a query."""

    clip: LibraryClip
    score: float
    """Cosine of the angle between the embeddings, -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class IndexStats:
    """An index in numbers."""

    backend: str
    location: str
    space: EmbeddingSpace
    num_clips: int
    num_with_audio: int
    """Clips whose sound is stored in the index."""
    num_bytes: int | None
    """On disk; None where the store is not on this machine."""
    ambient_db: tuple[float, float, float] | None
    """Lowest, median and highest level in dBFS; None for an empty index."""
    scenes: Mapping[str, int]
    """Clips by scene, most frequent first."""
    licences: Mapping[str, int]
    """Clips by licence, most frequent first."""


class VectorIndex(Protocol):
    """Embeddings of clips with what is known about them; appended to, never changed.

    Several processes may append and search at the same time. What an `append` that returned has written survives the
    death of any process.
    """

    @property
    def location(self) -> str:
        """Where the index is, as the user named it."""
        ...

    @property
    def space(self) -> EmbeddingSpace: ...

    def __len__(self) -> int: ...

    def append(self, rows: Sequence[LibraryRow]) -> int:
        """Add all rows whose key is new, in one step that happens whole or not at all; return how many were new.

        Raises UsageError for embeddings of another space and InputError for vectors without a direction.
        """
        ...

    def search(
        self, embedding: NDArray[np.float32], *, num_matches: int = 10, where: RowFilter = EVERYTHING
    ) -> list[Match]:
        """Return the clips that pass `where` and are nearest to `embedding` (D,), best first.

        Raises UsageError for another number of dimensions and InputError for a vector without a direction.
        """
        ...

    def known(self, keys: Iterable[str]) -> set[str]:
        """Return those of `keys` that the index holds."""
        ...

    def find(self, key: str) -> LibraryClip | None: ...

    def read_audio(self, key: str) -> bytes | None:
        """Return the stored FLAC of a clip; None where the index holds none."""
        ...

    def stats(self) -> IndexStats: ...

    def optimise(self) -> None:
        """Put the files in order after much was appended; LanceDB also builds its (approximate) vector index."""
        ...

    def close(self) -> None: ...


def new_rows(rows: Sequence[LibraryRow], space: EmbeddingSpace, *, where: str) -> list[LibraryRow]:
    """Return `rows` without repeated keys; raises UsageError when one is not of `space`."""
    first: dict[str, LibraryRow] = {}
    for row in rows:
        found = EmbeddingSpace(model_id=row.model_id, num_dimensions=row.embedding.size)
        space.require(found, where=where)
        first.setdefault(row.clip.key, row)
    return list(first.values())


def unit_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `vectors` (N, D) at length 1; raises InputError when one is zero or not finite."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if wrong.size:
        raise InputError(f"embedding {wrong[0]} of {len(vectors)} is zero or not finite and has no direction")
    return (vectors / lengths).astype(np.float32)


def unit_query(embedding: NDArray[np.float32], space: EmbeddingSpace, *, where: str) -> NDArray[np.float32]:
    """Return a query (D,) at length 1; raises UsageError when it does not have the dimensions of `space`."""
    if embedding.shape != (space.num_dimensions,):
        raise UsageError(
            f"{where} holds embeddings of {space}; a query of shape {embedding.shape} cannot be compared with them"
        )
    return unit_vectors(embedding[None])[0]
