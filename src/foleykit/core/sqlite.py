"""Transactions of SQLite: all of what happens inside, or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Commit what happens inside, or undo it; IMMEDIATE takes the write lock, DEFERRED only fixes what is read."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    # Whatever ends it, an interruption by the user included, is undone and raised again.
    except BaseException:
        # SQLite itself has undone the transaction where, for one, the disk is full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
