"""Published models from the network to this machine: asked for by name, with their licence accepted, and checked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from foleykit.core.errors import ModelError
from foleykit.core.progress import Report, no_report
from foleykit.jobs.catalogue import Published, PublishedFile, published
from foleykit.jobs.fetch import Fetched, check_url, fetch, num_bytes_here
from foleykit.jobs.home import home

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, two downloads to one folder are told apart by checksums alone.
    fcntl = None  # type: ignore[assignment]

OFFLINE_SWITCHES = ("FOLEYKIT_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables that forbid the network: our own, and that of the hub's tools."""
SPARE_BYTES = 64 * 2**20
"""Left free on the disk."""


@dataclass(frozen=True, kw_only=True)
class DownloadRequest:
    """Which model is fetched, and from where to where."""

    name: str
    folder: Path | None = None
    """Of the files; None is foleykit's own."""
    base_url: str = ""
    """Where files of the published names lie, instead of where they are published."""
    is_licence_accepted: bool = False


@dataclass(frozen=True, kw_only=True)
class DownloadResult:
    """What is here now, and what makes a model of it."""

    name: str
    licence: str
    folder: Path
    files: tuple[Fetched, ...]
    convert_command: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values."""
        return {
            "name": self.name,
            "licence": self.licence,
            "folder": str(self.folder),
            "files": [
                {
                    "name": file.name,
                    "num_bytes": file.num_bytes,
                    "num_received": file.num_received,
                    "sha256": file.digests["sha256"],
                    "checked_by": file.checked_by,
                }
                for file in self.files
            ],
            "convert_command": self.convert_command,
        }


@dataclass(frozen=True, kw_only=True)
class DownloadPlan:
    """A download that may begin."""

    entry: Published
    folder: Path
    base_url: str
    num_bytes_missing: int


def plan_download(request: DownloadRequest, environment: Mapping[str, str] = os.environ) -> DownloadPlan:
    """Return what would be fetched; nothing is asked of the network and nothing written.

    Raises UsageError for an unknown name or an unsafe address, and ModelError in one line when the network is
    forbidden, the licence is not accepted or the disk is too small.
    """
    entry = published(request.name)
    if request.base_url:
        check_url(request.base_url)
    folder = request.folder if request.folder is not None else download_folder(entry)
    if switch := next((name for name in OFFLINE_SWITCHES if is_on(environment.get(name, ""))), None):
        raise ModelError(f"offline: {switch} is set, so nothing is downloaded; unset it, or copy the files to {folder}")
    if not request.is_licence_accepted:
        raise ModelError(
            f"{entry.name} is {entry.num_bytes / 1e9:.2f} GB under {entry.licence}; nothing is downloaded before you "
            "accept that with --accept-licence"
        )
    missing = sum(
        max(file.num_bytes - num_bytes_here(file, folder), 0)
        for file in entry.files
        if not (folder / file.name).is_file()
    )
    free = shutil.disk_usage(existing(folder)).free
    if missing and missing + SPARE_BYTES > free:
        raise ModelError(
            f"{entry.name} needs {missing / 1e9:.2f} GB more in {folder}, where {free / 1e9:.2f} GB are free; "
            "make room or use another folder"
        )
    return DownloadPlan(entry=entry, folder=folder, base_url=request.base_url, num_bytes_missing=missing)


def download(plan: DownloadPlan, *, report: Report = no_report) -> DownloadResult:
    """Fetch what is missing of a model, one file after the other; files that are here are checked again.

    Raises ModelError in one line when a file cannot be had or is not the published one; what came before stays, and the
    same call goes on from there.
    """
    entry, output = plan.entry, output_folder(plan.entry)
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        with alone(plan.folder):
            files = tuple(
                fetch(file, plan.folder, url=address(file, plan.base_url), report=report) for file in entry.files
            )
    except OSError as error:
        place = error.filename or plan.folder
        raise ModelError(f"{place} cannot be written: {error.strerror}; the same command goes on from here") from error
    return DownloadResult(
        name=entry.name,
        licence=entry.licence,
        folder=plan.folder,
        files=files,
        convert_command=entry.convert_command(plan.folder, output),
    )


def download_folder(entry: Published) -> Path:
    """Return where the files of a model are kept unless another folder is named."""
    return home() / "downloads" / entry.store


def output_folder(entry: Published) -> Path:
    """Return where the converted folder belongs: a model where its name finds it, the rest where the user is."""
    return home() / "models" / entry.name if entry.is_model else Path(entry.converter)


def address(file: PublishedFile, base_url: str) -> str:
    return f"{base_url.rstrip('/')}/{quote(file.name)}" if base_url else file.url


def is_on(value: str) -> bool:
    """Return whether an environment variable says yes, as the hub's tools read it."""
    return value.upper() in ("1", "ON", "YES", "TRUE")


def existing(folder: Path) -> Path:
    """Return the folder or the nearest above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other downloads out of a folder; raises ModelError when there is one."""
    with (folder / ".lock").open("w") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ModelError(f"another download to {folder} is running; wait for it") from error
        yield
