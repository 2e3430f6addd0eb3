from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import write_waveform
from foleykit.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs `foley` in this test's folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(words)
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds" / "yard"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).standard_normal((1, 50_000)).astype(np.float32)
    for name, level in (("near", 0.1), ("far", 0.001)):
        write_waveform(folder / f"{name}.wav", level * noise, 16_000)
    (folder / "torn.wav").write_bytes(b"RIFF and no more")
    return folder.parent


def test_build_query_add_and_stats(run: Run, sounds: Path, debug_model: Path, clip: Path) -> None:
    model = ("--model", str(debug_model))
    code, out, _ = run("index", "build", "lib", "sounds", *model, "--licence", "CC0-1.0", "--caption", "wind", "-q")
    assert (code, out) == (0, "")
    code, out, _ = run("index", "query", "lib", str(clip), *model)
    lines = out.splitlines()
    assert code == 0 and lines[0].split() == ["score", "dBFS", "scene", "licence", "clip"] and len(lines) == 3
    assert "yard" in lines[1] and "CC0-1.0" in lines[1]
    code, out, _ = run("index", "query", "lib", str(clip), *model, "--where", "ambient_db < -50", "--json")
    match = json.loads(out)["matches"]
    assert [m["key"] for m in match] == ["sounds/yard/far.wav#0"] and match[0]["captions"] == ["wind"]
    code, out, _ = run("index", "query", "lib", str(clip), *model, "--where", "scene = yard", "--where", "licence = x")
    assert (code, out) == (0, "no clip passes the filter\n")
    code, out, _ = run("index", "add", "lib", "sounds", *model)
    assert code == 0 and "0 clips added from 3 files" in out and "2 files were in it already" in out
    assert "1 files skipped" in out and "torn.wav" in out
    code, out, _ = run("index", "stats", "lib", "--json")
    stats = json.loads(out)
    assert (stats["num_clips"], stats["scenes"], stats["licences"]) == (2, {"yard": 2}, {"CC0-1.0": 2})
    code, out, _ = run("index", "stats", "lib")
    assert "2, 0 of them with their sound" in out and "yard 2" in out


def test_generate_chooses_from_the_library(run: Run, sounds: Path, debug_model: Path, clip: Path) -> None:
    model = ("--model", str(debug_model))
    run("index", "build", "lib", "sounds", *model, "--store-audio", "-q")
    wish = ("--ambient-library", "lib", "--ambient-filter", "ambient_db < -50")
    code, out, err = run("generate", str(clip), "-o", "out.wav", *model, *wish, "--json")
    assert code == 0, err
    assert json.loads(out)["ambience"] == "sounds/yard/far.wav#0"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("index", "stats", "nowhere"), 2, "there is no index at nowhere"),
        (("index", "query", "sounds/yard/near.wav", "sounds/yard/near.wav"), 3, "cannot be used as an index"),
        (("index", "build", "lib", "nothing"), 2, "nothing: no such file or folder"),
        (("index", "build", "sounds", "sounds"), 3, "without an index"),
        (("index", "build", "none/lib", "sounds"), 2, "does not exist"),
        (("index", "query", "lib", "clip.mp4", "--where", "volume < 3"), 2, "cannot read the filter"),
        (("index", "build", "lib", "sounds", "--every", "0"), 2, "more than 0"),
        (("index", "build"), 2, "Missing argument"),
    ],
)
def test_mistakes_give_one_line(run: Run, sounds: Path, words: tuple[str, ...], code: int, text: str) -> None:
    got, out, err = run(*words)
    assert got == code and text in err and len(err.splitlines()) == 1 and out == ""


def test_a_folder_without_anything_usable_is_bad_media(run: Run, sounds: Path, debug_model: Path) -> None:
    for name in ("near", "far"):
        (sounds / "yard" / f"{name}.wav").unlink()
    code, out, _ = run("index", "build", "lib", "sounds", "--model", str(debug_model), "--json")
    assert code == 3 and "none of 1 files" in json.loads(out)["error"]


@pytest.mark.parametrize("command", ["build", "add", "query", "stats"])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    code, out, _ = run("index", command, "--help")
    assert code == 0 and "INDEX" in out
