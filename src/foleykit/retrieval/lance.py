"""The index for millions of clips, many writers or object storage: a table of LanceDB."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import MediaError, UsageError
from foleykit.retrieval.filters import EVERYTHING, RowFilter
from foleykit.retrieval.types import (
    EmbeddingSpace,
    IndexStats,
    LibraryClip,
    LibraryRow,
    Match,
    new_rows,
    unit_query,
    unit_vectors,
)

if TYPE_CHECKING:
    import pyarrow

FORMAT = "foleykit-index-1"
TABLE = "clips"
CLIP_COLUMNS = ("key", "ambient_db", "scene", "captions", "licence", "source", "start", "seconds")
KEYS_AT_ONCE = 1000
MIN_INDEXED = 50_000
"""Smaller tables are searched exactly; for them a vector index saves nothing."""
PROBED_SHARE = 0.25
"""Share of the vector index's partitions that a search without a filter visits; with one it visits all."""
REFINEMENT = 4
"""Matches whose exact distance is computed, in units of the matches asked for."""


class LanceIndex:
    """A `VectorIndex` in a folder or at a URI such as s3://bucket/library.

    Searches are exact until `optimise` has built a vector index, and approximate from then on; clips appended later
    are always compared exactly.
    """

    backend = "lancedb"

    def __init__(self, location: str, table: Any, space: EmbeddingSpace) -> None:
        self._location = location
        self._table = table
        self._space = space

    @classmethod
    def open(cls, location: str) -> LanceIndex:
        """Open an index; raises MediaError when what is at `location` is not one."""
        with _reading(location):
            database = _lancedb().connect(location)
            table = database.open_table(TABLE)
            meta = {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}
            if meta.get("format") != FORMAT:
                raise MediaError(f"{location} is not an index of this version")
            size = table.schema.field("embedding").type.list_size
        return cls(location, table, EmbeddingSpace(model_id=meta["model_id"], num_dimensions=size))

    @classmethod
    def create(cls, location: str, space: EmbeddingSpace) -> LanceIndex:
        """Make an empty index; raises UsageError when something is there already."""
        lancedb = _lancedb()
        if "://" not in location:
            path = Path(location)
            if not path.parent.is_dir():
                raise UsageError(f"folder {path.parent} does not exist; create it first")
            if path.exists() and not (path.is_dir() and not any(path.iterdir())):
                raise UsageError(f"{location} exists; add to it, or build another index")
        with _reading(location):
            database = lancedb.connect(location)
            if TABLE in database.list_tables().tables:
                raise UsageError(f"{location} exists; add to it, or build another index")
            table = database.create_table(TABLE, schema=_schema(space))
            # Without it every append would read the keys of the whole table.
            _create_scalar_index(table, "key")
        return cls(location, table, space)

    @property
    def location(self) -> str:
        return self._location

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    def __len__(self) -> int:
        with _reading(self._location):
            self._table.checkout_latest()
            return int(self._table.count_rows())

    def append(self, rows: Sequence[LibraryRow]) -> int:
        rows = new_rows(rows, self._space, where=f"index {self._location}")
        if not rows:
            return 0
        vectors = unit_vectors(np.stack([row.embedding.reshape(-1) for row in rows]))
        with _reading(self._location):
            merge = self._table.merge_insert("key").when_not_matched_insert_all()
            return int(merge.execute(_to_arrow(rows, vectors, self._space)).num_inserted_rows)

    def search(
        self, embedding: NDArray[np.float32], *, num_matches: int = 10, where: RowFilter = EVERYTHING
    ) -> list[Match]:
        query = unit_query(embedding, self._space, where=f"index {self._location}")
        with _reading(self._location):
            num_partitions = _num_partitions(len(self))
            search = (
                self._table.search(query, vector_column_name="embedding")
                .distance_type("dot")
                .nprobes(math.ceil(PROBED_SHARE * num_partitions))
                .refine_factor(REFINEMENT)
                .select([*CLIP_COLUMNS, "_distance"])
                .limit(num_matches)
            )
            if where != EVERYTHING:
                # The few clips that pass lie far apart, in partitions that their neighbours do not.
                search = search.where(_sql(where), prefilter=True).nprobes(num_partitions)
            rows = search.to_arrow().to_pylist()
        return [Match(clip=_clip(row), score=1.0 - row["_distance"]) for row in rows]

    def known(self, keys: Iterable[str]) -> set[str]:
        wanted = list(dict.fromkeys(keys))
        found: set[str] = set()
        with _reading(self._location):
            self._table.checkout_latest()
            for start in range(0, len(wanted), KEYS_AT_ONCE):
                part = wanted[start : start + KEYS_AT_ONCE]
                rows = self._table.search().where(_one_of("key", part)).select(["key"]).limit(len(part)).to_arrow()
                found.update(rows.column("key").to_pylist())
        return found

    def find(self, key: str) -> LibraryClip | None:
        row = self._row(key, CLIP_COLUMNS)
        return None if row is None else _clip(row)

    def read_audio(self, key: str) -> bytes | None:
        row = self._row(key, ("audio",))
        return None if row is None else row["audio"]

    def stats(self) -> IndexStats:
        with _reading(self._location):
            self._table.checkout_latest()
            columns = self._table.search().select(["ambient_db", "scene", "licence"]).to_arrow()
            num_with_audio = int(self._table.count_rows("audio IS NOT NULL"))
        levels = sorted(columns.column("ambient_db").to_pylist())
        folder = None if "://" in self._location else Path(self._location)
        return IndexStats(
            backend=self.backend,
            location=self._location,
            space=self._space,
            num_clips=len(levels),
            num_with_audio=num_with_audio,
            num_bytes=None if folder is None else sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()),
            ambient_db=(levels[0], statistics.median_high(levels), levels[-1]) if levels else None,
            scenes=_counted(columns.column("scene").to_pylist()),
            licences=_counted(columns.column("licence").to_pylist()),
        )

    def optimise(self) -> None:
        with _reading(self._location):
            num_clips = len(self)
            indexed = {column for config in self._table.list_indices() for column in config.columns}
            for column in ("key", "ambient_db", "scene", "licence"):
                if column not in indexed:
                    _create_scalar_index(self._table, column)
            if num_clips >= MIN_INDEXED and "embedding" not in indexed:
                self._table.create_index("embedding", config=_vector_index(num_clips), replace=True)
            # Takes what was appended since into the indexes that are there.
            self._table.optimize()

    def close(self) -> None:
        """LanceDB keeps nothing open that has to be closed."""

    def _row(self, key: str, columns: Sequence[str]) -> dict[str, Any] | None:
        with _reading(self._location):
            self._table.checkout_latest()
            rows = self._table.search().where(_one_of("key", [key])).select(list(columns)).limit(1).to_arrow()
        return rows.to_pylist()[0] if len(rows) else None


