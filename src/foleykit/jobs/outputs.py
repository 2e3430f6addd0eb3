"""Files that appear complete and together, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from foleykit.core.errors import UsageError


def check_outputs(paths: Sequence[Path], *, inputs: Sequence[Path] = (), overwrite: bool) -> None:
    """Refuse outputs that cannot be written, before any work is done.

    Raises UsageError when a path exists and `overwrite` is off, is an input, is named twice, or lies in a folder that
    is missing or closed to us.
    """
    sources = {path.resolve() for path in inputs}
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError(f"two outputs have the same name: {', '.join(sorted(str(path) for path in paths))}")
    for path in paths:
        if path.resolve() in sources:
            raise UsageError(f"{path} is the input; choose another output")
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name a file")
        if path.exists() and not overwrite:
            raise UsageError(f"{path} exists; use --overwrite or another output")
        if not path.parent.is_dir():
            raise UsageError(f"folder {path.parent} does not exist; create it first")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"folder {path.parent} cannot be written to")


class StagedFiles:
    """Files being written under hidden temporary names in their own folders."""

    def __init__(self) -> None:
        self._parts: dict[Path, Path] = {}

    def add(self, path: Path) -> Path:
        """Return the temporary name to write `path` under; it keeps the suffix, by which writers choose the format."""
        self._parts[path] = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
        return self._parts[path]

    def publish(self) -> None:
        """Give every file its final name."""
        missing = [path for path, part in self._parts.items() if not part.exists()]
        assert not missing, f"never written: {missing}"
        for path, part in self._parts.items():
            part.replace(path)

    def discard(self) -> None:
        """Remove every temporary file that is left."""
        for part in self._parts.values():
            part.unlink(missing_ok=True)


@contextmanager
def all_or_none() -> Iterator[StagedFiles]:
    """Yield files to stage: on success all take their final names, on any failure or interruption none appears."""
    staged = StagedFiles()
    try:
        yield staged
        staged.publish()
    finally:
        staged.discard()
