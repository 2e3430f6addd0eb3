"""`foley detect` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.foley import hits
from foleykit.audio.files import write_waveform
from foleykit.cli.main import main
from foleykit.watermark import KeyedWatermarker, embed


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["detect", *arguments])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_one_line_in_words_and_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked, plain = tmp_path / "marked.wav", tmp_path / "plain.wav"
    write_waveform(marked, embed(hits(), 16_000, 0x3FA2).waveform, 16_000)
    write_waveform(plain, hits(), 16_000)
    code, out, _ = run(capsys, str(marked), "-q")
    assert code == 0 and out.startswith("marked.wav: watermark found (message 3fa2, 0.0 to 8.0 s, chance ")
    assert out.count("\n") == 1
    code, out, _ = run(capsys, str(plain), "-q")
    assert (code, out.split(";")[0].strip()) == (0, "plain.wav: watermark not found")
    code, out, _ = run(capsys, str(marked), "--json", "-q")
    told = json.loads(out)
    assert (code, told["verdict"], told["watermark"]["message"]) == (0, "found", "3fa2")
    assert told["credentials"] is None and told["sidecar"] == "none" and told["watermark"]["key"] == "public"


def test_whose_mark_was_looked_for_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = b"a key of sixteen bytes"
    (tmp_path / "key").write_bytes(own)
    write_waveform(tmp_path / "plain.wav", hits(), 16_000)
    name = KeyedWatermarker(key=own).name
    _, out, _ = run(capsys, str(tmp_path / "plain.wav"), "-q", "--watermark-key", str(tmp_path / "key"))
    assert out.split(";")[0].strip() == f"plain.wav: watermark of {name} not found"
    _, out, _ = run(capsys, str(tmp_path / "plain.wav"), "-q", "--json", "--watermark-key", str(tmp_path / "key"))
    assert json.loads(out)["watermark"]["key"] == name


def test_mistakes_end_with_their_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.wav").write_text("no media")
    for code, message, arguments in (
        (2, "no such file", [str(tmp_path / "absent.wav")]),
        (3, "not a media file", [str(tmp_path / "text.wav")]),
        (2, "no such file", [str(tmp_path / "text.wav"), "--watermark-key", str(tmp_path / "absent")]),
    ):
        ended, _, err = run(capsys, *arguments, "-q")
        assert ended == code and message in err and err.count("\n") == 1
