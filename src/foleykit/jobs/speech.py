"""A transcript spoken: every line at its time, none into the next, all at one level."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.loudness import normalise
from foleykit.audio.resample import resample
from foleykit.audio.voice import Voice
from foleykit.core.ranges import Line

MAX_SPEED = 1.5
"""A line that is longer than its time is spoken faster, up to this factor; beyond it a voice is hard to follow."""
SPEECH_LUFS = -23.0
"""Loudness of all lines together: EBU R128's for programmes of speech."""
FADE_SECONDS = 0.02
"""Ramp at the end of a line that is cut off."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Utterance:
    """One line as it is spoken."""

    line: Line
    first: int
    """Sample of the video at which it begins."""
    waveform: NDArray[np.float32]
    """(1, n)"""
    speed: float
    """Factor on the voice's own pace."""
    is_cut: bool
    """Its last words were left out, since another line or the end of the sound came first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech:
    """All lines of a transcript, in the order in which they are heard."""

    voice: str
    sample_rate: int
    utterances: tuple[Utterance, ...]

    def between(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return samples `start` to `stop` of the video's speech (1, stop - start); silence where nobody speaks."""
        part = np.zeros((1, stop - start), np.float32)
        for utterance in self.utterances:
            first = max(start, utterance.first)
            last = min(stop, utterance.first + utterance.waveform.shape[-1])
            if first < last:
                part[:, first - start : last - start] = utterance.waveform[
                    :, first - utterance.first : last - utterance.first
                ]
        return part


@dataclass(frozen=True, kw_only=True)
class SpokenLine:
    """What a sidecar says of one line."""

    start: float
    """Second of the video at which it begins."""
    seconds: float
    """How long it lasts."""
    speed: float
    is_cut: bool


@dataclass(frozen=True, kw_only=True)
class SpeechRecord:
    """What a sidecar says of the speech in a soundtrack."""

    voice: str
    """Program or model, and its version."""
    lines: tuple[SpokenLine, ...]
    loudness_lufs: float = SPEECH_LUFS
    """Of all lines together, before the gain of the whole soundtrack."""
    is_lip_synced: bool = False
    """Never: lines are placed at the times of the transcript, whatever lips are seen to do."""


def speak(lines: Sequence[Line], voice: Voice, sample_rate: int, end: float) -> Speech:
    """Return `lines`, which do not overlap, spoken by `voice` before second `end` of the video.

    A line that is longer than its time is spoken up to MAX_SPEED times as fast. If that is not enough it goes on after
    its time, until the next line or `end` cuts it off; one warning names all such lines. Raises UsageError for what the
    voice cannot speak.
    """
    in_order = sorted(lines, key=lambda line: line.start)
    limits = [*(line.start for line in in_order[1:]), end]
    spoken = [_utter(line, limit, voice, sample_rate) for line, limit in zip(in_order, limits, strict=True)]
    _warn_of_long(spoken, sample_rate)
    return Speech(voice=voice.name, sample_rate=sample_rate, utterances=tuple(_levelled(spoken, sample_rate)))


def _utter(line: Line, limit: float, voice: Voice, sample_rate: int) -> Utterance:
    speed = 1.0
    waveform, rate = voice.speak(line.text, line.language, speed)
    allowed = line.end - line.start
    while len(waveform) > allowed * rate and speed < MAX_SPEED:
        # Pauses do not shrink with the pace, so one step may not be enough.
        speed = min(MAX_SPEED, speed * max(1.02, len(waveform) / rate / allowed))
        waveform, rate = voice.speak(line.text, line.language, speed)
    first = round(line.start * sample_rate)
    room = round(limit * sample_rate) - first
    whole = resample(waveform[None], rate, sample_rate)
    is_cut = whole.shape[-1] > room
    return Utterance(
        line=line,
        first=first,
        waveform=_faded(whole[:, :room], sample_rate) if is_cut else whole,
        speed=round(speed, 3),
        is_cut=is_cut,
    )


def _faded(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    length = min(waveform.shape[-1], round(FADE_SECONDS * sample_rate))
    weight = np.ones(waveform.shape[-1], np.float32)
    weight[-length:] = np.linspace(1, 0, length)
    return waveform * weight


def _levelled(spoken: Sequence[Utterance], sample_rate: int) -> Iterable[Utterance]:
    """Yield `spoken` with one gain for all, so that lines keep their levels among one another."""
    together = np.concatenate([one.waveform for one in spoken], axis=-1)
    gain = np.float32(10 ** (normalise(together, sample_rate, target_lufs=SPEECH_LUFS) / 20))
    for one in spoken:
        yield replace(one, waveform=one.waveform * gain)


def _warn_of_long(spoken: Sequence[Utterance], sample_rate: int) -> None:
    late = []
    for one in spoken:
        over = (one.first + one.waveform.shape[-1]) / sample_rate - one.line.end
        if one.is_cut:
            late.append(f"that of {one.line.start:g} s is cut off")
        elif over > 1 / sample_rate:
            late.append(f"that of {one.line.start:g} s ends {over:.1f} s late")
    if late:
        warnings.warn(
            f"lines are too long for their times at {MAX_SPEED:g} times the pace: {'; '.join(late)}", stacklevel=2
        )


def record_of(speech: Speech) -> SpeechRecord:
    """Return what a sidecar says of `speech`."""
    lines = tuple(
        SpokenLine(
            start=one.first / speech.sample_rate,
            seconds=round(one.waveform.shape[-1] / speech.sample_rate, 3),
            speed=one.speed,
            is_cut=one.is_cut,
        )
        for one in speech.utterances
    )
    return SpeechRecord(voice=speech.voice, lines=lines)