def _lancedb() -> Any:
    try:
        import lancedb
    except ModuleNotFoundError as error:
        raise UsageError("this index needs LanceDB: pip install 'foleykit[index]'") from error
    return lancedb


def _schema(space: EmbeddingSpace) -> pyarrow.Schema:
    import pyarrow as pa

    fields = [
        # Of two merges at one time both would insert a key that neither found, were it not named as one.
        pa.field("key", pa.string(), nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"}),
        pa.field("ambient_db", pa.float64()),
        pa.field("scene", pa.string()),
        pa.field("captions", pa.list_(pa.string())),
        pa.field("licence", pa.string()),
        pa.field("source", pa.string()),
        pa.field("start", pa.float64()),
        pa.field("seconds", pa.float64()),
        pa.field("audio", pa.large_binary()),
        pa.field("embedding", pa.list_(pa.float32(), space.num_dimensions)),
    ]
    return pa.schema(fields, metadata={"format": FORMAT, "model_id": space.model_id})


def _to_arrow(rows: Sequence[LibraryRow], vectors: NDArray[np.float32], space: EmbeddingSpace) -> pyarrow.Table:
    import pyarrow as pa

    columns: dict[str, Any] = {name: [getattr(row.clip, name) for row in rows] for name in CLIP_COLUMNS}
    columns["audio"] = [row.audio for row in rows]
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), space.num_dimensions)
    return pa.table(columns, schema=_schema(space))


def _create_scalar_index(table: Any, column: str) -> None:
    from lancedb.index import Bitmap, BTree

    config = Bitmap() if column in ("scene", "licence") else BTree()
    table.create_index(column, config=config, replace=True)


def _vector_index(num_clips: int) -> Any:
    from lancedb.index import IvfSq

    # Bytes per dimension, not bits: the clips that pass a filter are often all far away and differ little in distance.
    return IvfSq(distance_type="dot", num_partitions=_num_partitions(num_clips), sample_rate=64, max_iterations=20)


def _num_partitions(num_clips: int) -> int:
    return max(1, math.isqrt(num_clips))


def _clip(row: dict[str, Any]) -> LibraryClip:
    values = {name: row[name] for name in CLIP_COLUMNS}
    return LibraryClip(**{**values, "captions": tuple(values["captions"])})


def _sql(where: RowFilter) -> str:
    """Return `where` as an SQL condition."""
    terms = []
    if np.isfinite(where.min_ambient_db):
        terms.append(f"ambient_db >= {where.min_ambient_db!r}")
    if np.isfinite(where.max_ambient_db):
        terms.append(f"ambient_db <= {where.max_ambient_db!r}")
    if where.scenes:
        terms.append(_one_of("scene", where.scenes))
    if where.licences:
        terms.append(_one_of("licence", where.licences))
    return " AND ".join(terms)


def _one_of(column: str, values: Sequence[str]) -> str:
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({quoted})"


def _counted(values: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


@contextmanager
def _reading(location: str) -> Iterator[None]:
    """Turn what LanceDB says about a table into one line."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise MediaError(f"{location} cannot be used as an index: {text}") from error
