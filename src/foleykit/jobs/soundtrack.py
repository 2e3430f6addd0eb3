"""A generated soundtrack: what the model made, how it is weighed against the original, and how it becomes files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from foleykit.audio.files import write_waveform
from foleykit.audio.mix import to_channels
from foleykit.audio.resample import StreamResampler, fit_length
from foleykit.core.errors import InputError, UsageError
from foleykit.core.ranges import MAX_TEXT, Cue, Line, Reroll, check_apart
from foleykit.core.signals import Signal
from foleykit.jobs.outputs import all_or_none, check_outputs
from foleykit.jobs.provenance import Note, make_note
from foleykit.jobs.screening import Screening
from foleykit.jobs.selection import Verdict
from foleykit.jobs.speech import Speech
from foleykit.models.events import SeenEvent
from foleykit.retrieval.filters import parse_filter
from foleykit.video.info import VideoInfo
from foleykit.video.mux import mux
from foleykit.video.output import AudioCodec
from foleykit.video.quality import QualityReport

OUTPUT_RATE = 48_000
BLOCK_SECONDS = 10
SOUND_SUFFIXES = (".wav", ".flac")
CROSSFADE_SECONDS = 0.02
"""At either end of a re-rolled stretch."""

OriginalMode = Literal["replace", "keep", "duck"]
Dtype = Literal["float32", "bfloat16", "float16"]
StemName = Literal["action", "ambience", "speech", "original"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the samples of a soundtrack depend on, besides the video and the model."""

    ambient: str = "auto"
    """"auto", "quiet", "original" or the path of a recording."""
    ambient_level_db: float | None = None
    """RMS in dBFS that the ambient clip is set to, -90 to 0; None leaves its level."""
    ambient_library: str = ""
    """Index that "auto" chooses from; empty is the model's own library."""
    ambient_filter: str = ""
    """Clips of `ambient_library` that may be chosen, such as "ambient_db < -50"; empty for all."""
    ambient_clip: str = ""
    """Key of the clip in `ambient_library` that was chosen; empty lets the pictures choose."""
    prompt: str = ""
    """What should be heard, for models that read text."""
    negative_prompt: str = ""
    """What should not be heard."""
    original: OriginalMode = "replace"
    """What becomes of the video's own sound."""
    seed: int = 0
    """0 to 2^63 - 1."""
    num_steps: int | None = None
    """Sampling steps; None is the model's own."""
    guidance_scale: float | None = None
    """Weight of the pictures; None is the model's own."""
    sensitivity: float = 0.0
    """How readily faint signs that something begins to sound are heard: from -1, the clearest alone, to 1."""
    start: float | None = None
    """Second from which there is new sound; None is the first picture."""
    end: float | None = None
    """Second up to which there is new sound; None is the end of the last picture."""
    loudness_lufs: float | None = None
    """Integrated loudness of the result, -70 to 0; None leaves it as generated."""
    is_marked: bool = True
    """The generated sound carries the watermark."""
    cues: tuple[Cue, ...] = ()
    """Stretches with prompts of their own, apart from one another; their times count from the first picture."""
    transcript: tuple[Line, ...] = ()
    """What is spoken besides, apart from one another; the times count from the first picture."""
    rerolls: tuple[Reroll, ...] = ()
    """Stretches that were made anew, one after another; their times count from the first picture."""
    events: tuple[SeenEvent, ...] | None = None
    """What is heard to happen, instead of what is seen; times count from the first picture."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Every prompt and negative prompt; most are empty."""
        own = (self.prompt, self.negative_prompt)
        return own + tuple(text for cue in (*self.cues, *self.rerolls) for text in (cue.prompt, cue.negative_prompt))

    @property
    def last_seed(self) -> int:
        """The seed of what was made last."""
        return self.rerolls[-1].seed if self.rerolls else self.seed

    def __post_init__(self) -> None:
        if self.original not in get_args(OriginalMode):
            raise UsageError(f'original is replace, keep or duck, not "{self.original}"')
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"a seed lies between 0 and 2^63 - 1 (or is -1 to draw one), not {self.seed}")
        if self.num_steps is not None and not 1 <= self.num_steps <= 1000:
            raise UsageError(f"num_steps lies between 1 and 1000, not {self.num_steps}")
        if self.guidance_scale is not None and not 0 <= self.guidance_scale <= 100:
            raise UsageError(f"guidance_scale lies between 0 and 100, not {self.guidance_scale:g}")
        if not -1 <= self.sensitivity <= 1:
            raise UsageError(f"a sensitivity lies between -1 and 1, not {self.sensitivity:g}")
        if self.sensitivity and self.events is not None:
            raise UsageError(
                "a list of events is heard as it is; leave the sensitivity out, or give it to foley events"
            )
        if self.ambient_level_db is not None and not -90 <= self.ambient_level_db <= 0:
            raise UsageError(f"an ambient level lies between -90 and 0 dBFS, not {self.ambient_level_db:g}")
        if self.ambient_library and self.ambient != "auto":
            raise UsageError(f'a library is what the ambience auto chooses from; leave it out with "{self.ambient}"')
        if (self.ambient_filter or self.ambient_clip) and not self.ambient_library:
            raise UsageError("a filter chooses among the clips of a library; name one with --ambient-library")
        parse_filter(self.ambient_filter)
        check_apart(self.cues, "cues")
        check_apart(self.transcript, "lines of the transcript")
        longest = max(map(len, self.texts))
        if longest > MAX_TEXT:
            raise UsageError(f"a prompt or negative prompt has at most {MAX_TEXT} characters, not {longest}")
        if any(text and not text.strip() for text in self.texts):
            raise UsageError("a prompt or negative prompt is blank; say what should be heard, or leave it out")
        if self.loudness_lufs is not None and not -70 <= self.loudness_lufs <= 0:
            raise UsageError(f"loudness lies between -70 and 0 LUFS, not {self.loudness_lufs:g}")
        start = 0.0 if self.start is None else self.start
        if not (start >= 0 and (self.end is None or self.end > start)):
            raise UsageError(f"start must be at least 0 and end after it; got start {start:g}, end {self.end}")


