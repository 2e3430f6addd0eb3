"""What a user asks of a generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from foleykit.audio.voice import Voice
from foleykit.core.errors import UsageError
from foleykit.jobs.credentials import Certificate
from foleykit.jobs.screening import Unwanted, unwanted_sounds
from foleykit.jobs.selection import SelectMode
from foleykit.jobs.soundtrack import SOUND_SUFFIXES, Dtype, Settings
from foleykit.video.info import MediaLimits
from foleykit.video.output import FORMATS, AudioCodec
from foleykit.watermark import PUBLIC_WATERMARKER, Watermarker

DRAW_SEED = -1
UNWANTED = unwanted_sounds(speech=False, music=True)
"""What is kept out of every result unless a user says otherwise."""


@dataclass(frozen=True, kw_only=True)
class RerollRequest:
    """What a user asks of a stretch of an earlier result."""

    start: float
    end: float
    """Seconds of the video."""
    seed: int | None = None
    """None is one more than the last that the earlier result was made with."""
    prompt: str = ""
    negative_prompt: str = ""
    """Empty prompts are those of the earlier result."""


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """What a user asks for."""

    video: Path | None = None
    """May be None only with `replay`."""
    output: Path | None = None
    """A video or a sound file; None is `NAME.foley.EXT` beside the video."""
    model: str = "tiny-avldm"
    """A shipped model or a model folder."""
    settings: Settings = field(default_factory=Settings)
    draws_seed: bool = False
    """Ignore `settings.seed`, or that of `reroll`, and draw one."""
    num_takes: int = 1
    """Results with successive seeds; where several are written they are named `.take1`, `.take2`..."""
    select: SelectMode = "all"
    """Write every take, or only the one that agrees best with the pictures."""
    unwanted: tuple[Unwanted, ...] = UNWANTED
    """A take in which one of these is heard is made again, under another seed."""
    voice: Voice | None = None
    """Speaks the transcript; None is espeak-ng."""
    writes_stems: bool = False
    writes_plot: bool = False
    audio_codec: AudioCodec | None = None
    """None is the container's usual one."""
    replay: Path | None = None
    """A sidecar whose generation is repeated: model, settings, device and precision come from it."""
    reroll: RerollRequest | None = None
    """Stretch of what `replay` describes that is made anew; everything outside it stays, sample by sample."""
    watermarker: Watermarker = PUBLIC_WATERMARKER
    certificate: Certificate | None = None
    """Signs results in containers that hold content credentials; None leaves them unsigned."""
    limits: MediaLimits = field(default_factory=MediaLimits)
    device: str = "cpu"
    dtype: Dtype = "float32"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.video is None and self.replay is None:
            raise UsageError("name a video (or a sidecar with --replay)")
        if not 1 <= self.num_takes <= 1000:
            raise UsageError(f"num_takes lies between 1 and 1000, not {self.num_takes}")
        if self.select == "best" and self.num_takes < 2:
            raise UsageError("the best is chosen from several takes; name their number with --num-takes")
        if self.output is not None and self.output.suffix.lower() not in (*FORMATS, *SOUND_SUFFIXES):
            known = ", ".join((*FORMATS, *SOUND_SUFFIXES))
            raise UsageError(f"{self.output}: an output ends in one of {known}")
        if self.reroll is not None and self.replay is None:
            raise UsageError("a range is re-rolled of an earlier result; name its sidecar with --replay")
        changes_sound = self.settings != Settings() or self.num_takes != 1 or self.unwanted != UNWANTED
        draws_seed = self.draws_seed and self.reroll is None
        if self.replay is not None and (changes_sound or draws_seed):
            raise UsageError("a replay takes its settings from the sidecar; leave out seeds, takes and sound options")
