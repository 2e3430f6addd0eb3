"""A stretch of an earlier result is made anew, and nothing else is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.files import read_waveform
from foleykit.core.errors import MediaError, UsageError
from foleykit.core.ranges import Reroll, parse_range
from foleykit.evaluation.metrics.level_change import level_changes_db
from foleykit.jobs.demo import EXAMPLE
from foleykit.jobs.generate import GenerateRequest, RerollRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.sidecar import read_sidecar
from foleykit.jobs.soundtrack import CROSSFADE_SECONDS, OUTPUT_RATE, Settings, Soundtrack
from foleykit.watermark import detect

FIRST, STOP = round(0.7 * OUTPUT_RATE), round(1.3 * OUTPUT_RATE)
OUTSIDE = np.r_[0:FIRST, STOP : 2 * OUTPUT_RATE]


@pytest.fixture(scope="module")
def pipeline(debug_model: Path) -> FoleyPipeline:
    return load(debug_model)


def samples(path: Path) -> np.ndarray:
    return read_waveform(path)[0]


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def track(pipeline: FoleyPipeline, video: Path, settings: Settings, *, with_stems: bool = False) -> Soundtrack:
    return next(pipeline.takes(video, settings, with_stems=with_stems))


AGAIN = Reroll(start=0.7, end=1.3, seed=9)


@pytest.mark.parametrize("original", ["replace", "keep", "duck"])
@pytest.mark.parametrize("is_marked", [True, False])
def test_outside_the_range_every_sample_stays(
    pipeline: FoleyPipeline, clip_with_tone: Path, original: str, is_marked: bool
) -> None:
    settings = Settings(original=original, is_marked=is_marked, seed=3)
    before = track(pipeline, clip_with_tone, settings).waveform
    after = track(pipeline, clip_with_tone, replace(settings, rerolls=(AGAIN,))).waveform
    np.testing.assert_array_equal(after[:, OUTSIDE], before[:, OUTSIDE])
    inside = slice(FIRST + 2000, STOP - 2000)
    assert rms(after[:, inside] - before[:, inside]) > 0.02 * rms(before[:, inside])
    # Where a range begins and ends the old sound goes over into the new one.
    for edge in (FIRST, STOP - 1):
        assert np.abs(after[:, edge] - before[:, edge]).max() < 0.01 * np.abs(before).max()


def test_outside_the_range_the_level_stays_however_loud_the_new_is(pipeline: FoleyPipeline, clip: Path) -> None:
    settings = Settings(loudness_lufs=-5, seed=3)
    before = track(pipeline, clip, settings).waveform
    after = track(pipeline, clip, replace(settings, rerolls=(AGAIN,))).waveform
    np.testing.assert_array_equal(after[:, OUTSIDE], before[:, OUTSIDE])
    assert np.abs(after).max() <= 10 ** (-0.9 / 20)


def test_re_rolls_follow_each_other_and_each_keeps_the_rest(pipeline: FoleyPipeline, clip: Path) -> None:
    later = Reroll(start=1.1, end=1.6, seed=10)
    once = track(pipeline, clip, Settings(rerolls=(AGAIN,))).waveform
    twice = track(pipeline, clip, Settings(rerolls=(AGAIN, later))).waveform
    first, stop = round(1.1 * OUTPUT_RATE), round(1.6 * OUTPUT_RATE)
    kept = np.r_[0:first, stop : 2 * OUTPUT_RATE]
    np.testing.assert_array_equal(twice[:, kept], once[:, kept])
    assert rms((twice - once)[:, first:stop]) > 0


def test_another_seed_makes_another_stretch_and_the_same_seed_the_same(pipeline: FoleyPipeline, clip: Path) -> None:
    sounds = [
        track(pipeline, clip, Settings(rerolls=(replace(AGAIN, seed=seed),))).waveform[:, FIRST:STOP]
        for seed in (9, 9, 11)
    ]
    np.testing.assert_array_equal(sounds[0], sounds[1])
    assert rms(sounds[0] - sounds[2]) > 0.1 * rms(sounds[0])


def test_stems_of_a_re_rolled_result_sum_to_it(pipeline: FoleyPipeline, clip_with_tone: Path) -> None:
    settings = Settings(original="duck", rerolls=(AGAIN,))
    made = track(pipeline, clip_with_tone, settings, with_stems=True)
    np.testing.assert_allclose(sum(made.stems.values()), made.waveform, atol=1e-6)


def test_the_mark_goes_through_a_re_rolled_stretch(pipeline: FoleyPipeline, make_video: Callable[..., Path]) -> None:
    # Of 8 s of an untrained model's sound the message is read in every second seed only, re-rolled or not.
    video = make_video(seconds=12.0)
    made = track(pipeline, video, Settings(rerolls=(Reroll(start=2.0, end=6.0, seed=1),)))
    assert made.watermark is not None
    found = detect(made.waveform, made.sample_rate)
    assert found.verdict == "found"
    assert found.message == int(made.watermark.message, 16)
    # The re-rolled stretch alone carries it too.
    inside = detect(made.waveform[:, round(2.1 * OUTPUT_RATE) : round(5.9 * OUTPUT_RATE)], made.sample_rate)
    assert inside.verdict == "found"


def test_a_sidecar_can_be_re_rolled_replayed_and_re_rolled_again(
    pipeline: FoleyPipeline, debug_model: Path, clip: Path, tmp_path: Path
) -> None:
    first = GenerateRequest(
        video=clip, output=tmp_path / "a.wav", model=str(debug_model), settings=Settings(seed=3, num_steps=3)
    )
    generate(first, pipeline=pipeline)
    asked = RerollRequest(start=0.7, end=1.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = generate(
            GenerateRequest(replay=tmp_path / "a.json", reroll=asked, output=tmp_path / "b.wav"), pipeline=pipeline
        )
    assert result.takes[0].seed == 4
    np.testing.assert_array_equal(samples(tmp_path / "b.wav")[:, OUTSIDE], samples(tmp_path / "a.wav")[:, OUTSIDE])
    sidecar = read_sidecar(tmp_path / "b.json")
    assert sidecar.settings.rerolls == (Reroll(start=0.7, end=1.3, seed=4),)
    assert sidecar.watermark == read_sidecar(tmp_path / "a.json").watermark
    assert sidecar.output.gain_db == read_sidecar(tmp_path / "a.json").output.gain_db
    generate(GenerateRequest(replay=tmp_path / "b.json", output=tmp_path / "c.wav"))
    np.testing.assert_array_equal(samples(tmp_path / "c.wav"), samples(tmp_path / "b.wav"))
    drawn = generate(
        GenerateRequest(
            replay=tmp_path / "b.json",
            reroll=RerollRequest(start=0.1, end=0.4),
            draws_seed=True,
            output=tmp_path / "d.wav",
        ),
        pipeline=pipeline,
    )
    again = read_sidecar(tmp_path / "d.json").settings.rerolls
    assert [reroll.start for reroll in again] == [0.7, 0.1] and again[1].seed == drawn.takes[0].seed
    kept = np.r_[0 : round(0.1 * OUTPUT_RATE), round(0.4 * OUTPUT_RATE) : 2 * OUTPUT_RATE]
    np.testing.assert_array_equal(samples(tmp_path / "d.wav")[:, kept], samples(tmp_path / "b.wav")[:, kept])


def test_an_earlier_result_that_comes_out_otherwise_is_told(
    pipeline: FoleyPipeline, debug_model: Path, clip: Path, tmp_path: Path
) -> None:
    generate(GenerateRequest(video=clip, output=tmp_path / "a.wav", model=str(debug_model)), pipeline=pipeline)
    path = tmp_path / "a.json"
    path.write_text(path.read_text().replace(read_sidecar(path).output.samples_sha256, "0" * 64))
    with pytest.warns(UserWarning, match="to the last bit"):
        generate(
            GenerateRequest(replay=path, reroll=RerollRequest(start=0.7, end=1.3), output=tmp_path / "b.wav"),
            pipeline=pipeline,
        )


@pytest.mark.parametrize("text", ["3", "a-b", "4.1-3.2", "1-1.05", "-1-2", "1-2-3", "nan-2"])
def test_impossible_ranges_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="range"):
        parse_range(text)


def test_ranges_outside_the_new_sound_are_refused(pipeline: FoleyPipeline, clip: Path) -> None:
    assert parse_range("3.2-4.1") == (3.2, 4.1)
    for settings in (
        Settings(rerolls=(Reroll(start=1.5, end=2.5, seed=0),)),
        Settings(start=1.0, rerolls=(AGAIN,)),
        Settings(end=1.0, rerolls=(AGAIN,)),
    ):
        with pytest.raises(UsageError, match="does not lie inside the new sound"):
            track(pipeline, clip, settings)


def test_a_range_needs_a_sidecar_and_a_model_that_fits(
    pipeline: FoleyPipeline, debug_model: Path, clip: Path, tmp_path: Path
) -> None:
    asked = RerollRequest(start=0.7, end=1.3)
    with pytest.raises(UsageError, match="--replay"):
        GenerateRequest(video=clip, reroll=asked)
    with pytest.raises(UsageError, match="takes its settings from the sidecar"):
        GenerateRequest(replay=clip, reroll=asked, settings=Settings(num_steps=3))
    generate(GenerateRequest(video=clip, output=tmp_path / "a.wav", model=str(debug_model)), pipeline=pipeline)
    worded = GenerateRequest(
        replay=tmp_path / "a.json", reroll=replace(asked, prompt="glass"), output=tmp_path / "b.wav"
    )
    with pytest.raises(UsageError, match="reads no text"):
        generate(worded, pipeline=pipeline)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(MediaError, match="no such file"):
        generate(replace(worded, video=tmp_path / "missing.mp4"), pipeline=pipeline)


@pytest.mark.slow
def test_the_shipped_models_seams_move_less_than_its_sound_does() -> None:
    shipped = load("tiny-avldm")
    ranges = (Reroll(start=0.8, end=1.5, seed=1), Reroll(start=2.05, end=2.9, seed=2))
    made = track(shipped, EXAMPLE, Settings(end=4.0, rerolls=ranges))
    seams = [
        (edge, edge + CROSSFADE_SECONDS) for again in ranges for edge in (again.start, again.end - CROSSFADE_SECONDS)
    ]

    def changes(soundtrack: Soundtrack) -> tuple[np.ndarray, np.ndarray]:
        return level_changes_db(soundtrack.waveform[0, : 4 * OUTPUT_RATE], OUTPUT_RATE, seams)

    at_seams, elsewhere = changes(made)
    # What moves at a seam in the sounds that meet there, such as a hit, is not the seam's doing.
    meeting = [changes(replace(made, splice=None))[0], changes(made.root)[0]]
    assert made.splice is not None
    meeting.append(changes(made.splice.earlier)[0])
    jumps = np.maximum(at_seams - np.max(meeting, axis=0), 0)
    assert jumps.mean() < 0.5 * elsewhere.mean()
    assert jumps.max() < np.quantile(elsewhere, 0.95)
