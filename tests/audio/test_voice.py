"""What is spoken: by a real voice where one is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from foleykit.audio.voice import PROGRAM, EspeakVoice, trimmed
from foleykit.core.errors import UsageError

needs_voice = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed")
SENTENCE = "Could you pass me the hammer, please?"


def seconds(text: str, language: str = "en", speed: float = 1.0) -> float:
    waveform, rate = EspeakVoice().speak(text, language, speed)
    return len(waveform) / rate


@needs_voice
def test_a_sentence_is_a_sound_that_begins_and_ends_with_its_words() -> None:
    waveform, rate = EspeakVoice().speak(SENTENCE, "en", 1.0)
    assert waveform.ndim == 1 and waveform.dtype == np.float32 and np.abs(waveform).max() <= 1
    assert 1.2 < len(waveform) / rate < 3.5
    for edge in (waveform[: rate // 50], waveform[-rate // 20 :]):
        assert np.abs(edge).max() > 0.003 * np.abs(waveform).max()
    np.testing.assert_array_equal(EspeakVoice().speak(SENTENCE, "en", 1.0)[0], waveform)
    assert EspeakVoice().name.startswith(f"{PROGRAM} ")


@needs_voice
def test_a_faster_voice_takes_less_time_and_a_longer_text_more() -> None:
    usual = seconds(SENTENCE)
    assert 0.55 * usual < seconds(SENTENCE, speed=1.5) < 0.8 * usual
    assert seconds(f"{SENTENCE} {SENTENCE}") > 1.8 * usual


@needs_voice
def test_languages_are_spoken_differently_and_unknown_ones_refused() -> None:
    assert seconds("Jardin des Plantes", "fr") != seconds("Jardin des Plantes", "en-GB")
    with pytest.raises(UsageError, match=r'does not speak "xx-yy".*--voices') as caught:
        seconds(SENTENCE, "xx-yy")
    assert "\n" not in str(caught.value)


@needs_voice
def test_a_text_is_never_an_option_and_may_hold_any_letters() -> None:
    assert seconds("-v de --voices") > 0.5
    assert seconds("café déjà vu", "fr") > 0.5


@needs_voice
@pytest.mark.parametrize("text", ["...", "♪ ♪"])
def test_nothing_to_speak_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="nothing to speak"):
        seconds(text)


def test_a_missing_program_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=rf"{PROGRAM}, which is not installed; install it \(apt install") as caught:
        EspeakVoice()
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_silence_around_a_sound_is_cut_off() -> None:
    sound = np.r_[0.5, 0.0, -0.4].astype(np.float32)
    np.testing.assert_array_equal(trimmed(np.pad(sound, 100)), sound)
    assert len(trimmed(np.pad(sound, 100) + np.float32(1e-4))) == 3
    assert trimmed(np.zeros(100, np.float32)).size == trimmed(np.zeros(0, np.float32)).size == 0
