"""Event lists: what is seen can be written, edited and heard; whatever is wrong with a list is named in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import foleykit
from fixtures.media import Clip, regular, write_clip
from foleykit.cli.main import main
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


def test_the_more_sensitive_the_more_is_seen_and_the_sound_follows(tmp_path: Path) -> None:
    pipeline = load("tiny-avldm")
    listed = {way: pipeline.read_events(EXAMPLE, sensitivity=way) for way in (-1.0, 0.0, 1.0)}
    assert 0 < len(listed[-1.0]) <= len(listed[0.0]) < len(listed[1.0])
    assert min(event.confidence for event in listed[1.0]) < min(event.confidence for event in listed[0.0])
    request = GenerateRequest(video=EXAMPLE, output=tmp_path / "a.wav", settings=Settings(sensitivity=1.0, end=6.0))
    first = generate(request, pipeline=pipeline)
    assert first.num_events == len(pipeline.read_events(EXAMPLE, sensitivity=1.0, end=6.0)) > 0
    sidecar = first.takes[0].sidecar
    again = generate(GenerateRequest(replay=sidecar, output=tmp_path / "b.wav"), pipeline=pipeline).takes[0]
    asked, repeated = (json.loads(path.read_text()) for path in (sidecar, again.sidecar))
    assert asked["settings"]["sensitivity"] == 1.0
    assert asked["output"]["samples_sha256"] == repeated["output"]["samples_sha256"]
    assert not np.array_equal(*(pipeline(EXAMPLE, sensitivity=way, end=6).generated for way in (0.0, 1.0)))


def test_a_sensitivity_without_sense_is_refused(debug_model: Path, clip: Path) -> None:
    with pytest.raises(UsageError, match=r"a sensitivity lies between -1 and 1, not 1\.5"):
        Settings(sensitivity=1.5)
    with pytest.raises(UsageError, match="a list of events is heard as it is"):
        Settings(sensitivity=0.5, events=EVENTS)
    pipeline = load(debug_model)
    for ask in (pipeline, pipeline.read_events):
        with pytest.raises(UsageError, match="has no sensitivity that could be set"):
            ask(clip, sensitivity=0.5)


def test_where_nothing_is_seen_the_user_is_told_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_clip(tmp_path / "still.mp4", Clip(times=regular(25), size=(96, 96)))
    with pytest.raises(SystemExit, match="0"):
        main(["generate", str(video), "-o", str(tmp_path / "a.wav")])
    printed = capsys.readouterr()
    assert "nothing is seen that would sound" in printed.err and "nothing is seen" not in printed.out
    with pytest.raises(SystemExit, match="0"):
        main(["generate", str(video), "-o", str(tmp_path / "b.wav"), "--json"])
    assert json.loads(capsys.readouterr().out)["num_events"] == 0
