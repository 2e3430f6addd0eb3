"""Give one video file its sound: the one path that command, page, batch and notebook share."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from foleykit.core.progress import Report, no_report
from foleykit.jobs.ambience import BUILT_IN
from foleykit.jobs.load import load
from foleykit.jobs.outputs import all_or_none, check_outputs
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.replay import replayed, warn_of_other_samples
from foleykit.jobs.request import GenerateRequest, RerollRequest
from foleykit.jobs.selection import Selection
from foleykit.jobs.sidecar import Sidecar, read_sidecar
from foleykit.jobs.stages import StageClock
from foleykit.jobs.take_files import TakeFiles, take_files, write_take
from foleykit.jobs.takes import best_of
from foleykit.video.info import VideoInfo
from foleykit.video.output import FORMATS, audio_codec_for, suffix_for
from foleykit.video.probe import probe

__all__ = ["GenerateRequest", "GenerateResult", "RerollRequest", "default_output", "generate"]


@dataclass(frozen=True, kw_only=True)
class GenerateResult:
    """What was made."""

    takes: tuple[TakeFiles, ...]
    seconds: float
    sample_rate: int
    num_samples: int
    ambience: str
    """Name of the ambient clip."""
    num_events: int | None
    """How many onsets were seen; None of a model that does not say, or is told a list."""
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
            "num_events": self.num_events,
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
            num_events = soundtrack.num_events
            del soundtrack
    return GenerateResult(
        takes=tuple(written),
        seconds=num_samples / sample_rate,
        sample_rate=sample_rate,
        num_samples=num_samples,
        ambience=ambience,
        num_events=num_events,
        model=pipeline.description.name,
        timings=clock.timings(),
        selection=selection,
    )


def default_output(video: Path, info: VideoInfo) -> Path:
    """Return `NAME.foley.EXT` beside the video, in the video's own container where that can be written."""
    return video.with_name(f"{video.stem}.foley{suffix_for(info)}")


def inputs_of(request: GenerateRequest) -> Sequence[Path]:
    """Return the files that an output must not replace."""
    files = [request.video, request.replay]
    if request.settings.ambient not in BUILT_IN:
        files.append(Path(request.settings.ambient))
    if request.settings.ambient_library:
        files.append(Path(request.settings.ambient_library))
    return [path for path in files if path is not None]
