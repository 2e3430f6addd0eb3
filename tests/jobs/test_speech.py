"""A transcript is heard at its times, at its level, on a stem of its own, and nowhere else."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.audio.loudness import measure_loudness
from foleykit.audio.voice import PROGRAM, EspeakVoice
from foleykit.core.errors import UsageError
from foleykit.core.ranges import Line, Reroll
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.sidecar import read_sidecar
from foleykit.jobs.soundtrack import OUTPUT_RATE, Settings
from foleykit.jobs.speech import MAX_SPEED, SPEECH_LUFS, Speech, speak
from foleykit.video.probe import probe
from foleykit.watermark import detect

needs_voice = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed")
HELLO = Line(start=0.3, end=1.0, text="Hello!")
BYE = Line(start=1.2, end=1.9, text="Goodbye!")


class Whistle:
    """A voice of somebody else's: one second of a tone for each word, at a rate of its own."""

    name = "whistle 1"

    def speak(self, text: str, language: str, speed: float) -> tuple[NDArray[np.float32], int]:
        if language != "en":
            raise UsageError(f"nobody whistles {language}")
        time = np.arange(round(8000 * len(text.split()) / speed)) / 8000
        return np.sin(2 * np.pi * 440 * time).astype(np.float32), 8000


@pytest.fixture(scope="module")
def pipeline(debug_model: Path) -> FoleyPipeline:
    return load(debug_model)


def heard(speech: Speech, seconds: float) -> NDArray[np.float32]:
    return speech.between(0, round(seconds * speech.sample_rate))[0]


def sounding(waveform: NDArray[np.float32]) -> tuple[float, float]:
    """Return the first and the last second at which there is sound."""
    loud = np.flatnonzero(np.abs(waveform) > 0.02 * np.abs(waveform).max())
    return loud[0] / OUTPUT_RATE, loud[-1] / OUTPUT_RATE


@needs_voice
def test_every_line_begins_at_its_time_and_silence_lies_between() -> None:
    speech = speak([BYE, HELLO], EspeakVoice(), OUTPUT_RATE, 2.5)
    assert [one.line for one in speech.utterances] == [HELLO, BYE]
    sound = heard(speech, 2.5)
    first, last = sounding(sound[: round(1.1 * OUTPUT_RATE)])
    assert first == pytest.approx(0.3, abs=0.02) and last <= 1.01
    assert 1.1 + sounding(sound[round(1.1 * OUTPUT_RATE) :])[0] == pytest.approx(1.2, abs=0.02)
    assert not sound[: round(0.299 * OUTPUT_RATE)].any()
    assert not sound[round(1.05 * OUTPUT_RATE) : round(1.199 * OUTPUT_RATE)].any()


@needs_voice
def test_all_lines_have_one_level_together() -> None:
    lines = [HELLO, BYE, Line(start=2.0, end=5.0, text="The hammer lies on the wooden table.")]
    speech = speak(lines, EspeakVoice(), OUTPUT_RATE, 5.0)
    together = np.concatenate([one.waveform for one in speech.utterances], axis=-1)
    assert measure_loudness(together, OUTPUT_RATE).integrated_lufs == pytest.approx(SPEECH_LUFS, abs=0.3)


def test_parts_of_the_speech_are_those_of_the_whole() -> None:
    speech = speak([Line(start=0.5, end=1.5, text="a"), Line(start=2.0, end=3.0, text="b")], Whistle(), 48_000, 4.0)
    whole = heard(speech, 4.0)
    for start, stop in ((0, 10), (20_000, 30_000), (60_000, 120_000), (150_000, 192_000)):
        np.testing.assert_array_equal(speech.between(start, stop)[0], whole[start:stop])
    assert len(speech.utterances[0].waveform[0]) == 48_000


