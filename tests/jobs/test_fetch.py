"""A file arrives whole, in one go or in several, or it does not arrive: against a real server on this machine."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.server import Shelf, serving
from foleykit.core.errors import ModelError, UsageError
from foleykit.jobs.catalogue import Checksum, PublishedFile
from foleykit.jobs.fetch import check_url, fetch

CONTENT = random.Random(0).randbytes(5_000_000)
"""Some five reads long."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with serving(Shelf(files={"model.pth": CONTENT})) as shelf:
        yield shelf


def described(content: bytes = CONTENT, *, algorithm: str = "md5", rounded_to: int = 1) -> PublishedFile:
    """Return the catalogue's entry of a file; algorithm "none" is one without a published checksum."""
    checksum = None
    if algorithm in ("md5", "sha256"):
        checksum = Checksum(algorithm=algorithm, value=hashlib.new(algorithm, content).hexdigest())  # type: ignore[arg-type]
    url = "https://example.org/weights/model.pth"
    return PublishedFile(url=url, num_bytes=len(content), rounded_to=rounded_to, checksum=checksum)


def get(shelf: Shelf, folder: Path, file: PublishedFile | None = None):
    return fetch(file or described(), folder, url=f"{shelf.address}/model.pth")


def refused(shelf: Shelf, folder: Path, file: PublishedFile | None = None) -> str:
    """Return the one line with which a download ends; the file has no name then."""
    with pytest.raises(ModelError) as error:
        get(shelf, folder, file)
    assert "\n" not in str(error.value) and error.value.exit_code == 4
    assert not (folder / "model.pth").exists()
    return str(error.value)


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "none"])
def test_a_whole_file_lies_beside_its_hash(shelf: Shelf, tmp_path: Path, algorithm: str) -> None:
    found = get(shelf, tmp_path, described(algorithm=algorithm))
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert found.digests["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / "model.pth.sha256").read_text() == f"{found.digests['sha256']}  model.pth\n"
    assert found.checked_by == ("size" if algorithm == "none" else algorithm)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pth", "model.pth.sha256"]


@pytest.mark.parametrize("tags", ["strong", "date"])
def test_a_broken_connection_is_gone_on_from(shelf: Shelf, tmp_path: Path, tags: str) -> None:
    """Three connections that break off and a fourth that does not carry every byte once."""
    shelf.tags, shelf.ends_after = tags, 1_500_000
    for num_megabytes in ("1.5", "3.0", "4.5"):
        said = refused(shelf, tmp_path)
        assert f"broke after {num_megabytes} of 5.0 MB of model.pth" in said and "goes on from there" in said
    found = get(shelf, tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT
    assert (shelf.num_sent, found.num_received) == (len(CONTENT), 500_000)
    assert [wished for _, wished in shelf.requests] == ["", "bytes=1500000-", "bytes=3000000-", "bytes=4500000-"]


def test_a_part_that_is_whole_needs_no_server(shelf: Shelf, tmp_path: Path) -> None:
    """As after a crash between the last byte and the new name."""
    shelf.ends_after = 1_000_000
    refused(shelf, tmp_path)
    (tmp_path / "model.pth.part").write_bytes(CONTENT)
    assert get(shelf, tmp_path).num_received == 0 and len(shelf.requests) == 1


@pytest.mark.parametrize(
    "change", ["ignores ranges", "weak tag", "no tag", "another address", "wrong range", "no note"]
)
def test_what_cannot_be_continued_begins_anew(shelf: Shelf, tmp_path: Path, change: str) -> None:
    shelf.ends_after = 2_000_000
    shelf.tags = {"weak tag": "weak", "no tag": "none"}.get(change, "strong")
    said = refused(shelf, tmp_path)
    assert ("begins anew" in said) == (shelf.tags != "strong")
    shelf.ends_after, shelf.num_sent = None, 0
    shelf.knows_ranges = change != "ignores ranges"
    shelf.wrong_range = change == "wrong range"
    if change == "no note":
        (tmp_path / "model.pth.part.json").write_text("{")
    url = f"{shelf.address}/other/model.pth" if change == "another address" else f"{shelf.address}/model.pth"
    shelf.files["other/model.pth"] = CONTENT
    found = fetch(described(), tmp_path, url=url)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT and found.num_received == len(CONTENT)


def test_a_file_that_changed_on_the_server_begins_anew(shelf: Shelf, tmp_path: Path) -> None:
    """Halves of two files of one size are never put together: the part is of the old, the result of the new."""
    shelf.ends_after = 2_000_000
    refused(shelf, tmp_path, described(algorithm="none"))
    shelf.ends_after = None
    shelf.files["model.pth"] = new = CONTENT[::-1]
    found = get(shelf, tmp_path, described(algorithm="none"))
    assert shelf.requests[1][1] == "bytes=2000000-"
    assert (tmp_path / "model.pth").read_bytes() == new and found.num_received == len(new)


def test_a_file_that_shrank_on_the_server_begins_anew(shelf: Shelf, tmp_path: Path) -> None:
    shelf.ends_after = 4_000_000
    file = described(algorithm="none", rounded_to=3_000_000)
    refused(shelf, tmp_path, file)
    shelf.ends_after = None
    note = json.loads((tmp_path / "model.pth.part.json").read_text())
    shelf.files["model.pth"] = CONTENT[:3_000_000]
    # The server takes the old name for the new file, so that only the range is out of reach.
    note["validator"] = f'"{hashlib.sha256(CONTENT[:3_000_000]).hexdigest()[:16]}"'
    (tmp_path / "model.pth.part.json").write_text(json.dumps(note))
    assert get(shelf, tmp_path, file).num_bytes == 3_000_000


def test_another_checksum_is_refused_and_nothing_is_kept(shelf: Shelf, tmp_path: Path) -> None:
    wrong = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    for algorithm in ("md5", "sha256"):
        shelf.files["model.pth"] = wrong
        said = refused(shelf, tmp_path, described(algorithm=algorithm))
        assert hashlib.new(algorithm, wrong).hexdigest() in said and hashlib.new(algorithm, CONTENT).hexdigest() in said
        assert list(tmp_path.iterdir()) == []
    shelf.files["model.pth"] = CONTENT
    assert get(shelf, tmp_path).num_received == len(CONTENT)


def test_a_damaged_part_is_found_by_the_checksum(shelf: Shelf, tmp_path: Path) -> None:
    shelf.ends_after = 2_000_000
    refused(shelf, tmp_path)
    shelf.ends_after = None
    part = tmp_path / "model.pth.part"
    part.write_bytes(b"x" + part.read_bytes()[1:])
    assert "begins anew" in refused(shelf, tmp_path)
    assert get(shelf, tmp_path).num_received == len(CONTENT)


def test_another_size_is_refused_before_it_is_sent(shelf: Shelf, tmp_path: Path) -> None:
    for content in (CONTENT + b"x", CONTENT[:-1], b"not found"):
        shelf.files["model.pth"] = content
        said = refused(shelf, tmp_path, described(algorithm="none"))
        assert f"has {len(content)} bytes, the published file {len(CONTENT)}" in said
        assert list(tmp_path.iterdir()) == []


def test_a_rounded_size_takes_what_rounds_to_it(shelf: Shelf, tmp_path: Path) -> None:
    file = described(rounded_to=100, algorithm="none")
    for length, fits in ((len(CONTENT) - 100, False), (len(CONTENT) - 99, True), (len(CONTENT), True)):
        assert file.has_size(length) == fits
    shelf.files["model.pth"] = CONTENT[:-99]
    assert get(shelf, tmp_path, file).num_bytes == len(CONTENT) - 99


def test_without_a_length_too_little_and_too_much_are_noticed(shelf: Shelf, tmp_path: Path) -> None:
    shelf.says_length, shelf.ends_after = False, 2_000_000
    assert "broke after 2.0 MB" in refused(shelf, tmp_path)
    shelf.ends_after = None
    shelf.files["model.pth"] = CONTENT + b"x"
    assert "more bytes came" in refused(shelf, tmp_path, described(algorithm="none"))
    shelf.files["model.pth"] = CONTENT
    assert get(shelf, tmp_path).num_received == len(CONTENT)


@pytest.mark.parametrize(
    ("status", "hint"), [(404, "404 Not Found"), (403, "403"), (503, "try later"), (429, "try later")]
)
def test_a_server_that_says_no_is_quoted(shelf: Shelf, tmp_path: Path, status: int, hint: str) -> None:
    shelf.status = status
    assert hint in refused(shelf, tmp_path) and list(tmp_path.iterdir()) == []


def test_nobody_at_home_is_one_line(tmp_path: Path) -> None:
    with serving(Shelf()) as closed:
        pass
    assert "cannot be reached" in refused(closed, tmp_path)


def test_redirects_are_followed_but_not_to_unsafe_places(shelf: Shelf, tmp_path: Path) -> None:
    with serving(Shelf(redirect=shelf.address)) as front:
        front_requests = front.requests
        shelf.ends_after = 3_000_000
        refused(front, tmp_path)
        shelf.ends_after = None
        assert get(front, tmp_path).num_received == 2_000_000
        assert front_requests[-1] == shelf.requests[-1] == ("model.pth", "bytes=3000000-")
    for place in ("http://example.org", "ftp://127.0.0.1", "file:///etc"):
        with serving(Shelf(redirect=place)) as front:
            said = refused(front, tmp_path / "other")
            assert "not safe" in said or "not allowed" in said


@pytest.mark.parametrize("url", ["http://example.org/x", "file:///etc/passwd", "ftp://example.org/x", "model.pth", ""])
def test_only_https_is_safe(url: str) -> None:
    with pytest.raises(UsageError, match="not an https address"):
        check_url(url)


def test_a_file_that_is_here_is_checked_and_not_fetched(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(CONTENT)
    assert get(shelf, tmp_path).num_received == 0 and shelf.requests == []
    (tmp_path / "model.pth").write_bytes(CONTENT[::-1])
    with pytest.raises(ModelError, match=r"is not the published file.*delete it"):
        get(shelf, tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT[::-1]
