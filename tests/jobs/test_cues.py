"""Cue lists: both formats say the same, and whatever is wrong is named in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foleykit.core.errors import UsageError
from foleykit.core.ranges import Cue
from foleykit.jobs.cues import read_cues
from foleykit.jobs.load import load
from foleykit.jobs.placing import check_ranges
from foleykit.jobs.soundtrack import Settings
from foleykit.video.probe import probe

CUES = (
    Cue(start=0.0, end=1.5, prompt="hammer, on wood"),
    Cue(start=2.0, end=3.25, prompt="glass", negative_prompt="music"),
)


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    rows = [
        {"start": 0, "end": 1.5, "prompt": "hammer, on wood"},
        {"start": 2, "end": 3.25, "prompt": "glass", "negative_prompt": "music"},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "a.csv").write_text(
        '\ufeffstart,end,prompt,negative_prompt\n0,1.5,"hammer, on wood",\n2,3.25,glass,music\n', encoding="utf-8"
    )
    assert read_cues(tmp_path / "a.json") == read_cues(tmp_path / "a.csv") == CUES


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "ends in .json or .csv"),
        ("a.json", "[{", "not JSON"),
        ("a.json", "{}", "must be a list"),
        ("a.json", "[]", "holds no cue"),
        ("a.json", "[3]", "cue 1 must be an object"),
        ("a.json", '[{"start": 0, "end": 1, "promt": "a"}]', 'did you mean "prompt"'),
        ("a.json", '[{"start": 0, "prompt": "a"}]', "cue 1 has no end; every cue needs start, end"),
        ("a.json", '[{"start": 0, "end": 1}]', "neither a prompt"),
        ("a.json", '[{"start": 2, "end": 1, "prompt": "a"}]', "cue 1: a range begins"),
        ("a.json", '[{"start": NaN, "end": 1, "prompt": "a"}]', "cue 1: a range begins"),
        ("a.csv", "start,end,prompt\n0,one,a\n", "must be float"),
        ("a.csv", "start,end,prompt\n0,1\n", "not as many values"),
        ("a.csv", "start,end,prompt\n0,1,a,b\n", "not as many values"),
        ("a.csv", "start,end,prompt\n", "holds no cue"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_cues(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_cues(tmp_path / "none.json")


def test_cues_overlap_nowhere_and_may_touch() -> None:
    assert Settings(cues=(CUES[1], CUES[0])).texts
    Settings(cues=(CUES[0], Cue(start=1.5, end=2.0, prompt="a")))
    with pytest.raises(UsageError, match=r"two cues overlap: 0 to 1.5 s and 1.4 to 2 s"):
        Settings(cues=(Cue(start=1.4, end=2.0, prompt="a"), CUES[0]))
    with pytest.raises(UsageError, match="at most 1000 characters"):
        Settings(cues=(Cue(start=0, end=1, prompt=1001 * "a"),))


def test_cues_outside_the_new_sound_are_refused(clip: Path) -> None:
    with pytest.raises(UsageError, match=r"the range 2 to 3\.25 s does not lie inside the new sound, 0 to 2 s"):
        check_ranges(probe(clip), Settings(cues=CUES))


def test_a_model_without_text_refuses_cues(debug_model: Path, clip: Path) -> None:
    with pytest.raises(UsageError, match="reads no text"):
        next(load(debug_model).takes(clip, Settings(cues=CUES)))
