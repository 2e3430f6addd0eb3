"""A folder of real videos through one model with one setting, and how its sounds agree with the recorded ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from foleykit.core.config import load_config, save_config
from foleykit.core.errors import UsageError
from foleykit.core.progress import Report as Progress
from foleykit.core.progress import no_report
from foleykit.evaluation.real import RealProtocol, evaluate_real, recorded_videos
from foleykit.evaluation.report import Report
from foleykit.evaluation.visual_impacts import VisualImpactConfig
from foleykit.jobs.generate import GenerateRequest, generate
from foleykit.jobs.load import load
from foleykit.jobs.models import describe_model
from foleykit.jobs.soundtrack import Settings
from foleykit.video.probe import probe


@dataclass(frozen=True, kw_only=True)
class MadeOf:
    """What the sounds in a folder were made by; made.json beside them says it."""

    weights_sha256: str
    settings: Settings


@dataclass(frozen=True, kw_only=True)
class RealFootageRequest:
    videos: Path
    """Folder of videos; `recorded_videos` says which of them count."""
    output: Path
    """Receives one WAV per video; those that the same model made under the same settings are not made again."""
    model: str = "tiny-avldm"
    settings: Settings = field(default_factory=lambda: Settings(ambient="quiet"))
    device: str = "cpu"
    with_flow: bool = True
    """Add what optical flow alone would give; needs OpenCV."""


def real_footage(request: RealFootageRequest, progress: Progress = no_report) -> Report:
    """Return how generated onsets and levels agree with those recorded, by video and in all, beside chance.

    Every video is generated for with the same settings, in the order of their names. Raises MediaError when fewer than
    two can be compared and UsageError when OpenCV is wanted and missing, or when the folder holds other sounds.
    """
    videos = recorded_videos(request.videos)
    claim_folder(request)
    made = {path: request.output / f"{path.stem}.wav" for path in videos}
    missing = {path: sound for path, sound in made.items() if not sound.is_file()}
    if missing:
        pipeline = load(request.model, device=request.device)
        for done, (path, sound) in enumerate(missing.items()):
            progress("generate", done / len(missing))
            if probe(path).has_audio:
                generate(
                    GenerateRequest(
                        video=path, output=sound, model=request.model, settings=request.settings, device=request.device
                    ),
                    pipeline=pipeline,
                )
        progress("generate", 1.0)
    protocol = replace(RealProtocol(), impacts=VisualImpactConfig() if request.with_flow else None)
    return evaluate_real(videos, request.output, protocol=protocol, progress=progress)


def claim_folder(request: RealFootageRequest) -> None:
    """Make the folder of the sounds, or raise UsageError when it holds those of another model or other settings."""
    made = MadeOf(weights_sha256=describe_model(request.model).weights_sha256, settings=request.settings)
    path = request.output / "made.json"
    fits = load_config(MadeOf, path) == made if path.is_file() else not any(request.output.glob("*.wav"))
    if not fits:
        raise UsageError(f"{request.output} holds sounds of another model or other settings; name another folder")
    request.output.mkdir(parents=True, exist_ok=True)
    save_config(made, path)


COLUMNS = {
    "f1_100ms": "generated",
    "f1_100ms_shifted": "shifted",
    "f1_100ms_other": "of others",
    "f1_100ms_flow": "flow",
    "f1_100ms_flow_shifted": "flow shifted",
    "envelope_correlation": "envelope",
}


def video_lines(report: Report) -> tuple[list[str], list[list[str]]]:
    """Return column headings and one line per video, its name first, of what `real_footage` found."""
    videos = report.protocol["videos"]
    columns = [column for column in COLUMNS if all(column in figures for figures in videos.values())]
    lines = [[name, *(f"{figures[column]:.2f}" for column in columns)] for name, figures in videos.items()]
    return [COLUMNS[column] for column in columns], lines
