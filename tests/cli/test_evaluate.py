"""`foley evaluate GENERATED --reference DIR` and `foley evaluate --compare A B`, as they are typed."""

from __future__ import annotations

import json
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evaluation.test_media import write_set
from foleykit.cli.main import main


@dataclass(frozen=True)
class Outcome:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def foley(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Outcome]]:
    """Return a function that runs `foley evaluate` in this process."""
    show_warning, handler = warnings.showwarning, signal.getsignal(signal.SIGTERM)

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["evaluate", *map(str, words)])
        captured = capsys.readouterr()
        return Outcome(returncode=int(end.value.code or 0), stdout=captured.out, stderr=captured.err)

    yield run
    warnings.showwarning = show_warning
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_set(folder / "reference")
    write_set(folder / "ours", shift_ms=10)
    write_set(folder / "theirs", first_seed=40)
    write_set(folder / "fewer", num=4)
    return folder


def test_a_folder_is_scored_without_naming_the_command(folder: Path, foley: Callable[..., Outcome]) -> None:
    done = foley(
        folder / "ours",
        "--reference",
        folder / "reference",
        "--protocol",
        "onset",
        "-o",
        folder / "out",
        "--json",
        "--workers",
        0,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((folder / "out" / "report.json").read_text())
    row = next(row for row in report["rows"] if row["name"] == "generated")
    assert row["offset_ms"]["value"] == pytest.approx(10, abs=2)
    assert (folder / "out" / "report.md").read_text().startswith("# Generated sound against recordings")
    pictures = sorted(path.name for path in (folder / "out" / "plots").iterdir())
    assert len(pictures) == 7 and pictures[0] == "offsets.png"


def test_clips_that_are_left_out_change_the_exit_code(folder: Path, foley: Callable[..., Outcome]) -> None:
    words = [folder / "fewer", "--reference", folder / "reference", "--protocol", "onset", "--workers", 0]
    done = foley(*words)
    assert done.returncode == 5
    assert "2 clips left out, no generated sound: clip4, clip5" in done.stdout
    assert "warning: 2 clips were left out" in done.stderr
    assert foley(*words, "--partial").returncode == 0


def test_required_figures_that_are_missing_change_the_exit_code(folder: Path, foley: Callable[..., Outcome]) -> None:
    words = [folder / "ours", "--reference", folder / "reference", "--workers", 0]
    done = foley(*words, "--require", "fd_vggish")
    assert done.returncode == 5 and "lacks fd_vggish (needs VGGish)" in done.stderr
    done = foley(*words, "--require", "loudness")
    assert done.returncode == 2 and 'no figure "loudness"' in done.stderr
    done = foley(*words, "--embedding", folder / "ours")
    assert done.returncode == 4 and "config.json" in done.stderr


def test_systems_are_compared_from_folders_and_from_reports(folder: Path, foley: Callable[..., Outcome]) -> None:
    words = ["--reference", folder / "reference", "--protocol", "onset", "--workers", 0]
    done = foley("--compare", folder / "theirs", folder / "ours", *words, "--json")
    assert done.returncode == 0, done.stderr
    ranks = json.loads(done.stdout)["ranks"]
    assert ranks["sync_score"] == {"ours": 1, "theirs": 2}
    for name in ("ours", "theirs"):
        assert foley(folder / name, *words, "-o", folder / "reports" / name).returncode == 0
    again = foley("compare", f"b={folder / 'reports' / 'theirs'}", f"a={folder / 'reports' / 'ours'}", "--json")
    assert json.loads(again.stdout)["ranks"]["sync_score"] == {"a": 1, "b": 2}
    twice = foley("--compare", folder / "ours", folder / "reports" / "ours")
    assert twice.returncode == 2 and 'two systems are called "ours"' in twice.stderr


def test_nothing_to_score_is_one_line(folder: Path, foley: Callable[..., Outcome]) -> None:
    done = foley(folder / "nowhere", "--reference", folder / "reference")
    assert done.returncode == 3 and len(done.stderr.splitlines()) == 1 and "no such folder" in done.stderr
    assert foley(folder / "ours").returncode == 2
    assert foley("real", "--help").returncode == foley("--help").returncode == 0


def test_options_without_effect_are_refused(folder: Path, foley: Callable[..., Outcome]) -> None:
    words = [folder / "ours", "--reference", folder / "reference", "--protocol", "onset"]
    done = foley(*words, "--networks", folder)
    assert done.returncode == 2 and "needs no network" in done.stderr
    done = foley("--compare", folder / "ours", folder / "theirs", "--seconds", 2)
    assert done.returncode == 2 and "need --reference" in done.stderr
