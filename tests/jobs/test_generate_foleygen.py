"""A video to files with a model of the FoleyGen family."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fixtures.foleygen import write_foleygen
from foleykit.audio.files import read_waveform, write_waveform
from foleykit.cli.main import main
from foleykit.core.errors import ModelError, UsageError
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.models import describe_model
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.sidecar import read_sidecar
from foleykit.video.mux import packet_hashes


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_foleygen(tmp_path_factory.mktemp("models") / "debug-foleygen")


@pytest.fixture(scope="module")
def pipeline(model: Path) -> FoleyPipeline:
    return load(model)


def test_the_folder_describes_itself(model: Path) -> None:
    description = describe_model(model)
    assert (description.family, description.kind, description.sample_rate) == ("foleygen", "foleygen", 16_000)


def test_the_command_writes_the_same_pictures_and_sound_of_their_length(
    model: Path, clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(SystemExit) as end:
        main(["generate", str(clip), "--model", str(model), "-o", str(output), "--seed", "3", "-q"])
    assert not end.value.code
    assert packet_hashes(output) == packet_hashes(clip)
    sidecar = read_sidecar(output.with_suffix(".json"))
    assert sidecar.output.num_samples == 2 * 48_000 and sidecar.ambience.name == "none"
    assert sidecar.settings.num_steps is None and sidecar.settings.guidance_scale == 3.0
    again = generate(GenerateRequest(replay=output.with_suffix(".json"), output=tmp_path / "again.mp4"))
    assert read_sidecar(again.takes[0].sidecar).output.samples_sha256 == sidecar.output.samples_sha256


@pytest.mark.parametrize("seconds", [0.1, 2.7, 5.3])
def test_any_length_is_exact(pipeline: FoleyPipeline, make_video: Callable[..., Path], seconds: float) -> None:
    track = pipeline(make_video(seconds=seconds, fps=10))
    assert track.waveform.shape == (1, round(seconds * 48_000)) and np.abs(track.waveform).max() > 0


def test_a_part_of_a_video_gets_sound_of_its_length(pipeline: FoleyPipeline, clip: Path) -> None:
    track = pipeline(clip, start=0.5, end=1.25)
    assert track.num_samples == 96_000
    assert not track.waveform[:, : 24_000 - 480].any() and track.waveform[:, 26_000:58_000].any()


def test_each_ambience_is_its_own_sound(pipeline: FoleyPipeline, clip_with_tone: Path, tmp_path: Path) -> None:
    recording = tmp_path / "rain.wav"
    noise = np.random.default_rng(1).standard_normal((1, 48_000)).astype(np.float32)
    write_waveform(recording, 0.1 * noise, 16_000)
    tracks = {name: pipeline(clip_with_tone, ambient=name) for name in ("auto", "quiet", "original", str(recording))}
    assert [track.ambience for track in tracks.values()] == ["none", "quiet", "original", "rain.wav"]
    sounds = [track.waveform for track in tracks.values()]
    assert all(not np.array_equal(one, other) for index, one in enumerate(sounds) for other in sounds[:index])


def test_what_has_no_meaning_for_a_language_model_is_refused_or_said(pipeline: FoleyPipeline, clip: Path) -> None:
    with pytest.raises(UsageError, match="makes no stems"):
        pipeline(clip, stems=True)
    with pytest.warns(UserWarning, match="num_steps has no effect"):
        pipeline(clip, num_steps=7)
    with pytest.warns(UserWarning, match="ambient_level has no effect"):
        pipeline(clip, ambient_level=-40.0)
    with pytest.raises(ModelError, match="cannot choose from a library"):
        pipeline(clip, ambient_library="library.sqlite")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline(clip, ambient="quiet", ambient_level=-40.0)


def test_without_a_library_quiet_is_refused_and_auto_is_not(clip: Path, tmp_path: Path) -> None:
    bare = load(write_foleygen(tmp_path / "bare", has_library=False))
    with pytest.raises(ModelError, match="no quiet clip"):
        bare(clip, ambient="quiet")
    bare(clip).save(tmp_path / "out.wav")
    assert read_waveform(tmp_path / "out.wav")[0].shape == (1, 96_000)