@dataclass(frozen=True, kw_only=True)
class Watermark:
    """The mark in a generated sound."""

    message: str
    """16 bits in hexadecimal: the beginning of `content_sha256`."""
    content_sha256: str
    """Of the generated samples before they were marked."""
    key: str
    """"public", the first 16 digits of the SHA-256 of a key of the user's own, or "audioseal" and a digest."""
    snr_db: float | None
    """Level of the generated sound over that of the mark; None where nothing was loud enough to be marked."""
    shift: int = 0
    """Where in its pattern the mark begins, in hops."""


class Course(Protocol):
    """A gain over time."""

    def __call__(self, start: int, stop: int, /) -> NDArray[np.float32]:
        """Return the gains (stop - start,) of samples `start` to `stop`."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Splice:
    """An earlier soundtrack, and the stretch in which a later one is heard instead."""

    earlier: Soundtrack
    first: int
    """Sample at which the stretch begins."""
    stop: int
    """Sample at which the earlier soundtrack is alone again."""

    def joined(
        self, earlier: Iterator[NDArray[np.float32]], later: Iterator[NDArray[np.float32]]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield `earlier`, blocks (C, n), with `later` in the stretch; the cross-fades lie inside it."""
        position = 0
        for old, new in zip(earlier, later, strict=True):
            begin, end = max(position, self.first), min(position + old.shape[-1], self.stop)
            if begin < end:
                inside = slice(begin - position, end - position)
                time = np.arange(begin, end)
                ramp = np.minimum(time - self.first + 1, self.stop - time) / (CROSSFADE_SECONDS * OUTPUT_RATE)
                weight = np.minimum(ramp, 1).astype(np.float32)
                old = old.copy()
                old[:, inside] += weight * (new[:, inside] - old[:, inside])
            yield old
            position += old.shape[-1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Soundtrack:
    """Sound for one video, exactly as long as its pictures.

    The parts are kept as the model made them, on disk where they are long, and are resampled, weighed and summed block
    by block when they are written, so that a soundtrack of any length needs little memory.
    """

    video: VideoInfo
    """Where the pictures are."""
    num_samples: int
    """Length at `sample_rate`."""
    generated: Signal
    """(1, S) action and ambience at `model_rate`."""
    model_rate: int
    settings: Settings
    ambience: str
    """Name of the ambient clip that was asked for."""
    action: Signal | None = None
    """(1, S) at `model_rate`: the same seed generated with the quiet ambient clip; None without stems."""
    original: Signal | None = None
    """(C, S) at `sample_rate`: the video's own track, where it is heard."""
    generated_weight: Course | None = None
    """Gain of the generated sound over time at `sample_rate`; None is 1 throughout."""
    original_weight: Course | None = None
    """Gain of the original over time at `sample_rate`; None is 1 throughout."""
    speech: Speech | None = None
    """The transcript as it is spoken, at `sample_rate`; None without one."""
    gain_db: float = 0.0
    """Applied to everything: loudness and the true-peak ceiling."""
    sample_rate: int = OUTPUT_RATE
    watermark: Watermark | None = None
    """The mark in `generated`, `action` and `speech`; None where they carry none."""
    verdict: Verdict | None = None
    """How the take was judged; None where takes are not compared."""
    num_events: int | None = None
    """How many onsets were seen; None of a model that does not say, or is told a list."""
    screening: Screening | None = None
    """Whether the take holds what nobody asked for; None where it was not listened to."""
    quality: QualityReport | None = None
    """What in the pictures made the sound hard to guess; None where nothing could be measured."""
    splice: Splice | None = None
    """Outside a stretch this soundtrack is another one; None where it is its own throughout."""

    @property
    def num_channels(self) -> int:
        return 1 if self.original is None else self.original.shape[0]

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate

    @property
    def root(self) -> Soundtrack:
        """The soundtrack before anything in it was re-rolled; its gain is that of all that was not."""
        return self if self.splice is None else self.splice.earlier.root

    @property
    def stem_names(self) -> tuple[StemName, ...]:
        """Names of the parts whose sum is the soundtrack; empty where stems were not asked for."""
        if self.action is None:
            return ()
        beside: dict[StemName, object] = {"speech": self.speech, "original": self.original}
        return ("action", "ambience", *(name for name, part in beside.items() if part is not None))

    @cached_property
    def waveform(self) -> NDArray[np.float32]:
        """The soundtrack (C, S) in [-1, 1]."""
        return np.concatenate(list(self.blocks()), axis=-1)

    @cached_property
    def stems(self) -> Mapping[str, NDArray[np.float32]]:
        """(C, S) by name; their sum is `waveform`."""
        return {name: np.concatenate(list(self.blocks(name)), axis=-1) for name in self.stem_names}

    def blocks(self, stem: StemName | None = None) -> Iterator[NDArray[np.float32]]:
        """Yield the soundtrack, or one stem of it, as successive blocks (C, n) at `sample_rate`."""
        own = self._own_blocks(stem)
        return own if self.splice is None else self.splice.joined(self.splice.earlier.blocks(stem), own)

    def _own_blocks(self, stem: StemName | None) -> Iterator[NDArray[np.float32]]:
        """Yield blocks as `blocks` does, of what is generated for this soundtrack alone."""
        if stem in ("speech", "original"):
            sources: Iterator[NDArray[np.float32]] = self._silence()
        elif stem is not None and self.action is None:
            raise InputError("this soundtrack was generated without stems; ask for them when generating")
        elif stem == "action":
            sources = self._resampled(self.action)
        elif stem == "ambience":
            assert self.action is not None
            sources = self._resampled(self.generated, minus=self.action)
        else:
            sources = self._resampled(self.generated)
        gain = np.float32(10 ** (self.gain_db / 20))
        original = self.original if stem in (None, "original") else None
        speech = self.speech if stem in (None, "speech") else None
        position = 0
        for block in sources:
            span = slice(position, position + block.shape[-1])
            if self.generated_weight is not None:
                block = block * self.generated_weight(span.start, span.stop)
            block = to_channels(block, self.num_channels)
            if speech is not None:
                block = block + to_channels(speech.between(span.start, span.stop), self.num_channels)
            if original is not None:
                heard = original[:, span]
                weight = self.original_weight
                block = block + (heard if weight is None else heard * weight(span.start, span.stop))
            yield block * gain
            position = span.stop

    def note(self, *, has_pictures: bool) -> Note:
        """Return what the tags of a file with this sound say."""
        return make_note(
            is_composite=has_pictures or self.original is not None,
            watermark=None if self.watermark is None else self.watermark.message,
            content_sha256=None if self.watermark is None else self.watermark.content_sha256,
        )

    def samples_sha256(self) -> str:
        """Return a SHA-256 of the exact samples, channel after channel within each block."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(np.ascontiguousarray(block).tobytes())
        return digest.hexdigest()

    def with_gain(self, gain_db: float) -> Soundtrack:
        """Return the same sound with another total gain."""
        return replace(self, gain_db=gain_db)

    def save(self, path: Path | str, *, overwrite: bool = False, audio_codec: AudioCodec | None = None) -> Path:
        """Write the video with this sound (.mp4, .mov, .mkv, .webm) or the sound alone (.wav, .flac); return the path.

        Pictures are copied packet for packet. The file appears only when it is complete. Raises UsageError when it
        exists and `overwrite` is off, and for another suffix.
        """
        path = Path(path)
        check_outputs([path], inputs=[self.video.path], overwrite=overwrite)
        with all_or_none() as files:
            self.write(files.add(path), audio_codec=audio_codec)
        return path

    def write(self, path: Path, *, audio_codec: AudioCodec | None = None) -> bool:
        """Write to `path` as `save` does, without its checks; return whether picture packets were copied untouched."""
        if path.suffix.lower() in SOUND_SUFFIXES:
            write_waveform(path, self.blocks(), self.sample_rate, note=self.note(has_pictures=False).text())
            return False
        note = self.note(has_pictures=True).text()
        return mux(
            self.video, self.blocks(), self.sample_rate, path, audio_codec=audio_codec, note=note
        ).is_picture_copied

    def write_stem(self, path: Path, stem: StemName) -> None:
        """Write one stem as 32-bit float WAV."""
        note = "" if stem == "original" else self.note(has_pictures=False).text()
        write_waveform(path, self.blocks(stem), self.sample_rate, note=note)

    def _resampled(self, waveform: Signal | None, *, minus: Signal | None = None) -> Iterator[NDArray[np.float32]]:
        """Yield blocks (1, n) at `sample_rate`, `num_samples` in all."""
        assert waveform is not None
        step = BLOCK_SECONDS * self.model_rate
        resampler = StreamResampler(self.model_rate, self.sample_rate, 1)
        remaining = self.num_samples
        for start in range(0, waveform.shape[-1], step):
            piece = waveform[:, start : start + step]
            if minus is not None:
                piece = piece - minus[:, start : start + step]
            is_last = start + step >= waveform.shape[-1]
            ready = resampler.push(piece, last=is_last)
            # The two clocks round the same duration differently by at most two samples.
            ready = fit_length(ready, remaining) if is_last else ready[:, :remaining]
            remaining -= ready.shape[-1]
            yield ready

    def _silence(self) -> Iterator[NDArray[np.float32]]:
        step = BLOCK_SECONDS * self.sample_rate
        for start in range(0, self.num_samples, step):
            yield np.zeros((1, min(step, self.num_samples - start)), np.float32)
