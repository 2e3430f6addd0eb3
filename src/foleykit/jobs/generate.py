"""Give one video file its sound: the one path that command, page, batch and notebook share."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import foleykit
from foleykit.audio.voice import Voice
from foleykit.core.errors import MediaError, ModelError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.core.ranges import Reroll
from foleykit.jobs.ambience import BUILT_IN
from foleykit.jobs.credentials import SUFFIXES as SIGNED_SUFFIXES
from foleykit.jobs.credentials import Certificate, sign
from foleykit.jobs.library import clip_sha256
from foleykit.jobs.load import load
from foleykit.jobs.models import describe_model
from foleykit.jobs.outputs import StagedFiles, all_or_none, check_outputs
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.provenance import COMPOSITE
from foleykit.jobs.screening import Screening, Unwanted, unwanted_sounds
from foleykit.jobs.selection import Selection, SelectMode
from foleykit.jobs.sidecar import (
    AmbienceRecord,
    InputRecord,
    ModelRecord,
    OutputRecord,
    Sidecar,
    check_same_file,
    hash_file,
    read_sidecar,
    relative_to,
)
from foleykit.jobs.soundtrack import SOUND_SUFFIXES, Dtype, Settings, Soundtrack, StemName
from foleykit.jobs.speech import record_of
from foleykit.jobs.stages import StageClock
from foleykit.jobs.takes import best_of
from foleykit.video.info import MediaLimits, VideoInfo
from foleykit.video.output import FORMATS, AudioCodec, audio_codec_for, suffix_for
from foleykit.video.probe import probe
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


@dataclass(frozen=True, kw_only=True)
class TakeFiles:
    """What one take wrote."""

    seed: int
    """Of the take, or of the stretch in it that was re-rolled last."""
    output: Path
    sidecar: Path
    screening: Screening | None = None
    """Whether speech or music was heard in it; None where it was not listened to."""
    stems: tuple[Path, ...] = ()
    plot: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.output, *self.stems, *([self.plot] if self.plot else []), self.sidecar)


@dataclass(frozen=True, kw_only=True)
class GenerateResult:
    """What was made."""

    takes: tuple[TakeFiles, ...]
    seconds: float
    sample_rate: int
    num_samples: int
    ambience: str
    """Name of the ambient clip."""
    model: str
    timings: dict[str, float]
    """Seconds by stage."""
    selection: Selection | None = None
    """Why this take, where it was chosen from several."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        takes = [
            {
                "seed": take.seed,
                "output": str(take.output),
                "sidecar": str(take.sidecar),
                "stems": [str(path) for path in take.stems],
                "plot": None if take.plot is None else str(take.plot),
                "screening": None if take.screening is None else asdict(take.screening),
            }
            for take in self.takes
        ]
        return {
            "takes": takes,
            "seconds": self.seconds,
            "sample_rate": self.sample_rate,
            "num_samples": self.num_samples,
            "ambience": self.ambience,
            "model": self.model,
            "timings": self.timings,
            "selection": None if self.selection is None else self.selection.to_dict(),
        }


def generate(
    request: GenerateRequest, *, report: Report = no_report, pipeline: FoleyPipeline | None = None
) -> GenerateResult:
    """Write a soundtrack, or several takes of one, for `request.video`, and everything else that was asked for.

    Of takes from which the best is selected, it alone is written; the others are described and can be made again.

    All files of all takes appear together at the end; on any error nothing is written. `pipeline` is a loaded model to
    use instead of loading `request.model`. Raises UsageError, MediaError or ModelError.
    """
    clock = StageClock(report)
    earlier: Sidecar | None = None
    if request.replay is not None:
        earlier = read_sidecar(request.replay)
        request = replayed(request, earlier)
    assert request.video is not None
    if not request.settings.is_marked:
        warnings.warn("the sound is left unmarked: nothing in it will tell that it was generated", stacklevel=2)
    clock("read", 0)
    info = probe(request.video, request.limits)
    output = request.output or default_output(request.video, info)
    if output.suffix.lower() in FORMATS:
        audio_codec_for(output, request.audio_codec)
    num_written = 1 if request.select == "best" else request.num_takes
    takes = [take_files(output, request, take, num_written) for take in range(num_written)]
    check_outputs(
        [path for take in takes for path in take.paths], inputs=inputs_of(request), overwrite=request.overwrite
    )
    clock("load", 0)
    if pipeline is None:
        pipeline = load(request.model, device=request.device, dtype=request.dtype)
    settings = request.settings
    if request.draws_seed:
        settings = replace(settings, seed=secrets.randbelow(2**31 - request.num_takes))
    written: list[TakeFiles] = []
    selection: Selection | None = None
    with all_or_none() as files:
        soundtracks = pipeline.takes(
            info,
            settings,
            num_takes=request.num_takes,
            is_judged=request.select == "best",
            unwanted=request.unwanted,
            voice=request.voice,
            with_stems=request.writes_stems,
            watermarker=request.watermarker,
            report=clock,
        )
        if request.select == "best":
            best, selection = best_of(soundtracks)
            soundtracks = iter((best,))
        for take, soundtrack in zip(takes, soundtracks, strict=True):
            if earlier is not None:
                warn_of_other_samples(soundtrack, earlier)
            written.append(write_take(take, soundtrack, files, request, pipeline, clock, selection))
            ambience, num_samples, sample_rate = soundtrack.ambience, soundtrack.num_samples, soundtrack.sample_rate
            del soundtrack
    return GenerateResult(
        takes=tuple(written),
        seconds=num_samples / sample_rate,
        sample_rate=sample_rate,
        num_samples=num_samples,
        ambience=ambience,
        model=pipeline.description.name,
        timings=clock.timings(),
        selection=selection,
    )


