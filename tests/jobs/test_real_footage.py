"""A folder of videos becomes a report, and what was made is not made twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.media import Clip, regular, write_clip
from foleykit.core.errors import MediaError, UsageError
from foleykit.evaluation.real import GENERATED
from foleykit.jobs.real_footage import RealFootageRequest, real_footage, video_lines
from foleykit.jobs.soundtrack import Settings


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("one", "two"):
        write_clip(folder / f"{name}.mp4", Clip(times=regular(50), audio_codec="aac"))
    write_clip(folder / "mute.mp4", Clip(times=regular(50)))
    return folder


def test_every_video_with_sound_is_compared_and_none_is_made_twice(
    videos: Path, tmp_path: Path, debug_model: Path
) -> None:
    request = RealFootageRequest(videos=videos, output=tmp_path / "sounds", model=str(debug_model), with_flow=False)
    report = real_footage(request)
    columns, lines = video_lines(report)
    assert columns == ["generated", "shifted", "of others", "envelope"]
    assert [(line[0], len(line)) for line in lines] == [("one.mp4", 5), ("two.mp4", 5)]
    assert sorted(report.protocol["videos"]) == ["one.mp4", "two.mp4"]
    assert list(report.protocol["left_out"]) == ["mute.mp4"]
    assert 0 <= report.row(GENERATED).estimates["agreement_100ms"].value <= 1
    sounds = sorted((tmp_path / "sounds").glob("*.wav"))
    assert [path.stem for path in sounds] == ["one", "two"]
    times = [path.stat().st_mtime_ns for path in sounds]
    assert real_footage(request).to_json() == report.to_json()
    assert [path.stat().st_mtime_ns for path in sounds] == times


def test_sounds_of_other_settings_are_not_taken_for_those_that_are_asked_for(
    videos: Path, tmp_path: Path, debug_model: Path
) -> None:
    request = RealFootageRequest(videos=videos, output=tmp_path / "sounds", model=str(debug_model), with_flow=False)
    real_footage(request)
    sounds = {path: path.read_bytes() for path in request.output.iterdir()}
    for other in (replace(request, settings=Settings(seed=1)), replace(request, model="tiny-avldm")):
        with pytest.raises(UsageError, match="sounds of another model or other settings; name another folder"):
            real_footage(other)
    assert {path: path.read_bytes() for path in request.output.iterdir()} == sounds
    (request.output / "made.json").unlink()
    with pytest.raises(UsageError, match="sounds of another model"):
        real_footage(request)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such folder"):
        real_footage(RealFootageRequest(videos=tmp_path / "absent", output=tmp_path))
