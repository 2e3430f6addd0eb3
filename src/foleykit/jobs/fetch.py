"""One published file from a server to a folder: continued where it broke off, checked before it gets its name."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import IO, BinaryIO, Literal
from urllib.parse import urlsplit

from foleykit.core.errors import ModelError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.jobs.catalogue import PublishedFile

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30.0
"""How long a server may say nothing."""
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
CheckedBy = Literal["md5", "sha256", "size"]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that is whole."""

    name: str
    num_bytes: int
    num_received: int
    """Bytes that came over the network now; the rest was here."""
    digests: dict[str, str]
    """SHA-256 and, where another checksum is published, that one."""
    checked_by: CheckedBy
    """What was compared with what is published."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the beginning of a file came from, kept beside it until the file is whole."""

    url: str
    validator: str
    """What the server calls this state of the file; empty where it has no lasting name for it."""
    num_bytes: int
    """Of the whole file; 0 where the server did not say."""


def fetch(file: PublishedFile, folder: Path, *, url: str = "", report: Report = no_report) -> Fetched:
    """Bring `file` into `folder`, from `url` instead of its own address if one is given.

    Beside it lies its SHA-256. While it is incomplete it is called NAME.part; the next call goes on from there if the
    server still has the same file. Raises UsageError for an address that is not safe to fetch from, and ModelError in
    one line when the server or the connection fails or the file is not what was published. What the disk refuses is an
    OSError.
    """
    check_url(url or file.url)
    target, part = folder / file.name, folder / f"{file.name}.part"
    if target.exists():
        report(f"{file.name}, checking", 1)
        found = hashed(target, file, num_received=0)
        if complaint := complaint_about(found, file):
            raise ModelError(f"{target} {complaint}; delete it or use another folder")
    else:
        num_received = receive(file, url or file.url, part, report)
        found = hashed(part, file, num_received=num_received)
        if complaint := complaint_about(found, file):
            part.unlink()
            source_path(part).unlink(missing_ok=True)
            raise ModelError(f"{file.name} {complaint}; it was removed, and the same command begins anew")
        part.replace(target)
        source_path(part).unlink(missing_ok=True)
    (folder / f"{file.name}.sha256").write_text(f"{found.digests['sha256']}  {file.name}\n")
    return found


def check_url(url: str) -> None:
    """Raise UsageError unless the address is https, or http on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in THIS_MACHINE):
        raise UsageError(f"{url} is not an https address; http is only for this machine")


def num_bytes_here(file: PublishedFile, folder: Path) -> int:
    """Return how many bytes of a file are in `folder`, whole or in part."""
    paths = (folder / file.name, folder / f"{file.name}.part")
    return next((path.stat().st_size for path in paths if path.is_file()), 0)


def hashed(path: Path, file: PublishedFile, *, num_received: int) -> Fetched:
    """Return what the bytes at `path` add up to, by SHA-256 and by what is published of `file`."""
    algorithms = {"sha256"} | ({file.checksum.algorithm} if file.checksum else set())
    sums = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
    num_bytes = 0
    with path.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            num_bytes += len(chunk)
            for algorithm in algorithms:
                sums[algorithm].update(chunk)
    return Fetched(
        name=file.name,
        num_bytes=num_bytes,
        num_received=num_received,
        digests={algorithm: found.hexdigest() for algorithm, found in sums.items()},
        checked_by=file.checksum.algorithm if file.checksum else "size",
    )


def complaint_about(found: Fetched, file: PublishedFile) -> str:
    """Return in what way `found` is not the published file; empty where it is."""
    checksum = file.checksum
    if not file.has_size(found.num_bytes):
        return f"has {found.num_bytes} bytes, the published file {stated_size(file)}"
    if checksum is not None and found.digests[checksum.algorithm] != checksum.value:
        return (
            f"is not the published file: its {checksum.algorithm} is {found.digests[checksum.algorithm]}, published is "
            f"{checksum.value}"
        )
    return ""


def receive(file: PublishedFile, url: str, part: Path, report: Report) -> int:
    """Bring the beginning of a file in `part` to its full length; return how many bytes came."""
    source, num_here = source_of(part, url), part.stat().st_size if part.exists() else 0
    if source is not None and num_here == source.num_bytes > 0:
        return 0
    answer, start = connect(url, source, num_here)
    with answer:
        if source is None or start == 0:
            source = new_source(file, url, answer)
        with part.open("ab" if start else "wb") as out:
            source_path(part).write_text(json.dumps(asdict(source)))
            num_bytes = copy(file, answer, out, start, source, report)
            os.fsync(out.fileno())
    if (num_bytes < source.num_bytes) if source.num_bytes else (num_bytes <= file.num_bytes - file.rounded_to):
        raise broken(file, source, num_bytes, "it ended early")
    return num_bytes - start


def copy(
    file: PublishedFile, answer: http.client.HTTPResponse, out: BinaryIO, start: int, source: Source, report: Report
) -> int:
    """Append what comes to `out`, which has `start` bytes; return how many it has then. Raises ModelError."""
    num_bytes = start
    total = source.num_bytes or file.num_bytes
    while True:
        report(f"{file.name}, {num_bytes / 1e6:.0f} of {total / 1e6:.0f} MB", min(num_bytes / max(total, 1), 1.0))
        try:
            chunk = answer.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise broken(file, source, num_bytes, reason_of(error)) from error
        if not chunk:
            return num_bytes
        num_bytes += len(chunk)
        if num_bytes > file.num_bytes:
            raise ModelError(f"{file.name}: more bytes came than the {stated_size(file)} of the published file")
        out.write(chunk)
        out.flush()


def connect(url: str, source: Source | None, num_here: int) -> tuple[http.client.HTTPResponse, int]:
    """Return a server's answer and the byte it starts at: where the part ends, or 0 where it must begin anew."""
    if source is not None and source.validator and 0 < num_here < source.num_bytes:
        # If the file has changed meanwhile, If-Range makes the server send all of it.
        wanted = f"bytes {num_here}-{source.num_bytes - 1}/{source.num_bytes}"
        answer = ask(url, {"Range": f"bytes={num_here}-", "If-Range": source.validator})
        if answer is not None and answer.status == http.client.PARTIAL_CONTENT:
            if answer.headers["Content-Range"] == wanted:
                return answer, num_here
            answer.close()
        elif answer is not None:
            return answer, 0
    answer = ask(url, {})
    if answer is None or answer.status != http.client.OK:
        raise ModelError(f"{url} does not answer with a file")
    return answer, 0


