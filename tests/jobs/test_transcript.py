"""Transcripts: every format says the same, and whatever is wrong is named in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foleykit.core.errors import UsageError
from foleykit.core.ranges import MAX_TEXT, Line
from foleykit.jobs.transcript import read_transcript

LINES = (
    Line(start=0.25, end=1.5, text="Good morning, Anna!", language="en-gb"),
    Line(start=62.0, end=63.75, text="Fish & chips <please>", language="en-gb"),
)
SRT = """1
00:00:00,250 --> 00:00:01,500
{\\an8}<i>Good morning,</i>
Anna!

2
00:01:02,000 --> 00:01:03,750
Fish &amp; chips &lt;please&gt;
"""
VTT = """WEBVTT - of a kitchen

STYLE
::cue { color: white }

NOTE nobody says this

00:00.250 --> 00:01.500 align:start position:10%
<v Ben>Good morning, Anna!

last
00:01:02.000 --> 00:01:03.750
Fish &amp; chips &lt;please&gt;
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_all_formats_say_the_same(tmp_path: Path, newline: str) -> None:
    rows = [{"start": line.start, "end": line.end, "text": line.text} for line in LINES]
    texts = {
        "a.json": json.dumps(rows),
        "a.csv": '\ufeffstart,end,text,language\n0.25,1.5,"Good morning, Anna!",\n'
        "62,63.75,Fish & chips <please>,en-gb\n",
        "a.srt": SRT,
        "a.vtt": VTT,
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.replace("\n", newline).encode())
        assert read_transcript(tmp_path / name, "en-gb") == LINES, name


def test_a_line_may_name_its_own_language(tmp_path: Path) -> None:
    row = {"start": 0, "end": 1, "text": "a"}
    (tmp_path / "a.json").write_text(json.dumps([row, row | {"language": "fr"}]))
    assert [line.language for line in read_transcript(tmp_path / "a.json", "de")] == ["de", "fr"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "Good morning, Anna!", "every line its times"),
        ("a.json", '["Good morning, Anna!"]', "line 1 must be an object with start, end, text"),
        ("a.json", '[{"text": "a"}]', "line 1 has no start and no end; every line needs start, end, text"),
        ("a.json", '[{"start": 0, "end": 1}]', "line 1 has no text"),
        ("a.json", '[{"start": 0, "end": 1, "text": " "}]', "line 1: there is no text to be spoken"),
        ("a.json", '[{"start": 1, "end": 1, "text": "a"}]', "line 1: a range begins"),
        ("a.json", '[{"start": -1, "end": 1, "text": "a"}]', "line 1: a range begins"),
        ("a.json", json.dumps([{"start": 0, "end": 1, "text": "a" * (MAX_TEXT + 1)}]), "at most 1000 characters"),
        ("a.json", '[{"start": 0, "end": 1, "text": "a", "language": "-x"}]', 'a language is a tag .* not "-x"'),
        ("a.json", "[]", "holds no line"),
        ("a.csv", "text\nGood morning\n", "has no start and no end"),
        ("a.csv", "start,end,text\n,1,a\n", "start must be float"),
        ("a.srt", "Good morning, Anna!\n", 'no times such as .* where it says "Good morning, Anna!"'),
        ("a.srt", "1\n00:00:02 --> 00:00:03\na\n", "no times such as"),
        ("a.srt", "1\n00:00:02,000 --> 00:00:03,000\n\n", "line 1: there is no text"),
        ("a.vtt", "WEBVTT\n\nNOTE a\n", "holds no line"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_transcript(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.srt: no such file"):
        read_transcript(tmp_path / "none.srt")
    (tmp_path / "a.srt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a text in UTF-8"):
        read_transcript(tmp_path / "a.srt")
