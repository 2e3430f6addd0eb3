"""The example video, given its sound."""

from __future__ import annotations

from pathlib import Path

import foleykit
from foleykit.core.errors import MediaError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.jobs.generate import GenerateRequest, GenerateResult, generate

EXAMPLE = Path(foleykit.__file__).parent / "examples" / "demo.mp4"


def demo(folder: Path, *, overwrite: bool = False, report: Report = no_report) -> GenerateResult:
    """Generate sound, stems and a plot for the example video into `folder`, which is made where it is missing."""
    if not EXAMPLE.is_file():
        raise MediaError(f"the example video {EXAMPLE.name} is missing from this installation; reinstall foleykit")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from error
    request = GenerateRequest(
        video=EXAMPLE, output=folder / "demo.foley.mp4", writes_stems=True, writes_plot=True, overwrite=overwrite
    )
    return generate(request, report=report)
