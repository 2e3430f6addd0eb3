"""The embedded index: one SQLite file, and exact search over a matrix in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foleykit.core.errors import MediaError, UsageError
from foleykit.core.sqlite import transaction
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

FORMAT = "foleykit-index-1"
BLOCK_ROWS = 16_384
"""Vectors stored in one BLOB, and read or gathered at a time."""
GATHERED_SHARE = 0.25
"""Where a smaller share of the rows passes a filter, only these are copied and compared."""
WAIT_SECONDS = 60.0
"""How long an append waits for another process's."""

# Clips are numbered from 1 without gaps, so that row i of the matrix is clip i + 1.
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE labels (id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL);
CREATE TABLE clips (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, ambient_db REAL NOT NULL,
    scene INTEGER NOT NULL REFERENCES labels, licence INTEGER NOT NULL REFERENCES labels,
    captions TEXT NOT NULL, source TEXT NOT NULL, start REAL NOT NULL, seconds REAL NOT NULL
);
CREATE TABLE vectors (first_clip INTEGER PRIMARY KEY, num_clips INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE audio (clip INTEGER PRIMARY KEY REFERENCES clips, flac BLOB NOT NULL);
"""
CLIP_COLUMNS = """
SELECT clips.id, key, ambient_db, scenes.text, captions, licences.text, source, start, seconds FROM clips
JOIN labels AS scenes ON scenes.id = clips.scene JOIN labels AS licences ON licences.id = clips.licence
"""
FILTER_COLUMNS = np.dtype([("ambient_db", "f8"), ("scene", "i4"), ("licence", "i4")])
"""What filters look at, held in memory beside the vectors."""


class SqliteIndex:
    """A `VectorIndex` in one file; an object belongs to one thread.

    The first search reads all vectors into memory (4 D bytes per clip), later ones only what was appended since.
    """

    backend = "sqlite"

    def __init__(self, path: Path, connection: sqlite3.Connection, space: EmbeddingSpace) -> None:
        self._path = path
        self._connection = connection
        self._space = space
        self._num_loaded = 0
        self._vectors = np.empty((0, space.num_dimensions), np.float32)
        self._columns = _empty_columns(0)

    @classmethod
    def open(cls, path: Path) -> SqliteIndex:
        """Open an index; raises MediaError when `path` is not one."""
        with _reading(path):
            connection = _connect(path)
            meta = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        if meta.get("format") != FORMAT:
            connection.close()
            raise MediaError(f"{path} is not an index of this version")
        space = EmbeddingSpace(model_id=meta["model_id"], num_dimensions=int(meta["num_dimensions"]))
        return cls(path, connection, space)

    @classmethod
    def create(cls, path: Path, space: EmbeddingSpace) -> SqliteIndex:
        """Make an empty index; raises UsageError when the file exists or its folder does not."""
        if not path.parent.is_dir():
            raise UsageError(f"folder {path.parent} does not exist; create it first")
        with _reading(path):
            connection = _connect(path)
            # Large pages keep a block of vectors together; it must be said before anything is written.
            connection.execute("PRAGMA page_size = 16384")
            connection.execute("PRAGMA journal_mode = WAL")
            with transaction(connection):
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise UsageError(f"{path} exists; add to it, or build another index")
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)
                meta = {"format": FORMAT, "model_id": space.model_id, "num_dimensions": str(space.num_dimensions)}
                connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        return cls(path, connection, space)

    @property
    def location(self) -> str:
        return str(self._path)

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    def __len__(self) -> int:
        with _reading(self._path):
            return int(self._connection.execute("SELECT coalesce(max(id), 0) FROM clips").fetchone()[0])

    def append(self, rows: Sequence[LibraryRow]) -> int:
        rows = new_rows(rows, self._space, where=f"index {self._path}")
        if not rows:
            return 0
        vectors = unit_vectors(np.stack([row.embedding.reshape(-1) for row in rows]))
        with _reading(self._path), transaction(self._connection):
            known = self.known(row.clip.key for row in rows)
            chosen = [position for position, row in enumerate(rows) if row.clip.key not in known]
            first = len(self) + 1
            self._insert([rows[position] for position in chosen], first)
            for start in range(0, len(chosen), BLOCK_ROWS):
                block = vectors[chosen[start : start + BLOCK_ROWS]]
                self._connection.execute(
                    "INSERT INTO vectors VALUES (?, ?, ?)",
                    (first + start, len(block), np.ascontiguousarray(block, "<f4").tobytes()),
                )
        return len(chosen)

    def search(
        self, embedding: NDArray[np.float32], *, num_matches: int = 10, where: RowFilter = EVERYTHING
    ) -> list[Match]:
        query = unit_query(embedding, self._space, where=f"index {self._path}")
        self.load()
        rows = self._passing(where)
        scores = self._scores(query, rows)
        num_matches = min(num_matches, len(scores))
        if num_matches < 1:
            return []
        best = np.argpartition(scores, -num_matches)[-num_matches:]
        best = best[np.lexsort((best, -scores[best]))]
        ids = (best if rows is None else rows[best]) + 1
        clips = self._clips(ids.tolist())
        return [
            Match(clip=clips[clip_id], score=score)
            for clip_id, score in zip(ids.tolist(), scores[best].tolist(), strict=True)
        ]

    def load(self) -> None:
        """Read what was appended since the last time; `search` does it by itself."""
        num_loaded = self._num_loaded
        with _reading(self._path), transaction(self._connection, "DEFERRED"):
            num_clips = len(self)
            if num_clips == num_loaded:
                return
            if num_clips > len(self._vectors):
                self._reserve(num_clips if num_loaded == 0 else num_clips + num_clips // 4)
            new = num_clips - num_loaded
            rows = self._connection.execute(
                "SELECT ambient_db, scene, licence FROM clips WHERE id > ? ORDER BY id", (num_loaded,)
            )
            table = np.fromiter(rows, FILTER_COLUMNS, count=new)
            for name, column in self._columns.items():
                column[num_loaded:num_clips] = table[name]
            blocks = self._connection.execute(
                "SELECT first_clip, num_clips, data FROM vectors WHERE first_clip > ?", (num_loaded,)
            )
            num_read = 0
            for first, count, data in blocks:
                block = np.frombuffer(data, "<f4").reshape(count, self._space.num_dimensions)
                self._vectors[first - 1 : first - 1 + count] = block
                num_read += count
        if num_read != new:
            raise MediaError(f"{self._path} is damaged: {new} clips came with {num_read} embeddings; build it again")
        self._num_loaded = num_clips

    def known(self, keys: Iterable[str]) -> set[str]:
        with _reading(self._path):
            select = "SELECT 1 FROM clips WHERE key = ?"
            return {key for key in keys if self._connection.execute(select, (key,)).fetchone()}

    def find(self, key: str) -> LibraryClip | None:
        with _reading(self._path):
            row = self._connection.execute("SELECT id FROM clips WHERE key = ?", (key,)).fetchone()
        return None if row is None else self._clips([row[0]])[row[0]]

    def read_audio(self, key: str) -> bytes | None:
        with _reading(self._path):
            row = self._connection.execute(
                "SELECT flac FROM audio JOIN clips ON clips.id = audio.clip WHERE key = ?", (key,)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def stats(self) -> IndexStats:
        with _reading(self._path), transaction(self._connection, "DEFERRED"):
            num_clips = len(self)
            lowest, highest = self._connection.execute("SELECT min(ambient_db), max(ambient_db) FROM clips").fetchone()
            median = self._connection.execute(
                "SELECT ambient_db FROM clips ORDER BY ambient_db LIMIT 1 OFFSET ?", (num_clips // 2,)
            ).fetchone()
            by_label = [
                dict(
                    self._connection.execute(
                        f"SELECT text, count(*) AS n FROM clips JOIN labels ON labels.id = clips.{column} "
                        "GROUP BY text ORDER BY n DESC, text"
                    ).fetchall()
                )
                for column in ("scene", "licence")
            ]
            num_with_audio = self._connection.execute("SELECT count(*) FROM audio").fetchone()[0]
        files = [self._path.with_name(self._path.name + end) for end in ("", "-wal", "-shm")]
        return IndexStats(
            backend=self.backend,
            location=self.location,
            space=self._space,
            num_clips=num_clips,
            num_with_audio=num_with_audio,
            num_bytes=sum(path.stat().st_size for path in files if path.exists()),
            ambient_db=None if median is None else (lowest, median[0], highest),
            scenes=by_label[0],
            licences=by_label[1],
        )

    def optimise(self) -> None:
        with _reading(self._path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._connection.close()

    def _insert(self, rows: Sequence[LibraryRow], first: int) -> None:
        names = {name for row in rows for name in (row.clip.scene, row.clip.licence)}
        self._connection.executemany("INSERT OR IGNORE INTO labels (text) VALUES (?)", [(name,) for name in names])
        labels = {
            name: self._connection.execute("SELECT id FROM labels WHERE text = ?", (name,)).fetchone()[0]
            for name in names
        }
        self._connection.executemany(
            "INSERT INTO clips VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    first + offset,
                    row.clip.key,
                    row.clip.ambient_db,
                    labels[row.clip.scene],
                    labels[row.clip.licence],
                    json.dumps(row.clip.captions, ensure_ascii=False),
                    row.clip.source,
                    row.clip.start,
                    row.clip.seconds,
                )
                for offset, row in enumerate(rows)
            ],
        )
        sounds = [(first + offset, row.audio) for offset, row in enumerate(rows) if row.audio is not None]
        self._connection.executemany("INSERT INTO audio VALUES (?, ?)", sounds)

    def _reserve(self, num_rows: int) -> None:
        vectors = np.empty((num_rows, self._space.num_dimensions), np.float32)
        columns = _empty_columns(num_rows)
        vectors[: self._num_loaded] = self._vectors[: self._num_loaded]
        for name, column in columns.items():
            column[: self._num_loaded] = self._columns[name][: self._num_loaded]
        self._vectors, self._columns = vectors, columns

    def _passing(self, where: RowFilter) -> NDArray[np.intp] | None:
        """Return the rows that pass, or None for all of them."""
        if where == EVERYTHING:
            return None
        columns = {name: column[: self._num_loaded] for name, column in self._columns.items()}
        passes = columns["ambient_db"] <= where.max_ambient_db
        if where.min_ambient_db > -np.inf:
            passes &= columns["ambient_db"] >= where.min_ambient_db
        for name, texts in (("scene", where.scenes), ("licence", where.licences)):
            if texts:
                marks = ", ".join("?" * len(texts))
                rows = self._connection.execute(f"SELECT id FROM labels WHERE text IN ({marks})", texts).fetchall()
                wanted = np.zeros(len(passes), bool)
                for (label,) in rows:
                    wanted |= columns[name] == label
                passes &= wanted
        return np.flatnonzero(passes)

    def _scores(self, query: NDArray[np.float32], rows: NDArray[np.intp] | None) -> NDArray[np.float32]:
        """Return the cosine of `query` and each of `rows`."""
        vectors = self._vectors[: self._num_loaded]
        if rows is None:
            return vectors @ query
        if len(rows) > GATHERED_SHARE * len(vectors):
            return (vectors @ query)[rows]
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            span = slice(start, start + BLOCK_ROWS)
            scores[span] = vectors[rows[span]] @ query
        return scores

    def _clips(self, ids: Sequence[int]) -> dict[int, LibraryClip]:
        with _reading(self._path):
            select = f"{CLIP_COLUMNS} WHERE clips.id = ?"
            rows = [self._connection.execute(select, (clip_id,)).fetchone() for clip_id in ids]
        return {
            clip_id: LibraryClip(
                key=key,
                ambient_db=ambient_db,
                scene=scene,
                captions=tuple(json.loads(captions)),
                licence=licence,
                source=source,
                start=start,
                seconds=seconds,
            )
            for clip_id, key, ambient_db, scene, captions, licence, source, start, seconds in rows
        }


def _empty_columns(num_rows: int) -> dict[str, NDArray[Any]]:
    return {name: np.empty(num_rows, FILTER_COLUMNS[name]) for name in FILTER_COLUMNS.names or ()}


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
    # Each commit reaches the disk before it is acknowledged.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what SQLite says about a file into one line."""
    try:
        yield
    except sqlite3.Error as error:
        raise MediaError(f"{path} cannot be used as an index: {error}") from error