def write_take(
    take: TakeFiles,
    soundtrack: Soundtrack,
    files: StagedFiles,
    request: GenerateRequest,
    pipeline: FoleyPipeline,
    clock: StageClock,
    selection: Selection | None,
) -> TakeFiles:
    """Write the files of one take under temporary names and return what they will be called."""
    clock("write", 0)
    output = files.add(take.output)
    is_picture_copied = soundtrack.write(output, audio_codec=request.audio_codec)
    is_signed = sign_output(output, take.output.name, soundtrack, request.certificate)
    stems = {stem_path(take.output, name): name for name in soundtrack.stem_names}
    for path, name in stems.items():
        soundtrack.write_stem(files.add(path), name)
    if take.plot is not None:
        from foleykit.jobs.plot import plot

        clock("plot", 0)
        plot(soundtrack, files.add(take.plot))
    clock("write", 1)
    sidecar = describe_take(take, soundtrack, request, pipeline, clock.timings(), is_picture_copied=is_picture_copied)
    finished = replace(sidecar.output, file_sha256=hash_file(output), is_signed=is_signed)
    replace(sidecar, output=finished, selection=selection).save(files.add(take.sidecar))
    return replace(take, seed=soundtrack.settings.last_seed, screening=soundtrack.screening, stems=tuple(stems))


def sign_output(path: Path, title: str, soundtrack: Soundtrack, certificate: Certificate | None) -> bool:
    """Sign the written file where there is a certificate and its container holds credentials; return whether."""
    if certificate is None:
        return False
    if path.suffix.lower() not in SIGNED_SUFFIXES:
        warnings.warn(
            f"{path.suffix} cannot hold content credentials, so the result is not signed; use .mp4 or .mov",
            stacklevel=2,
        )
        return False
    has_pictures = path.suffix.lower() not in SOUND_SUFFIXES
    note = soundtrack.note(has_pictures=has_pictures)
    parent = soundtrack.video.path if note.source_type == COMPOSITE else None
    sign(path, certificate, note, title=title, parent=parent)
    return True


def describe_take(
    take: TakeFiles,
    soundtrack: Soundtrack,
    request: GenerateRequest,
    pipeline: FoleyPipeline,
    timings: dict[str, float],
    *,
    is_picture_copied: bool,
) -> Sidecar:
    """Return the sidecar of one take."""
    folder = take.sidecar.parent
    info = soundtrack.video
    settings = soundtrack.settings
    recording_hash = ""
    if settings.ambient not in BUILT_IN:
        recording_hash = hash_file(Path(settings.ambient))
        settings = replace(settings, ambient=relative_to(Path(settings.ambient), folder))
    if settings.ambient_library:
        recording_hash = clip_sha256(settings.ambient_library, settings.ambient_clip)
        if "://" not in settings.ambient_library:
            settings = replace(settings, ambient_library=relative_to(Path(settings.ambient_library), folder))
    return Sidecar(
        foleykit=foleykit.__version__,
        input=InputRecord(
            path=relative_to(info.path, folder),
            sha256=hash_file(info.path),
            seconds=float(info.duration),
            quality=soundtrack.quality,
        ),
        output=OutputRecord(
            path=take.output.name,
            sample_rate=soundtrack.sample_rate,
            num_samples=soundtrack.num_samples,
            num_channels=soundtrack.num_channels,
            gain_db=soundtrack.root.gain_db,
            samples_sha256=soundtrack.samples_sha256(),
            is_picture_copied=is_picture_copied,
            file_sha256="",
            is_signed=False,
        ),
        model=ModelRecord(
            name=request.model,
            weights_sha256=pipeline.description.weights_sha256,
            licence=pipeline.description.licence,
            device=pipeline.device,
            dtype=pipeline.dtype,
        ),
        settings=settings,
        ambience=AmbienceRecord(name=soundtrack.ambience, sha256=recording_hash),
        audio_codec=request.audio_codec,
        watermark=soundtrack.watermark,
        screening=soundtrack.screening,
        speech=None if soundtrack.speech is None else record_of(soundtrack.speech),
        timings=timings,
    )