def ask(url: str, headers: dict[str, str]) -> http.client.HTTPResponse | None:
    """Return the answer to a request, None where the wished range does not exist; raises ModelError otherwise."""
    # Compressed, a range would be one of other bytes.
    request = urllib.request.Request(url, headers={"User-Agent": "foleykit", "Accept-Encoding": "identity", **headers})
    proxies: dict[str, str] | None = {} if urlsplit(url).hostname in THIS_MACHINE else None
    opener = urllib.request.build_opener(SafeRedirects, urllib.request.ProxyHandler(proxies))
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        later = "; try later" if error.code == http.client.TOO_MANY_REQUESTS or error.code >= 500 else ""
        raise ModelError(f"{url} answers {error.code} {error.reason}{later}") from error
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(f"{url} cannot be reached: {reason_of(error)}; the same command tries again") from error
    return answer


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server elsewhere, but never to an address that is not safe."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        try:
            check_url(newurl)
        except UsageError as error:
            raise ModelError(f"{req.full_url} leads to an address that is not safe: {error}") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def new_source(file: PublishedFile, url: str, answer: http.client.HTTPResponse) -> Source:
    """Return what a server says of the file that it begins to send; raises ModelError where it is another's size."""
    length = answer.headers["Content-Length"]
    num_bytes = int(length) if length and length.isdigit() else 0
    if num_bytes and not file.has_size(num_bytes):
        raise ModelError(f"{url} has {num_bytes} bytes, the published file {stated_size(file)}; it is another file")
    tag = answer.headers["ETag"] or ""
    # A weak tag may stand for other bytes of the same meaning.
    validator = answer.headers["Last-Modified"] or "" if not tag or tag.startswith("W/") else tag
    return Source(url=url, validator=validator if num_bytes else "", num_bytes=num_bytes)


def source_of(part: Path, url: str) -> Source | None:
    """Return where the beginning in `part` came from; None where that is not known, or was somewhere else."""
    try:
        source = Source(**json.loads(source_path(part).read_text()))
    except (OSError, json.JSONDecodeError, TypeError):
        return None
    return source if source.url == url else None


def source_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def broken(file: PublishedFile, source: Source, num_bytes: int, reason: str) -> ModelError:
    """Return what a user should know of a connection that ended before the file did."""
    total = f" of {source.num_bytes / 1e6:.1f}" if source.num_bytes else ""
    remedy = "goes on from there" if source.validator else "begins anew, for this server cannot continue a file"
    return ModelError(
        f"the connection broke after {num_bytes / 1e6:.1f}{total} MB of {file.name} ({reason}); "
        f"the same command {remedy}"
    )


def reason_of(error: OSError | http.client.HTTPException) -> str:
    inner = getattr(error, "reason", None) or error
    return " ".join(str(inner).split()) or type(inner).__name__


def stated_size(file: PublishedFile) -> str:
    about = "" if file.rounded_to == 1 else "about "
    return f"{about}{file.num_bytes}"
