"""`foley models list`, `download` and `convert`, one after the other, against a web server on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fixtures.mmaudio import write_published
from fixtures.server import Shelf, serving
from foleykit.cli.main import main
from foleykit.core.errors import ModelError
from foleykit.jobs import catalogue, convert_mmaudio, download, inventory
from foleykit.jobs.catalogue import PUBLISHED, Checksum, PublishedFile, allows_commercial_use, published
from foleykit.jobs.models import model_folder
from foleykit.models.textvideo.presets import debug, mmaudio

NAME = "mmaudio-small-16k"
COLUMNS = {
    "name",
    "state",
    "family",
    "num_bytes",
    "memory_bytes",
    "memory_basis",
    "sample_rate",
    "licence",
    "commercial_use",
    "folder",
}


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The one line with which a command ends that could not do what it was asked."""
        lines = self.err.strip().splitlines()
        assert lines and lines[-1].startswith("error: ") and "Traceback" not in self.err
        return lines[-1]


Run = Callable[..., Outcome]


@pytest.fixture
def foley(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return a function that runs one command in this process."""
    show_warning, handler = warnings.showwarning, signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(exit_code=int(end.value.code or 0), out=captured.out, err=captured.err)

    yield run
    warnings.showwarning = show_warning
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return foleykit's own folder, in a place of the test, with the network allowed."""
    for switch in download.OFFLINE_SWITCHES:
        monkeypatch.delenv(switch, raising=False)
    monkeypatch.setenv("FOLEYKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the published files of MMAudio's smallest model under their names, in debug sizes."""
    folder = write_published(debug(), tmp_path_factory.mktemp("published"))
    (folder / "mmaudio_debug.pth").rename(folder / "mmaudio_small_16k.pth")
    (folder / "merges.txt").rename(folder / "bpe_simple_vocab_16e6.txt")
    names = {file.name: file.name for file in published(NAME).files}
    names["bpe_simple_vocab_16e6.txt.gz"] = "bpe_simple_vocab_16e6.txt"
    return {name: packed(folder / source) for name, source in names.items()}


def packed(path: Path) -> bytes:
    """Return a file's bytes; the vocabulary is published compressed."""
    import gzip

    return gzip.compress(path.read_bytes(), mtime=0) if path.suffix == ".txt" else path.read_bytes()


def sized(file: PublishedFile, content: bytes) -> PublishedFile:
    """Return the entry of a file with the size and, where one is published, the checksum of other contents."""
    checksum = file.checksum
    if checksum is not None:
        checksum = Checksum(algorithm=checksum.algorithm, value=hashlib.new(checksum.algorithm, content).hexdigest())
    return replace(file, num_bytes=len(content), rounded_to=1, checksum=checksum)


@pytest.fixture
def shelf(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """Yield a server of the files in debug sizes; catalogue and converter know that small-16k is of those sizes."""
    entry = published(NAME)
    small = replace(entry, files=tuple(sized(file, files[file.name]) for file in entry.files))
    others = tuple(other for other in PUBLISHED if other.name != NAME)
    for module in (catalogue, inventory):
        monkeypatch.setattr(module, "PUBLISHED", (small, *others))
    monkeypatch.setattr(convert_mmaudio, "mmaudio", lambda size: debug() if size == "small-16k" else mmaudio(size))
    with serving(Shelf(files=dict(files))) as shelf:
        yield shelf


def listed(foley: Run, *options: str) -> dict[str, dict]:
    outcome = foley("models", "list", "--json", *options)
    assert outcome.exit_code == 0, outcome.err
    return {model["name"]: model for model in json.loads(outcome.out)["models"]}


def fetch(foley: Run, shelf: Shelf, *options: object) -> Outcome:
    return foley("models", "download", NAME, "--accept-licence", "--base-url", shelf.address, *options)


def test_from_the_list_to_a_video_with_sound(
    foley: Run, shelf: Shelf, home: Path, make_video: Callable[..., Path], tmp_path: Path
) -> None:
    """The whole road: what could be had, its licence, a connection that breaks, a model, and its sound."""
    assert listed(foley)[NAME]["state"] == "published"
    asked = foley("models", "download", NAME, "--base-url", shelf.address)
    assert asked.exit_code == 4 and shelf.requests == [] and not home.exists()
    assert "GB under CC-BY-NC-4.0" in asked.said and "--accept-licence" in asked.said

    shelf.ends_after = len(shelf.files["mmaudio_small_16k.pth"]) // 2
    broken = fetch(foley, shelf)
    assert broken.exit_code == 4 and "the same command goes on from there" in broken.said
    assert broken.out.splitlines()[1].startswith("licence: CC-BY-NC-4.0") and "no commercial use" in broken.out
    assert listed(foley)[NAME]["state"] == "in part"

    shelf.ends_after = None
    done = fetch(foley, shelf)
    assert done.exit_code == 0, done.err
    assert shelf.num_sent == sum(len(content) for content in shelf.files.values())
    here = home / "downloads" / "mmaudio"
    for name, content in shelf.files.items():
        assert (here / name).read_bytes() == content
    assert listed(foley)[NAME]["state"] == "downloaded" and listed(foley)[NAME]["folder"] == str(here)
    with pytest.raises(ModelError, match="foley models download"):
        model_folder(NAME)

    words = shlex.split(done.out.splitlines()[-1].removeprefix("next: foley "))
    converted = foley(*words)
    assert converted.exit_code == 0, converted.err
    assert "v1-16.pth: the published file" in converted.out
    row = listed(foley)[NAME]
    assert (row["state"], row["folder"]) == ("here", str(home / "models" / NAME))
    assert listed(foley)["mmaudio-small-44k"]["state"] == "published"

    output = tmp_path / "out.mp4"
    made = foley("generate", make_video(seconds=1.0), "--model", NAME, "--prompt", "ab", "-o", output, "-q")
    assert made.exit_code == 0, made.err
    sidecar = json.loads(output.with_suffix(".json").read_text())
    assert sidecar["model"]["name"] == NAME and "no commercial use" in sidecar["model"]["licence"]


def test_a_second_download_asks_the_server_for_nothing(foley: Run, shelf: Shelf) -> None:
    assert fetch(foley, shelf).exit_code == 0
    shelf.requests.clear()
    again = fetch(foley, shelf, "--json")
    assert again.exit_code == 0 and shelf.requests == []
    result = json.loads(again.out)
    assert [file["num_received"] for file in result["files"]] == [0] * 6
    assert {file["checked_by"] for file in result["files"]} == {"md5", "sha256"}
    for file in result["files"]:
        assert file["sha256"] == hashlib.sha256(shelf.files[file["name"]]).hexdigest()


@pytest.mark.parametrize("number", range(6))
def test_a_lie_about_any_file_is_refused_by_name(foley: Run, shelf: Shelf, home: Path, number: int) -> None:
    """One byte of one file is another; the files before it stay, and it alone is fetched when the truth is back."""
    name = published(NAME).files[number].name
    truth = shelf.files[name]
    shelf.files[name] = truth[:-1] + bytes([truth[-1] ^ 1])
    lied = fetch(foley, shelf)
    assert lied.exit_code == 4 and f"{name} is not the published file" in lied.said
    assert not list(home.glob(f"**/{name}*"))
    shelf.files[name], shelf.num_sent = truth, 0
    assert fetch(foley, shelf).exit_code == 0
    assert shelf.num_sent == sum(len(shelf.files[file.name]) for file in published(NAME).files[number:])


def test_files_of_another_size_are_refused(
    foley: Run, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real catalogue does not take the debug files for what is published."""
    # The published files would be larger than what is free on many a machine; these are small.
    monkeypatch.setattr(download, "SPARE_BYTES", -(10**12))
    with serving(Shelf(files=dict(files))) as shelf:
        said = fetch(foley, shelf).said
    assert f"has {len(files['mmaudio_small_16k.pth'])} bytes, the published file about 630194176" in said


def test_a_file_without_a_published_checksum_is_recorded(
    foley: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"any codec"
    entry = published("audiogen-codec")
    assert entry.files[0].checksum is None
    small = replace(entry, files=(sized(entry.files[0], content),))
    monkeypatch.setattr(catalogue, "PUBLISHED", (small,))
    with serving(Shelf(files={"compression_state_dict.bin": content})) as shelf:
        outcome = foley("models", "download", entry.name, "--accept-licence", "--base-url", shelf.address)
    digest = hashlib.sha256(content).hexdigest()
    assert outcome.exit_code == 0 and f"only its size is published, sha256 {digest}" in outcome.out
    record = home / "downloads" / "audiogen-codec" / "compression_state_dict.bin.sha256"
    assert record.read_text() == f"{digest}  compression_state_dict.bin\n"


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "FOLEYKIT_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_offline_refuses_before_anything_else(
    foley: Run, shelf: Shelf, home: Path, monkeypatch: pytest.MonkeyPatch, switch: str, value: str
) -> None:
    monkeypatch.setenv(switch, value)
    outcome = fetch(foley, shelf)
    assert outcome.exit_code == 4 and f"offline: {switch} is set" in outcome.said
    assert shelf.requests == [] and not home.exists() and outcome.out == ""
    monkeypatch.setenv(switch, "0")
    assert fetch(foley, shelf).exit_code == 0


def test_what_cannot_be_asked_for_is_one_line(foley: Run, shelf: Shelf, home: Path, tmp_path: Path) -> None:
    unknown = foley("models", "download", "mmaudio-small-16", "--accept-licence")
    assert unknown.exit_code == 2 and f'did you mean "{NAME}"?' in unknown.said
    unsafe = foley("models", "download", NAME, "--accept-licence", "--base-url", "http://example.org/files")
    assert unsafe.exit_code == 2 and "not an https address" in unsafe.said
    (tmp_path / "file").touch()
    blocked = fetch(foley, shelf, "-o", tmp_path / "file" / "folder")
    assert blocked.exit_code == 4 and "Not a directory" in blocked.said
    as_json = foley("models", "download", NAME, "--json")
    assert json.loads(as_json.out)["exit_code"] == 4
    assert shelf.requests == [] and not list(home.glob("downloads/*"))


def test_a_disk_that_is_too_small_is_refused_first(
    foley: Run, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = download.shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(download, "SPARE_BYTES", free)
    outcome = fetch(foley, shelf)
    assert outcome.exit_code == 4 and "GB are free" in outcome.said and shelf.requests == []


def test_two_downloads_to_one_folder_do_not_mix(foley: Run, shelf: Shelf, home: Path) -> None:
    folder = home / "downloads" / "mmaudio"
    folder.mkdir(parents=True)
    with download.alone(folder):
        outcome = fetch(foley, shelf)
    assert outcome.exit_code == 4 and "another download" in outcome.said
    assert fetch(foley, shelf).exit_code == 0


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_keeps_what_came_and_says_so(home: Path) -> None:
    """A process of its own is stopped in the middle of a file that the server sends slowly."""
    content = bytes(4_000_000)
    script = (
        "import sys; from dataclasses import replace; from foleykit.jobs import catalogue;"
        "entry = catalogue.published('audiogen-codec');"
        f"file = replace(entry.files[0], num_bytes={len(content)}, rounded_to=1);"
        "catalogue.PUBLISHED = (replace(entry, files=(file,)),);"
        "from foleykit.cli.main import main; main(sys.argv[1:])"
    )
    part = home / "downloads" / "audiogen-codec" / "compression_state_dict.bin.part"
    with serving(Shelf(files={"compression_state_dict.bin": content}, stalls_after=2_500_000)) as shelf:
        words = ["models", "download", "audiogen-codec", "--accept-licence", "--base-url", shelf.address]
        process = subprocess.Popen(
            [sys.executable, "-c", script, *words],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size >= 2 * 2**20) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "error: interrupted; what came is kept, and the same command goes on from there"
    assert part.stat().st_size >= 2 * 2**20 and part.with_name(f"{part.name}.json").exists()


def test_the_list_shows_the_same_as_text_and_as_json(foley: Run, home: Path) -> None:
    models = listed(foley)
    assert all(set(model) == COLUMNS for model in models.values())
    text = foley("models", "list").out.splitlines()
    assert text[0].split() == ["name", "state", "family", "size", "memory", "rate", "commercial", "licence"]
    assert [line.split()[0] for line in text[1:]] == list(models)
    for line, model in zip(text[1:], models.values(), strict=True):
        assert f" {model['sample_rate']} Hz " in line and f" {model['memory_basis']} " in line
        assert line.endswith(model["licence"].split(" (")[0])
    assert set(models) >= {entry.name for entry in PUBLISHED}
    assert not home.exists()


def test_commercial_ok_leaves_the_others_out(foley: Run, home: Path, debug_model: Path) -> None:
    import shutil

    for name, licence in (("mine", "cc0-1.0"), ("theirs", "cc-by-nc-4.0"), ("nobody", "ask me")):
        folder = shutil.copytree(debug_model, home / "models" / name)
        (folder / "MODEL_CARD.md").write_text(f"---\nlicense: {licence}\n---\n")
    every, allowed = listed(foley), listed(foley, "--commercial-ok")
    assert {name: every[name]["commercial_use"] for name in ("mine", "theirs", "nobody")} == {
        "mine": True,
        "theirs": False,
        "nobody": None,
    }
    assert set(allowed) == {name for name, model in every.items() if model["commercial_use"]}
    assert "mine" in allowed and not set(allowed) & {"theirs", "nobody", NAME, "imagebind"}
    assert every["mine"]["state"] == "here"


def test_a_damaged_folder_does_not_hide_the_others(foley: Run, home: Path) -> None:
    (home / "models" / "broken").mkdir(parents=True)
    (home / "models" / "broken" / "config.json").write_text("{")
    outcome = foley("models", "list")
    assert outcome.exit_code == 0 and NAME in outcome.out
    assert "warning: left out:" in outcome.err and "broken" in outcome.err


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("apache-2.0", True),
        ("MIT", True),
        ("CC-BY-4.0", True),
        ("cc0-1.0", True),
        ("CC-BY-NC-4.0", False),
        ("cc-by-nc-sa-4.0", False),
        ("CC BY-NC 4.0", False),
        ("research only", False),
        ("not stated", None),
        ("that of the published file", None),
        ("mit-like", None),
    ],
)
def test_licences_are_read_with_care(licence: str, allowed: bool | None) -> None:
    assert allows_commercial_use(licence) is allowed


def test_the_catalogue_is_consistent() -> None:
    names = [entry.name for entry in PUBLISHED]
    assert len(set(names)) == len(names)
    for entry in PUBLISHED:
        assert all(file.url.startswith("https://") for file in entry.files)
        assert len({file.name for file in entry.files}) == len(entry.files)
        assert allows_commercial_use(entry.licence) is entry.commercial_use
        for file in entry.files:
            if file.checksum is not None:
                assert len(file.checksum.value) == {"md5": 32, "sha256": 64}[file.checksum.algorithm]
    sizes = {entry.name for entry in PUBLISHED if entry.converter == "mmaudio"}
    assert sizes == {f"mmaudio-{size}" for size in convert_mmaudio.published_sizes()}