def warn_of_other_samples(soundtrack: Soundtrack, earlier: Sidecar) -> None:
    """Warn where what was re-rolled is not, sample by sample, what the sidecar describes."""
    splice = soundtrack.splice
    if splice is None or soundtrack.settings.rerolls == earlier.settings.rerolls:
        return
    if splice.earlier.samples_sha256() != earlier.output.samples_sha256:
        warnings.warn(
            "this machine or these versions do not repeat the earlier result to the last bit; outside the range the "
            "sound is what they make of it",
            stacklevel=2,
        )


def replayed(request: GenerateRequest, sidecar: Sidecar) -> GenerateRequest:
    """Return the request that a sidecar describes, after checking that video, recording and weights are the same."""
    assert request.replay is not None
    folder = request.replay.parent
    video = request.video or folder / sidecar.input.path
    check_same_file(video, sidecar.input.sha256, what="video")
    settings = sidecar.settings
    if settings.ambient not in BUILT_IN:
        recording = folder / settings.ambient
        check_same_file(recording, sidecar.ambience.sha256, what="ambience recording")
        settings = replace(settings, ambient=str(recording))
    if settings.ambient_library:
        if "://" not in settings.ambient_library:
            settings = replace(settings, ambient_library=str(folder / settings.ambient_library))
        if clip_sha256(settings.ambient_library, settings.ambient_clip) != sidecar.ambience.sha256:
            raise MediaError(
                f'clip "{settings.ambient_clip}" of {settings.ambient_library} is not the one that the sidecar was '
                "made with: its SHA-256 differs"
            )
    if sidecar.watermark is not None and sidecar.watermark.key != request.watermarker.name:
        raise UsageError(
            f"the sidecar was made with another watermark ({sidecar.watermark.key}); name its key or AudioSeal's folder"
        )
    if describe_model(sidecar.model.name).weights_sha256 != sidecar.model.weights_sha256:
        raise ModelError(f'model "{sidecar.model.name}" is not the one of the sidecar: its weights differ')
    if request.reroll is not None:
        settings = with_reroll(settings, request.reroll, draws_seed=request.draws_seed)
    return replace(
        request,
        video=video,
        replay=None,
        reroll=None,
        draws_seed=False,
        unwanted=(),
        model=sidecar.model.name,
        settings=settings,
        audio_codec=sidecar.audio_codec,
        device=sidecar.model.device,
        dtype=sidecar.model.dtype,
    )


def with_reroll(settings: Settings, asked: RerollRequest, *, draws_seed: bool) -> Settings:
    """Return `settings` with one more stretch that is made anew."""
    seed = settings.last_seed + 1 if asked.seed is None else asked.seed
    again = Reroll(
        start=asked.start,
        end=asked.end,
        seed=secrets.randbelow(2**31) if draws_seed else seed,
        prompt=asked.prompt,
        negative_prompt=asked.negative_prompt,
    )
    return replace(settings, rerolls=(*settings.rerolls, again))


def default_output(video: Path, info: VideoInfo) -> Path:
    """Return `NAME.foley.EXT` beside the video, in the video's own container where that can be written."""
    return video.with_name(f"{video.stem}.foley{suffix_for(info)}")


def take_files(output: Path, request: GenerateRequest, take: int, num_written: int) -> TakeFiles:
    """Return the names that one take may write; its seed is filled in when it is known."""
    if num_written > 1:
        output = output.with_name(f"{output.stem}.take{take + 1}{output.suffix}")
    return TakeFiles(
        seed=request.settings.seed,
        output=output,
        sidecar=output.with_suffix(".json"),
        stems=tuple(stem_path(output, name) for name in get_args(StemName)) if request.writes_stems else (),
        plot=output.with_suffix(".png") if request.writes_plot else None,
    )


def stem_path(output: Path, name: StemName) -> Path:
    """Return `NAME.action.wav` and the like for the output `NAME.EXT`."""
    return output.with_suffix(f".{name}.wav")


def inputs_of(request: GenerateRequest) -> Sequence[Path]:
    """Return the files that an output must not replace."""
    files = [request.video, request.replay]
    if request.settings.ambient not in BUILT_IN:
        files.append(Path(request.settings.ambient))
    if request.settings.ambient_library:
        files.append(Path(request.settings.ambient_library))
    return [path for path in files if path is not None]
