"""Text to speech: what a voice is asked for, and espeak-ng's, through its command-line program."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import read_waveform
from foleykit.core.errors import UsageError

PROGRAM = "espeak-ng"
_WORDS_PER_MINUTE = 175
"""The program's own pace."""
_SILENT = 10 ** (-50 / 20)
"""Share of the highest sample below which the beginning and the end of what was spoken are silence."""


class Voice(Protocol):
    """Whoever speaks a transcript."""

    @property
    def name(self) -> str:
        """Program or model and its version, for the record."""
        ...

    def speak(self, text: str, language: str, speed: float) -> tuple[NDArray[np.float32], int]:
        """Return `text` as a mono waveform (S,), which begins and ends with its words, and its sample rate.

        `speed` is a factor on the voice's own pace. Raises UsageError for a language that it does not speak and for a
        text in which there is nothing to speak.
        """
        ...


class EspeakVoice:
    """The program espeak-ng: small, offline, over a hundred languages, and plainly a machine.

    It is licensed under GPL-3 and runs as a process of its own.
    """

    def __init__(self) -> None:
        """Find the program; raises UsageError where it is not installed."""
        program = shutil.which(PROGRAM)
        if program is None:
            raise UsageError(
                f"a transcript is spoken by {PROGRAM}, which is not installed; install it "
                f"(apt install {PROGRAM}, brew install {PROGRAM}, winget install {PROGRAM}) or leave out --transcript"
            )
        self._program = program

    @cached_property
    def name(self) -> str:
        said = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=False).stdout
        version = [word for word in said.split() if word[0].isdigit()]
        return " ".join([PROGRAM, *version[:1]])

    def speak(self, text: str, language: str, speed: float) -> tuple[NDArray[np.float32], int]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "spoken.wav"
            pace = str(round(_WORDS_PER_MINUTE * speed))
            # The text goes by standard input: on the command line a dash would begin an option.
            done = subprocess.run(
                [self._program, "-v", language, "-s", pace, "-b", "1", "-z", "-w", str(path), "--stdin"],
                input=text.encode(),
                capture_output=True,
                check=False,
            )
            if done.returncode != 0:
                raise UsageError(
                    f'{PROGRAM} does not speak "{language}" ({done.stderr.decode(errors="replace").strip()}); '
                    f"`{PROGRAM} --voices` lists its languages"
                )
            waveform, sample_rate = read_waveform(path, mono=True)
        spoken = trimmed(waveform[0])
        if spoken.size == 0:
            raise UsageError(f'there is nothing to speak in "{text}"')
        return spoken, sample_rate


def trimmed(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a waveform (S,) without the silence before and after it; nothing is left of silence."""
    level = np.abs(waveform)
    sounding = np.flatnonzero(level > _SILENT * level.max(initial=0.0))
    return waveform[sounding[0] : sounding[-1] + 1] if sounding.size else waveform[:0]
