"""Event lists: what is seen can be written, edited and heard; whatever is wrong with a list is named in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import foleykit
from foleykit.core.errors import ModelError, UsageError
from foleykit.jobs.events import as_csv, as_json, read_events
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.soundtrack import Settings
from foleykit.models.events import SeenEvent

EXAMPLE = Path(foleykit.__file__).parent / "examples" / "demo.mp4"
EVENTS = (
    SeenEvent(time=0.5, material="glass", action="tap", level_db=-30.5),
    SeenEvent(time=1.25, material="wood", action="scrape", kind="scrape", duration=0.4, level_db=-41.0),
)


def test_json_and_csv_say_the_same_and_only_time_and_material_are_needed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(as_json(EVENTS))
    (tmp_path / "a.csv").write_text(as_csv(EVENTS))
    assert read_events(tmp_path / "a.json") == read_events(tmp_path / "a.csv") == EVENTS
    (tmp_path / "b.csv").write_text("time,material\n2,metal\n1,wood\n")
    assert read_events(tmp_path / "b.csv") == (SeenEvent(time=1, material="wood"), SeenEvent(time=2, material="metal"))
    (tmp_path / "none.csv").write_text("time,material\n")
    assert read_events(tmp_path / "none.csv") == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "ends in .json or .csv"),
        ("a.json", "{}", "must be a list"),
        ("a.json", "[3]", "event 1 must be an object with time, material"),
        ("a.json", '[{"time": 1}]', "event 1 has no material"),
        ("a.json", '[{"time": 1, "material": "jelly"}]', "event 1: a material is one of"),
        ("a.json", '[{"time": 1, "material": "wood", "levle_db": 1}]', 'did you mean "level_db"'),
        ("a.csv", "time,material\nsoon,wood\n", "must be float"),
        ("a.csv", "time,material\n-1,wood\n", "event 1: an event has a time"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_events(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_events_replace_what_is_seen_and_a_replay_repeats_them(debug_model: Path, clip: Path, tmp_path: Path) -> None:
    pipeline = load(debug_model)
    seen, other = (pipeline(clip, events=events).generated for events in (None, EVENTS))
    assert not np.array_equal(seen, other)
    assert np.array_equal(seen, pipeline(clip, events=pipeline.read_events(clip)).generated)
    request = GenerateRequest(
        video=clip, output=tmp_path / "a.wav", model=str(debug_model), settings=Settings(events=EVENTS, seed=3)
    )
    first = generate(request, pipeline=pipeline).takes[0]
    again = generate(GenerateRequest(replay=first.sidecar, output=tmp_path / "b.wav"), pipeline=pipeline).takes[0]
    told, repeated = (json.loads(take.sidecar.read_text()) for take in (first, again))
    assert len(told["settings"]["events"]) == 2
    assert told["output"]["samples_sha256"] == repeated["output"]["samples_sha256"]


def test_events_of_a_span_are_on_the_clock_of_the_video(debug_model: Path, clip: Path) -> None:
    pipeline = load(debug_model)
    late = pipeline.read_events(clip, start=0.8)
    assert all(0.8 <= event.time < 2.0 for event in late)
    with pytest.raises(UsageError, match=r"the event at 0.5 s does not lie inside the new sound, 0.8 to 2 s"):
        pipeline(clip, events=EVENTS, start=0.8)


@pytest.mark.parametrize("model", ["tiny-foleygen", "tiny-textvideo"])
def test_models_that_are_told_no_events_say_so(model: str, clip: Path) -> None:
    with pytest.raises(UsageError, match="takes no events"):
        load(model)(clip, events=EVENTS)


def test_a_model_that_reads_no_events_says_so(clip: Path) -> None:
    with pytest.raises(ModelError, match="reads no events"):
        load("tiny-foleygen").read_events(clip)


def test_what_is_told_in_words_can_be_read() -> None:
    """Both models look through the same encoder."""
    in_words, outright = (load(model).read_events(EXAMPLE) for model in ("tiny-textvideo", "tiny-avldm"))
    assert in_words == outright != ()
