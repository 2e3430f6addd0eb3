"""Generating for a folder of unusual and damaged files: a right result, or one clear line and nothing written.

The folder is named by the environment variable FOLEYKIT_MEDIA, or is `../shared/media` beside the repository.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from foleykit.core.errors import MediaError
from foleykit.jobs.generate import GenerateRequest, default_output, generate
from foleykit.jobs.load import load
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.soundtrack import Settings
from foleykit.video.mux import packet_hashes
from foleykit.video.probe import probe

ROOT = Path(os.environ.get("FOLEYKIT_MEDIA", Path(__file__).parents[3] / "shared" / "media"))
ODD = sorted(path for path in (ROOT / "odd").glob("*") if path.suffix != ".csv")
# Their pictures cost minutes to decode or to encode again; `tests/video` reads them in part.
TOO_LONG = {"long_6min_av1.mp4"}

pytestmark = pytest.mark.skipif(not ODD, reason=f"the folder of real recordings, {ROOT}, is absent")


@pytest.fixture(scope="module")
def pipeline(debug_model: Path) -> FoleyPipeline:
    return load(debug_model)


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in ODD if path.name not in TOO_LONG], ids=lambda path: path.name)
def test_odd_files_are_voiced_or_refused(path: Path, tmp_path: Path, pipeline: FoleyPipeline) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            info = probe(path)
            output = tmp_path / default_output(path, info).name
            request = GenerateRequest(video=path, output=output, settings=Settings(num_steps=1, original="keep"))
            result = generate(request, pipeline=pipeline)
        except MediaError as error:
            assert path.name in str(error) and "\n" not in str(error)
            assert list(tmp_path.iterdir()) == []
            return
        assert result.num_samples == round(info.duration * 48_000)
        assert abs(probe(output).duration - info.duration) < 0.1
    if output.suffix == path.suffix and not (info.has_hidden_start or info.has_hidden_end):
        assert packet_hashes(output) == packet_hashes(path)