@pytest.mark.parametrize(
    ("words", "speed", "seconds", "told"),
    [
        (1, 1.0, 1.0, ""),
        (2, 2 / 1.4, 1.4, ""),
        (3, MAX_SPEED, 2.0, "that of 1 s ends 0.6 s late"),
        (9, MAX_SPEED, 2.2, "that of 1 s is cut off"),
    ],
)
def test_a_long_line_is_spoken_faster_then_runs_on_then_is_cut_off(
    words: int, speed: float, seconds: float, told: str
) -> None:
    lines = [Line(start=1.0, end=2.4, text="la " * words), Line(start=3.2, end=4.2, text="la")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first, second = speak(lines, Whistle(), OUTPUT_RATE, 4.5).utterances
    assert len(caught) == bool(told) and all(told in str(one.message) for one in caught)
    assert first.speed == pytest.approx(speed, abs=1e-3)
    assert first.waveform.shape[-1] / OUTPUT_RATE == pytest.approx(seconds, abs=1e-3)
    assert first.is_cut == ("cut off" in told)
    if first.is_cut:
        assert abs(first.waveform[0, -1]) < 1e-6
    assert (second.first, second.speed, second.is_cut) == (round(3.2 * OUTPUT_RATE), 1.0, False)


def test_the_last_line_ends_with_the_new_sound() -> None:
    with pytest.warns(UserWarning, match="is cut off"):
        speech = speak([Line(start=1.0, end=2.0, text="la la la")], Whistle(), OUTPUT_RATE, 2.5)
    assert speech.utterances[0].waveform.shape[-1] == round(1.5 * OUTPUT_RATE)


@pytest.mark.parametrize("original", ["replace", "keep"])
def test_speech_is_a_stem_and_the_stems_sum_to_the_mix(
    pipeline: FoleyPipeline, clip_with_tone: Path, original: str
) -> None:
    lines = (Line(start=0.3, end=1.4, text="la"),)
    track = pipeline(clip_with_tone, transcript=lines, voice=Whistle(), stems=True, original=original)
    assert list(track.stems) == ["action", "ambience", "speech", *(["original"] if original == "keep" else [])]
    np.testing.assert_allclose(sum(track.stems.values()), track.waveform, atol=1e-6)
    first, last = sounding(track.stems["speech"][0])
    assert (first, last) == (pytest.approx(0.3, abs=0.01), pytest.approx(1.3, abs=0.01))
    silent = pipeline(clip_with_tone, stems=True, original=original)
    scale = 10 ** ((track.gain_db - silent.gain_db) / 20)
    np.testing.assert_allclose(track.stems["action"], silent.stems["action"] * scale, atol=1e-6)


def test_lines_outside_the_new_sound_or_over_one_another_are_refused(pipeline: FoleyPipeline, clip: Path) -> None:
    late = Line(start=1.5, end=2.5, text="la")
    with pytest.raises(UsageError, match=r"the range 1\.5 to 2\.5 s does not lie inside the new sound, 0 to 2 s"):
        pipeline(clip, transcript=[late], voice=Whistle())
    with pytest.raises(UsageError, match=r"0\.3 to 1 s does not lie inside the new sound, 0\.5 to 2 s"):
        pipeline(clip, transcript=[HELLO], voice=Whistle(), start=0.5)
    with pytest.raises(UsageError, match=r"two lines of the transcript overlap: 0\.3 to 1 s and 0\.9 to 2 s"):
        Settings(transcript=(replace(BYE, start=0.9, end=2.0), HELLO))
    with pytest.raises(UsageError, match="nobody whistles de"):
        pipeline(clip, transcript=[replace(HELLO, language="de")], voice=Whistle())


@needs_voice
def test_files_hold_the_speech_and_a_replay_speaks_again(
    pipeline: FoleyPipeline, debug_model: Path, clip: Path, tmp_path: Path
) -> None:
    settings = Settings(transcript=(HELLO, BYE), seed=4)
    request = GenerateRequest(
        video=clip, output=tmp_path / "a.wav", model=str(debug_model), settings=settings, writes_stems=True
    )
    take = generate(request, pipeline=pipeline).takes[0]
    assert [path.name for path in take.stems] == ["a.action.wav", "a.ambience.wav", "a.speech.wav"]
    total = sum(read_waveform(path)[0] for path in take.stems)
    np.testing.assert_allclose(total, read_waveform(take.output)[0], atol=1e-6)
    sidecar = read_sidecar(take.sidecar)
    assert sidecar.settings.transcript == (HELLO, BYE)
    assert sidecar.speech is not None and sidecar.speech.voice == EspeakVoice().name
    assert sidecar.speech.is_lip_synced is False
    assert [line.start for line in sidecar.speech.lines] == [0.3, 1.2]
    assert sidecar.screening is not None and not sidecar.screening.found
    again = generate(GenerateRequest(replay=take.sidecar, output=tmp_path / "b.wav"))
    assert read_sidecar(again.takes[0].sidecar).output.samples_sha256 == sidecar.output.samples_sha256


@needs_voice
def test_a_range_made_anew_leaves_what_is_said(pipeline: FoleyPipeline, clip: Path) -> None:
    settings = Settings(transcript=(HELLO, BYE))
    before = next(pipeline.takes(clip, settings)).waveform
    again = replace(settings, rerolls=(Reroll(start=0.7, end=1.3, seed=9),))
    track = next(pipeline.takes(clip, again, with_stems=True))
    outside = np.r_[0 : round(0.7 * OUTPUT_RATE), round(1.3 * OUTPUT_RATE) : 2 * OUTPUT_RATE]
    np.testing.assert_array_equal(track.waveform[:, outside], before[:, outside])
    plain = next(pipeline.takes(clip, settings, with_stems=True))
    np.testing.assert_allclose(track.stems["speech"], plain.stems["speech"], atol=1e-3)


@needs_voice
def test_speech_carries_the_mark_of_the_sound_around_it() -> None:
    from foleykit.jobs.demo import EXAMPLE

    # Eight seconds of voice: the sixteen bits of a message need more of it than the mark does.
    text = (
        "The hammer lies on the wooden table, and the nails are in the box beside it. Take one of them, please, hold "
        "it upright between two fingers, and strike it gently, until it stands alone."
    )
    lines = (Line(start=0.37, end=8.9, text=text),)
    assert float(probe(EXAMPLE).duration) == 9.0
    shipped = load("tiny-avldm")
    track = next(shipped.takes(EXAMPLE, Settings(transcript=lines, num_steps=2), with_stems=True))
    found = detect(track.stems["speech"], OUTPUT_RATE)
    assert found.verdict == "found" and track.watermark is not None
    assert f"{found.message:04x}" == track.watermark.message
    assert detect(track.waveform, OUTPUT_RATE).verdict == "found"
    bare = next(shipped.takes(EXAMPLE, Settings(transcript=lines, num_steps=2, is_marked=False), with_stems=True))
    assert detect(bare.stems["speech"], OUTPUT_RATE).verdict == "not found"
    # The voice stays what it was: the mark lies far below it.
    gain = 10 ** ((track.gain_db - bare.gain_db) / 20)
    mark = track.stems["speech"] - gain * bare.stems["speech"]
    assert np.square(mark).sum() < 1e-2 * np.square(track.stems["speech"]).sum()
