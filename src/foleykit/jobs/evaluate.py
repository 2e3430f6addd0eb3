"""Score folders of generated sound, and rank several of them: what the command and Python both call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from foleykit.core.errors import UsageError
from foleykit.core.progress import Report as Progress
from foleykit.core.progress import no_report
from foleykit.data.engine import run_step
from foleykit.evaluation.compare import Comparison, System, compare_systems, read_system, system_of
from foleykit.evaluation.media import evaluate_media
from foleykit.evaluation.media_report import MediaReport
from foleykit.evaluation.networks import MaterialNetwork, NetworkName, PairNetwork, SoundNetwork
from foleykit.evaluation.pairing import LeftOut, pair_folders
from foleykit.evaluation.plots import save_plots
from foleykit.evaluation.protocols import PROTOCOLS, MediaProtocol
from foleykit.evaluation.sound_measures import PairMeasures, Task


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """One folder of generated sound, from any system, and how it is scored."""

    generated: Path
    reference: Path
    protocol: MediaProtocol = field(default_factory=MediaProtocol)
    takes: tuple[Path, ...] = ()
    """Folders of further sounds for the same clips."""
    embedding: Path | None = None
    """Folder of a trained material classifier."""
    networks: Path | None = None
    """Folder of the published networks that are there."""
    uses_caches: bool = False
    """Take features from av-benchmark's caches beside the sounds."""
    output: Path | None = None
    """Receives report.json, report.md and pictures."""
    num_workers: int = 1
    """Processes that listen; 0 listens in this one. Figures do not depend on it."""


def evaluate(request: EvaluateRequest, *, progress: Progress = no_report) -> MediaReport:
    """Return the report of one folder, written to the output folder where one is named."""
    report = evaluate_media(
        request.generated,
        request.reference,
        protocol=request.protocol,
        takes=request.takes,
        networks=open_networks(request),
        each=_each(request.num_workers),
        progress=progress,
    )
    if request.output is not None:
        report.save(request.output)
        pairs = pair_folders(request.generated, request.reference, takes=request.takes).pairs
        save_plots(request.output / "plots", report, pairs, request.protocol.measure)
    return report


def open_networks(request: EvaluateRequest) -> dict[NetworkName, SoundNetwork | PairNetwork]:
    """Return the networks that a request names, and the shipped one, by the name that protocols know them by."""
    networks: dict[NetworkName, SoundNetwork | PairNetwork] = {}
    if any(figure.network == "avsync" for figure in PROTOCOLS[request.protocol.name].networks):
        from foleykit.evaluation.sync_network import SyncNetwork

        networks["avsync"] = SyncNetwork.load()
    if request.networks is not None:
        from foleykit.evaluation.published_networks import open_published

        networks |= open_published(request.networks, request.protocol.name)
    if request.uses_caches:
        from foleykit.evaluation.av_benchmark import open_caches

        networks |= open_caches(request.generated, request.reference)
    if request.embedding is not None:
        networks["material"] = MaterialNetwork.load(request.embedding)
    return networks


def compare_reports(folders: Mapping[str, Path], *, is_partial: bool, output: Path | None = None) -> Comparison:
    """Return the comparison of systems whose reports lie in `folders`, by name."""
    return _compared([read_system(name, folder) for name, folder in folders.items()], is_partial, output)


def compare_folders(
    folders: Mapping[str, Path],
    request: Callable[[Path], EvaluateRequest],
    *,
    is_partial: bool,
    output: Path | None = None,
    progress: Progress = no_report,
) -> Comparison:
    """Return the comparison of systems after scoring each folder of sound as `request` says."""
    systems = []
    for name, folder in folders.items():

        def report(stage: str, fraction: float, name: str = name) -> None:
            progress(f"{name} {stage}", fraction)

        systems.append(system_of(name, evaluate(request(folder), progress=report)))
    return _compared(systems, is_partial, output)


def name_systems(words: Sequence[str]) -> dict[str, Path]:
    """Return folders by name from words such as `runs/ours` or `ours=runs/ours`; the name is the folder's by default.

    Raises UsageError when two have one name.
    """
    folders: dict[str, Path] = {}
    for word in words:
        name, separator, path = word.partition("=")
        folder = Path(path if separator else word)
        name = name if separator else folder.resolve().name
        if name in folders:
            raise UsageError(f'two systems are called "{name}"; name them: NAME={folder}')
        folders[name] = folder
    return folders


def _compared(systems: Sequence[System], is_partial: bool, output: Path | None) -> Comparison:
    comparison = compare_systems(systems, is_partial=is_partial)
    if output is not None:
        comparison.save(output)
    return comparison


def _each(
    num_workers: int,
) -> Callable[[Callable[[Task], PairMeasures | LeftOut], Sequence[Task]], Iterable[PairMeasures | LeftOut]]:
    return partial(run_step, engine="local", workers=num_workers)
