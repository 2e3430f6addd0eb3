"""Takes in which somebody speaks are noticed and made again, within bounds, and nothing else is."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fixtures.foley import RATE, hits
from foleykit.audio.files import read_waveform, write_waveform
from foleykit.audio.voice import PROGRAM, EspeakVoice
from foleykit.cli.generate import show
from foleykit.data.corpora.planted import music, speech
from foleykit.jobs.adapters.avldm import AvLdmAdapter
from foleykit.jobs.generate import GenerateRequest, GenerateResult, generate
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.screening import LIKELY, MAX_FURTHER, Heard, listen, screen
from foleykit.jobs.sidecar import read_sidecar
from foleykit.jobs.soundtrack import Settings

SIZE = 3 * RATE


def voice(seed: int = 0) -> np.ndarray:
    return speech(SIZE, RATE, np.random.default_rng((77, seed)))


def test_voices_and_tunes_are_heard_wherever_they_are() -> None:
    silence = np.zeros(4 * RATE, np.float32)
    for sound in (voice(), np.r_[silence, voice()], np.r_[voice(), silence]):
        assert listen(sound[None], RATE, 3).found(("speech", "music")) == ("speech",)
    tune = music(SIZE, RATE, np.random.default_rng((77, 0)))
    assert listen(tune[None], RATE, 3).found(("speech", "music")) == ("music",)
    assert listen(tune[None], RATE, 3).found(("speech",)) == ()


@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed")
def test_a_real_voice_is_heard() -> None:
    waveform, rate = EspeakVoice().speak("Could you pass me the hammer, please?", "en", 1.0)
    assert listen(waveform[None], rate, 0).speech >= LIKELY


def test_hits_noise_hum_and_silence_are_neither() -> None:
    time = np.arange(6 * RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(6 * RATE)
    sounds = {
        "hits": hits()[0],
        "rain": 0.1 * noise,
        "rumble": np.convolve(noise, np.ones(200) / 200, "same"),
        "hum": sum(np.sin(2 * np.pi * 100 * n * time) / n for n in range(1, 9)) + 0.01 * noise,
        "silence": np.zeros(RATE),
        "hardly anything": 1e-5 * voice(),
        "a click": np.eye(1, RATE, 9)[0],
    }
    for name, sound in sounds.items():
        assert listen(sound.astype(np.float32)[None], RATE, 0).found(("speech", "music")) == (), name


def heard(seed: int, chance: float, music_chance: float = 0.0) -> Heard:
    return Heard(seed=seed, speech=chance, music=music_chance)


def test_the_first_take_without_is_kept_or_else_the_least_likely() -> None:
    bad, worse, good = heard(0, 0.95), heard(1, 0.99), heard(2, 0.5)
    assert screen([bad], ("speech",)).report() == "speech may be heard with seed 0 (0.95 of 1)"
    kept = screen([bad, worse], ("speech",))
    assert (kept.seed, kept.found) == (0, ("speech",))
    assert kept.report() == "speech may be heard with seed 0 (0.95 of 1); no other take was better: seed 1 (0.99)"
    kept = screen([bad, worse, good], ("speech",))
    assert (kept.seed, kept.found, kept.is_replacement) == (2, (), True)
    assert kept.report() == (
        "speech was heard with seed 0 (0.95), seed 1 (0.99), so the take was made again with seed 2 (0.50 of 1)"
    )
    kept = screen([heard(0, 0.1, 0.97)], ("speech", "music"))
    assert kept.found == ("music",) and "music may be heard" in kept.report()
    assert screen([good], ("speech", "music")).report() == "no speech or music was heard with seed 2 (0.50 of 1)"


Make = Callable[..., GenerateResult]


@pytest.fixture
def speaking(debug_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Make]:
    """Return a function that makes the debug model speak under some seeds, and returns one that generates with it."""

    def of(*seeds: int) -> Make:
        pipeline: FoleyPipeline = load(debug_model)
        versions = AvLdmAdapter.versions

        def spoken(self, scene, settings, clip, num_samples, progress) -> Iterator[np.ndarray]:
            for version in versions(self, scene, settings, clip, num_samples, progress):
                # Louder under later seeds: less of the model's own noise is left to hide it.
                gain = 0.02 * settings.seed + 0.3 if settings.seed in seeds else 0
                yield 0.02 * version + gain * np.resize(voice(settings.seed), num_samples)[None].astype(np.float32)

        monkeypatch.setattr(AvLdmAdapter, "versions", spoken)

        def make(video: Path, name: str = "out.wav", **values: object) -> GenerateResult:
            request = GenerateRequest(video=video, output=tmp_path / name, model=str(debug_model), **values)
            return generate(request, pipeline=pipeline)

        return make

    return of


def test_a_take_that_speaks_is_made_again_and_can_be_repeated(
    speaking: Callable[..., Make], clip: Path, tmp_path: Path
) -> None:
    make = speaking(0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        take = make(clip).takes[0]
    sidecar = read_sidecar(take.sidecar)
    assert take.seed == sidecar.settings.seed == 2
    assert take.screening == sidecar.screening
    assert [one.seed for one in take.screening.takes] == [0, 1, 2]
    assert [bool(one.found(("speech",))) for one in take.screening.takes] == [True, True, False]
    single = make(clip, "single.wav", settings=Settings(seed=2)).takes[0]
    np.testing.assert_array_equal(read_waveform(single.output)[0], read_waveform(take.output)[0])
    again = generate(GenerateRequest(replay=take.sidecar, output=tmp_path / "again.wav")).takes[0]
    assert again.screening is None
    assert read_sidecar(again.sidecar).output.samples_sha256 == sidecar.output.samples_sha256


def test_replacements_take_seeds_that_no_other_take_has(speaking: Callable[..., Make], clip: Path) -> None:
    result = speaking(1, 3)(clip, num_takes=3)
    assert [take.seed for take in result.takes] == [0, 4, 2]
    assert [take.output.name for take in result.takes] == ["out.take1.wav", "out.take2.wav", "out.take3.wav"]
    assert [len(take.screening.takes) for take in result.takes] == [1, 3, 1]


@pytest.mark.parametrize("num_takes", [1, 2])
def test_a_model_that_always_speaks_is_asked_a_bounded_number_of_times(
    speaking: Callable[..., Make], clip: Path, num_takes: int
) -> None:
    with pytest.warns(UserWarning, match="speech may be heard with seed") as told:
        result = speaking(*range(50))(clip, num_takes=num_takes)
    assert len(told) == num_takes
    assert sum(len(take.screening.takes) for take in result.takes) == num_takes + MAX_FURTHER
    for take in result.takes:
        least = min(take.screening.takes, key=lambda one: one.speech)
        assert take.seed == least.seed and take.screening.found == ("speech",)


def test_the_best_take_does_not_speak_where_another_is_silent_and_else_it_is_a_fault(
    speaking: Callable[..., Make], clip: Path
) -> None:
    result = speaking(0)(clip, num_takes=2, select="best")
    assert sorted(one.seed for one in result.selection.takes) == [1, 2]
    assert all("speech" not in one.faults for one in result.selection.takes)
    with pytest.warns(UserWarning, match="speech may be heard"):
        result = speaking(*range(50))(clip, "b.wav", num_takes=2, select="best")
    assert all("speech" in one.faults for one in result.selection.takes)
    assert "although" in result.selection.reason


def test_speech_may_be_allowed_and_music_refused(speaking: Callable[..., Make], clip: Path) -> None:
    make = speaking(0)
    assert make(clip, unwanted=()).takes[0].screening is None
    take = make(clip, "b.wav", unwanted=("music",)).takes[0]
    assert take.seed == 0 and take.screening.refused == ("music",)
    assert make(clip, "c.wav", unwanted=("speech", "music")).takes[0].seed == 1


def test_an_ambience_with_speech_is_no_reason_to_make_a_take_again(
    speaking: Callable[..., Make], clip: Path, tmp_path: Path
) -> None:
    write_waveform(tmp_path / "talk.wav", voice()[None], RATE)
    settings = Settings(ambient=str(tmp_path / "talk.wav"))
    with pytest.warns(UserWarning, match=r"speech is heard in the ambience .*talk"):
        take = speaking(0)(clip, settings=settings).takes[0]
    assert take.seed == 0 and take.screening is None


def test_the_command_says_what_was_done(
    speaking: Callable[..., Make], clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = speaking(0)

    def shown(result: GenerateResult, **how: bool) -> list[str]:
        usual = {"as_json": False, "verbose": False, "quiet": False, "shows_seed": False}
        show(result, **usual | how)
        return capsys.readouterr().out.splitlines()

    remade = make(clip, unwanted=("speech", "music"))
    assert shown(remade)[0].startswith("speech or music was heard with seed 0 (")
    take = json.loads(shown(remade, as_json=True)[0])["takes"][0]
    assert take["screening"]["refused"] == ["speech", "music"]
    assert [one["seed"] for one in take["screening"]["takes"]] == [0, 1]
    fine = make(clip, "b.wav", settings=Settings(seed=1))
    assert shown(fine) == [str(path) for path in fine.takes[0].paths]
    assert shown(fine, verbose=True)[1].startswith("no speech was heard with seed 1")
