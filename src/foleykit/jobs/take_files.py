"""The files of one take: what they are called, what is written to them, and the sidecar that describes it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import foleykit
from foleykit.jobs.ambience import BUILT_IN
from foleykit.jobs.credentials import SUFFIXES as SIGNED_SUFFIXES
from foleykit.jobs.credentials import Certificate, sign
from foleykit.jobs.library import clip_sha256
from foleykit.jobs.outputs import StagedFiles
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.provenance import COMPOSITE
from foleykit.jobs.request import GenerateRequest
from foleykit.jobs.screening import Screening
from foleykit.jobs.selection import Selection
from foleykit.jobs.sidecar import (
    AmbienceRecord,
    InputRecord,
    ModelRecord,
    OutputRecord,
    Sidecar,
    hash_file,
    relative_to,
)
from foleykit.jobs.soundtrack import SOUND_SUFFIXES, Soundtrack, StemName
from foleykit.jobs.speech import record_of
from foleykit.jobs.stages import StageClock


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
