"""A video to files with a small model of the textvideo family: words, ambience, stems, lengths."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fixtures.textvideo import write_tiny_textvideo
from foleykit.audio.files import read_waveform, write_waveform
from foleykit.cli.main import main
from foleykit.core import signals
from foleykit.core.errors import ModelError, UsageError
from foleykit.core.ranges import Cue, Line, Reroll
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.models import describe_model
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.sidecar import read_sidecar
from foleykit.jobs.soundtrack import Settings, Soundtrack
from foleykit.models.textvideo.pipeline import TextVideoPipeline
from foleykit.video.mux import packet_hashes


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_textvideo(tmp_path_factory.mktemp("models") / "tiny-textvideo")


@pytest.fixture(scope="module")
def pipeline(model: Path) -> FoleyPipeline:
    return load(model)


def test_the_folder_describes_itself(model: Path) -> None:
    description = describe_model(model)
    assert (description.family, description.sample_rate, description.video_fps) == ("textvideo", 48_000, 25.0)


def test_the_command_takes_prompts_and_replays(model: Path, clip: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "out.mp4"
    words = ["generate", str(clip), "--model", str(model), "-o", str(output), "--seed", "3", "-q"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--prompt", "metal hits, quartz", "--negative-prompt", "rain, saxophone"])
    assert not end.value.code
    told = capsys.readouterr().err
    assert '"quartz"' in told and '"saxophone"' in told and '"metal"' not in told
    assert packet_hashes(output) == packet_hashes(clip)
    sidecar = read_sidecar(output.with_suffix(".json"))
    assert sidecar.output.num_samples == 2 * 48_000 and sidecar.ambience.name == "auto"
    assert sidecar.settings.prompt == "metal hits, quartz" and sidecar.settings.num_steps == 2
    again = generate(GenerateRequest(replay=output.with_suffix(".json"), output=tmp_path / "again.mp4"))
    assert read_sidecar(again.takes[0].sidecar).output.samples_sha256 == sidecar.output.samples_sha256


def test_a_transcript_is_told_to_a_model_that_takes_one(pipeline: FoleyPipeline, clip: Path, tmp_path: Path) -> None:
    """Spoken lines lie over the sound of either; only one with a place for the words makes other sound of them."""
    told = load(write_tiny_textvideo(tmp_path / "told", takes_transcript=True))
    lines = [Line(start=1.0, end=1.5, text="wood"), Line(start=0.2, end=0.8, text="metal rain")]
    for model, is_changed in ((pipeline, False), (told, True)):
        silent = model(clip, ambient="quiet", watermark=False, stems=True)
        spoken = model(clip, ambient="quiet", watermark=False, stems=True, transcript=lines, voice=Tone())
        assert np.array_equal(silent.generated, spoken.generated) != is_changed
        assert "speech" in spoken.stems and np.abs(spoken.stems["speech"]).max() > 0
    with pytest.raises(ModelError, match="takes no transcript"):
        make_words(pipeline, *lines)
    assert not np.array_equal(make_words(told, lines[0]), make_words(told, lines[1]))
    assert np.array_equal(make_words(told, *lines), make_words(told, *lines[::-1]))
    # Without guidance away from anything, what is left out of the other branch does not matter.
    assert not np.array_equal(make_words(told, lines[0], scale=1.0), make_words(told, scale=1.0))


def test_a_window_is_told_the_lines_that_it_hears(tmp_path: Path) -> None:
    told = load(write_tiny_textvideo(tmp_path / "told", takes_transcript=True))
    silent, late = make_words(told), make_words(told, Line(start=3.5, end=3.9, text="wood"))
    assert np.array_equal(silent[:, :96_000], late[:, :96_000])
    assert not np.allclose(silent[:, 168_000:], late[:, 168_000:])


def make_words(pipeline: FoleyPipeline, *lines: Line, scale: float = 2.0) -> np.ndarray:
    model = pipeline.model
    assert isinstance(model, TextVideoPipeline)
    frames = [np.zeros((100, 32, 32, 3), np.uint8)]
    return model(frames, num_samples=192_000, transcript=lines, guidance_scale=scale)


class Tone:
    """A voice of half a second."""

    name = "tone"

    def speak(self, text: str, language: str, speed: float) -> tuple[np.ndarray, int]:
        return np.sin(np.arange(4000) / 3).astype(np.float32), 8000


@pytest.mark.parametrize("seconds", [0.1, 1.3, 3.7])
def test_any_length_is_exact(pipeline: FoleyPipeline, make_video: Callable[..., Path], seconds: float) -> None:
    track = pipeline(make_video(seconds=seconds, fps=10))
    assert track.model_rate == 48_000
    assert track.waveform.shape == (1, round(seconds * 48_000)) and np.abs(track.waveform).max() > 0


def test_every_word_of_the_user_has_its_effect(pipeline: FoleyPipeline, clip: Path) -> None:
    def made(**options) -> np.ndarray:
        return pipeline(clip, watermark=False, **options).waveform

    plain = made()
    assert np.array_equal(plain, made())
    for options in (
        {"prompt": "metal hits"},
        {"negative_prompt": "metal hits"},
        {"ambient": "quiet"},
        {"seed": 1},
        {"guidance_scale": 1.0},
    ):
        assert not np.array_equal(plain, made(**options)), options
    assert not np.array_equal(made(prompt="metal hits"), made(prompt="wood hits"))


def test_an_ambient_recording_is_heard_at_its_level(pipeline: FoleyPipeline, clip: Path, tmp_path: Path) -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal((1, 48_000)).astype(np.float32)
    write_waveform(tmp_path / "room.wav", noise, 48_000)
    louder, softer = (
        pipeline(clip, ambient=tmp_path / "room.wav", ambient_level=level, watermark=False) for level in (-20.0, -60.0)
    )
    assert louder.ambience == softer.ambience != "none"
    assert not np.array_equal(louder.waveform, softer.waveform)


def test_auto_hears_one_background_throughout(pipeline: FoleyPipeline, clip: Path) -> None:
    track, louder = (pipeline(clip, ambient_level=level, watermark=False) for level in (None, -20.0))
    assert track.ambience == louder.ambience in ("auto", "quiet")
    assert not np.array_equal(track.waveform, louder.waveform)
    parts = pipeline(clip, stems=True, watermark=False)
    np.testing.assert_allclose(parts.stems["action"] + parts.stems["ambience"], track.waveform, atol=1e-5)
    # All takes share it, so that the second one is made again by its own seed.
    second = list(pipeline.takes(clip, Settings(), num_takes=2))[1]
    again = next(pipeline.takes(clip, Settings(seed=1)))
    assert np.array_equal(second.generated, again.generated)


def test_stems_sum_to_the_whole(pipeline: FoleyPipeline, clip: Path) -> None:
    track = pipeline(clip, ambient="quiet", stems=True)
    np.testing.assert_allclose(track.stems["action"] + track.stems["ambience"], track.waveform, atol=1e-5)


def test_sound_on_disk_is_the_same_to_the_last_sample(
    pipeline: FoleyPipeline, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(start=0.2, original="duck", rerolls=(Reroll(start=0.5, end=1.0, seed=3),))

    def made() -> Soundtrack:
        return next(pipeline.takes(clip, settings, with_stems=True, unwanted=("music",)))

    in_memory = made()
    monkeypatch.setattr(signals, "IN_MEMORY_BYTES", 0)
    on_disk = made()
    assert not isinstance(on_disk.generated, np.ndarray)
    np.testing.assert_array_equal(on_disk.waveform, in_memory.waveform)
    for name, stem in in_memory.stems.items():
        np.testing.assert_array_equal(on_disk.stems[name], stem)


def test_what_it_cannot_do_is_said(pipeline: FoleyPipeline, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot choose from a library"):
        pipeline(clip, ambient_library=tmp_path)
    with pytest.warns(UserWarning, match='these words of the prompt: "gongs"'):
        pipeline(clip, prompt="metal gongs")
    with pytest.warns(UserWarning, match='these words of the prompt at 0.5 s: "gongs"'):
        next(pipeline.takes(clip, Settings(cues=(Cue(start=0.5, end=1.0, prompt="metal gongs"),))))
    for unreadable in ("Schritte auf Kies", "足音"):
        with pytest.raises(UsageError, match=r"reads no word of the negative prompt, .*plain English"):
            pipeline(clip, negative_prompt=unreadable)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline(clip, prompt="Someone hits the metal bowl in a tiled kitchen.")
        pipeline(clip, ambient="quiet", guidance_scale=1.0)
    with pytest.warns(UserWarning, match="negative prompt has no effect"):
        pipeline(clip, negative_prompt="rain", guidance_scale=1.0)


def test_the_sound_of_a_written_file_is_the_soundtrack(pipeline: FoleyPipeline, clip: Path, tmp_path: Path) -> None:
    track = pipeline(clip, prompt="footsteps on stone")
    written, rate = read_waveform(track.save(tmp_path / "out.wav"))
    assert rate == 48_000
    np.testing.assert_allclose(written, track.waveform, atol=1e-4)
