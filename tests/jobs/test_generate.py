"""One path from a video to files: what is written, what is refused, and what can be repeated."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from foleykit.audio.files import read_waveform, write_waveform
from foleykit.core.errors import FoleyError, MediaError, ModelError, UsageError
from foleykit.jobs.generate import GenerateRequest, GenerateResult, generate
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.sidecar import read_sidecar
from foleykit.jobs.soundtrack import Settings
from foleykit.video.mux import packet_hashes


@pytest.fixture(scope="module")
def pipeline(debug_model: Path) -> FoleyPipeline:
    return load(debug_model)


Make = Callable[..., GenerateResult]


@pytest.fixture
def make(debug_model: Path, pipeline: FoleyPipeline, tmp_path: Path) -> Make:
    """Return a function that generates with the debug model into this test's folder."""

    def run(video: Path, name: str = "out.mp4", settings: Settings = Settings(), **values: object) -> GenerateResult:
        request = GenerateRequest(
            video=video, output=tmp_path / name, model=str(debug_model), settings=settings, **values
        )
        return generate(request, pipeline=pipeline)

    return run


def samples_of(result: GenerateResult) -> str:
    return read_sidecar(result.takes[0].sidecar).output.samples_sha256


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pictures_are_copied_and_sound_is_exactly_as_long(make: Make, clip: Path) -> None:
    result = make(clip)
    output = result.takes[0].output
    assert packet_hashes(output) == packet_hashes(clip)
    assert result.num_samples == 2 * 48_000
    with av.open(str(output)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        decoded = sum(frame.samples for frame in container.decode(audio=0))
    assert abs(decoded - result.num_samples) <= 1024


@pytest.mark.parametrize("seconds", [0.1, 0.5, 3.0, 4.7])
def test_length_is_exact_for_any_duration(make: Make, make_video: Callable[..., Path], seconds: float) -> None:
    video = make_video(seconds=seconds, fps=10)
    result = make(video, "out.wav")
    waveform, rate = read_waveform(result.takes[0].output)
    assert (waveform.shape, rate) == ((1, round(seconds * 48_000)), 48_000)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mov", "aac"), ("a.mkv", "opus"), ("a.webm", "opus")])
def test_each_container_gets_its_sound(make: Make, clip: Path, name: str, codec: str) -> None:
    with av.open(str(make(clip, name).takes[0].output)) as container:
        assert container.streams.audio[0].codec_context.name in (codec, f"lib{codec}")


def test_sound_can_be_written_alone(make: Make, clip: Path) -> None:
    wav = read_waveform(make(clip, "a.wav").takes[0].output)[0]
    flac = read_waveform(make(clip, "b.flac").takes[0].output)[0]
    np.testing.assert_allclose(flac, wav, atol=2**-22)


def test_default_output_lies_beside_the_video(clip: Path, pipeline: FoleyPipeline) -> None:
    result = generate(GenerateRequest(video=clip), pipeline=pipeline)
    take = result.takes[0]
    assert (take.output, take.sidecar) == (clip.with_name("clip.foley.mp4"), clip.with_name("clip.foley.json"))
    for path in take.paths:
        path.unlink()


def test_same_seed_same_samples_and_another_seed_others(make: Make, clip: Path) -> None:
    first = make(clip, "a.wav", Settings(seed=7))
    again = make(clip, "b.wav", Settings(seed=7))
    other = make(clip, "c.wav", Settings(seed=8))
    np.testing.assert_array_equal(*(read_waveform(made.takes[0].output)[0] for made in (first, again)))
    assert samples_of(first) == samples_of(again) != samples_of(other)


def test_takes_have_successive_seeds_and_equal_single_runs(make: Make, clip: Path) -> None:
    result = make(clip, "a.wav", Settings(seed=3), num_takes=3)
    assert [take.seed for take in result.takes] == [3, 4, 5]
    assert [take.output.name for take in result.takes] == ["a.take1.wav", "a.take2.wav", "a.take3.wav"]
    single = make(clip, "b.wav", Settings(seed=5)).takes[0].output
    np.testing.assert_array_equal(read_waveform(single)[0], read_waveform(result.takes[2].output)[0])


def test_a_drawn_seed_is_told_and_repeats(make: Make, clip: Path) -> None:
    drawn = make(clip, "a.wav", draws_seed=True)
    again = make(clip, "b.wav", Settings(seed=drawn.takes[0].seed))
    assert samples_of(drawn) == samples_of(again)


def test_replay_gives_the_same_samples(make: Make, clip_with_tone: Path, tmp_path: Path, debug_model: Path) -> None:
    recording = tmp_path / "bed.wav"
    noise = np.random.default_rng(1).standard_normal((2, 30_000)).astype(np.float32)
    write_waveform(recording, 0.05 * noise, 22_050)
    wished = Settings(
        ambient=str(recording),
        ambient_level_db=-30,
        original="duck",
        seed=11,
        num_steps=3,
        start=0.4,
        loudness_lufs=-25,
    )
    first = make(clip_with_tone, "a.mkv", wished, writes_stems=True)
    # Without a loaded pipeline: model, device and precision come from the sidecar.
    again = generate(GenerateRequest(replay=first.takes[0].sidecar, output=tmp_path / "again.mkv"))
    assert samples_of(first) == samples_of(again)
    assert again.takes[0].seed == 11


def test_replay_refuses_another_video_model_or_recording(
    make: Make, clip: Path, clip_with_tone: Path, tmp_path: Path, debug_model: Path
) -> None:
    sidecar = make(clip).takes[0].sidecar
    with pytest.raises(MediaError, match="SHA-256 differs"):
        generate(GenerateRequest(replay=sidecar, video=clip_with_tone, output=tmp_path / "b.mp4"))
    values = json.loads(sidecar.read_text())
    values["model"]["weights_sha256"] = "0" * 64
    sidecar.write_text(json.dumps(values))
    with pytest.raises(ModelError, match="weights differ"):
        generate(GenerateRequest(replay=sidecar, output=tmp_path / "b.mp4"))
    with pytest.raises(UsageError, match="takes its settings from the sidecar"):
        GenerateRequest(replay=sidecar, settings=Settings(seed=1))


def test_the_sidecar_says_what_was_made_from_what(make: Make, clip: Path) -> None:
    take = make(clip, settings=Settings(seed=5)).takes[0]
    values = json.loads(take.sidecar.read_text())
    assert values["settings"]["seed"] == 5
    assert values["settings"]["num_steps"] >= 1 and values["settings"]["guidance_scale"] is not None
    assert len(values["watermark"]["message"]) == 4 and values["watermark"]["key"] == "public"
    assert values["model"]["licence"] == "cc0-1.0"
    assert values["input"]["seconds"] == 2.0
    assert values["output"]["is_picture_copied"]
    assert {"read", "look", "generate", "write"} <= set(values["timings"])


def test_poor_pictures_are_told_in_one_line_and_recorded(
    make: Make, clip: Path, make_video: Callable[..., Path]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        good = read_sidecar(make(clip, "a.wav").takes[0].sidecar).input.quality
    assert good is not None and good.problems == () and good.frame_rate == 30
    with pytest.warns(UserWarning, match=r"^slow\.mp4: 5 pictures per second are too few for the motion; .*") as told:
        poor = read_sidecar(make(make_video("slow.mp4", fps=5), "b.wav").takes[0].sidecar).input.quality
    assert len(told) == 1 and "\n" not in str(told[0].message)
    assert poor is not None and poor.problems == ("5 pictures per second are too few for the motion",)


@pytest.mark.parametrize("original", ["replace", "keep", "duck"])
@pytest.mark.parametrize("span", [(None, None), (0.5, 1.5)])
def test_stems_sum_to_the_mix(
    pipeline: FoleyPipeline, clip_with_tone: Path, original: str, span: tuple[float | None, float | None]
) -> None:
    track = pipeline(clip_with_tone, original=original, stems=True, start=span[0], end=span[1], ambient="auto")
    np.testing.assert_allclose(sum(track.stems.values()), track.waveform, atol=1e-6)
    assert ("original" in track.stems) == (original != "replace" or span[0] is not None)


def test_written_stems_sum_to_the_written_mix(make: Make, clip: Path) -> None:
    take = make(clip, "a.wav", writes_stems=True).takes[0]
    assert [path.name for path in take.stems] == ["a.action.wav", "a.ambience.wav"]
    total = sum(read_waveform(path)[0] for path in take.stems)
    np.testing.assert_allclose(total, read_waveform(take.output)[0], atol=1e-6)


def test_replacing_drops_the_original_and_keeping_keeps_its_channels(
    pipeline: FoleyPipeline, clip_with_tone: Path
) -> None:
    alone = pipeline(clip_with_tone)
    kept = pipeline(clip_with_tone, original="keep")
    assert (alone.num_channels, kept.num_channels) == (1, 2)
    scale = 10 ** ((kept.gain_db - alone.gain_db) / 20)
    tone = kept.waveform - alone.waveform * scale
    middle = slice(10_000, 80_000)
    left, right = (float(np.sqrt(2 * np.square(channel[middle]).mean())) for channel in tone)
    assert left == pytest.approx(0.25 * 10 ** (kept.gain_db / 20), rel=0.05)
    assert right == pytest.approx(left / 2, rel=0.05)


def test_outside_the_span_the_original_stays(pipeline: FoleyPipeline, clip_with_tone: Path) -> None:
    track = pipeline(clip_with_tone, start=0.5, end=1.5)
    whole = pipeline(clip_with_tone, original="keep")
    scale = 10 ** ((track.gain_db - whole.gain_db) / 20)
    generated_only = pipeline(clip_with_tone)
    original = (
        whole.waveform - generated_only.waveform * 10 ** ((whole.gain_db - generated_only.gain_db) / 20)
    ) * scale
    outside = np.r_[0:23_990, 72_010:96_000]
    np.testing.assert_allclose(track.waveform[:, outside], original[:, outside], atol=1e-5)
    inside = slice(26_000, 70_000)
    assert np.corrcoef(track.waveform[0, inside], original[0, inside])[0, 1] < 0.5


def test_a_span_leaves_silence_where_there_was_no_sound(pipeline: FoleyPipeline, clip: Path) -> None:
    track = pipeline(clip, start=0.5, end=1.0)
    assert not track.waveform[:, : round(0.499 * 48_000)].any()
    assert not track.waveform[:, round(1.001 * 48_000) :].any()
    assert track.waveform.any()


def test_loudness_is_met_or_the_ceiling_wins(pipeline: FoleyPipeline, clip: Path) -> None:
    from foleykit.audio.loudness import measure_loudness

    for wished in (-40.0, -5.0):
        track = pipeline(clip, loudness=wished)
        measured = measure_loudness(track.waveform, track.sample_rate)
        met = measured.integrated_lufs == pytest.approx(wished, abs=0.2)
        assert met or measured.true_peak_dbtp == pytest.approx(-1, abs=0.1)
        assert measured.true_peak_dbtp <= -0.9


def test_a_plot_is_a_picture(make: Make, clip: Path) -> None:
    from PIL import Image

    take = make(clip, writes_plot=True).takes[0]
    assert take.plot is not None
    with Image.open(take.plot) as image:
        assert image.format == "PNG" and image.width >= 800


def test_python_object_saves_what_it_holds(pipeline: FoleyPipeline, clip: Path, tmp_path: Path) -> None:
    track = pipeline(clip, seed=2)
    np.testing.assert_array_equal(read_waveform(track.save(tmp_path / "a.wav"))[0], track.waveform)
    track.save(tmp_path / "a.mp4")
    assert packet_hashes(tmp_path / "a.mp4") == packet_hashes(clip)
    with pytest.raises(UsageError, match="exists"):
        track.save(tmp_path / "a.mp4")
    with pytest.raises(UsageError, match="the input"):
        track.save(clip, overwrite=True)


class Exploded(Exception):
    pass


def test_outputs_are_checked_before_any_work(make: Make, clip: Path, tmp_path: Path, pipeline: FoleyPipeline) -> None:
    def explode(stage: str, fraction: float) -> None:
        if stage == "look":
            raise Exploded

    for name in ("out.mp4", "out.json", "out.action.wav", "out.png"):
        (tmp_path / name).write_text("mine")
        request = GenerateRequest(video=clip, output=tmp_path / "out.mp4", writes_stems=True, writes_plot=True)
        with pytest.raises(UsageError, match="exists; use --overwrite"):
            generate(request, pipeline=pipeline, report=explode)
        assert (tmp_path / name).read_text() == "mine"
        with pytest.raises(Exploded):
            generate(replace(request, overwrite=True), pipeline=pipeline, report=explode)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


@pytest.mark.parametrize("stage", ["read", "load", "look", "generate", "action", "level", "listen", "write", "plot"])
def test_an_interruption_at_any_stage_leaves_nothing(
    clip: Path, tmp_path: Path, pipeline: FoleyPipeline, stage: str
) -> None:
    def interrupt(current: str, fraction: float) -> None:
        if current == stage:
            raise KeyboardInterrupt

    request = GenerateRequest(video=clip, output=tmp_path / "out.mp4", num_takes=2, writes_stems=True, writes_plot=True)
    with pytest.raises(KeyboardInterrupt):
        generate(request, pipeline=pipeline, report=interrupt)
    assert files_in(tmp_path) == []


def bad_requests(folder: Path, clip: Path) -> Iterator[tuple[type[FoleyError], str, dict[str, object]]]:
    text = folder / "text.mp4"
    text.write_text("not a video")
    silent = folder / "silent.wav"
    write_waveform(silent, np.zeros((1, 16_000), np.float32), 16_000)
    yield MediaError, "no such file", {"video": folder / "missing.mp4"}
    yield MediaError, "text.mp4", {"video": text}
    yield MediaError, "no recording", {"settings": Settings(ambient="quite")}
    yield MediaError, "text.mp4", {"settings": Settings(ambient=str(text))}
    yield MediaError, "silent in its middle", {"settings": Settings(ambient=str(silent))}
    yield MediaError, "no sound of its own", {"settings": Settings(ambient="original")}
    yield UsageError, "lasts 2 s", {"settings": Settings(start=2.5)}
    yield UsageError, "is the input", {"output": clip, "overwrite": True}
    yield UsageError, "does not exist", {"output": folder / "nowhere" / "a.mp4"}
    yield UsageError, "cannot hold", {"output": folder / "a.webm", "audio_codec": "aac"}


@pytest.mark.parametrize("number", range(10))
def test_bad_requests_get_one_line_and_write_nothing(
    clip: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, pipeline: FoleyPipeline, number: int
) -> None:
    error, message, values = list(bad_requests(tmp_path_factory.mktemp("bad"), clip))[number]
    request = GenerateRequest(**{"video": clip, "output": tmp_path / "out.mp4", **values})
    before = files_in(clip.parent)
    with warnings.catch_warnings(), pytest.raises(error, match=message) as caught:
        warnings.simplefilter("ignore")
        generate(request, pipeline=pipeline)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path) == [] and files_in(clip.parent) == before


@pytest.mark.parametrize(
    "values",
    [
        {"seed": -5},
        {"num_steps": 0},
        {"guidance_scale": -1.0},
        {"ambient_level_db": 3.0},
        {"loudness_lufs": 1.0},
        {"start": 2.0, "end": 1.0},
        {"start": float("nan")},
        {"original": "louder"},
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Settings(**values)
