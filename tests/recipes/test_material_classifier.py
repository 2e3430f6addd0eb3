"""The classifier of materials trains from one command on the world, and is loaded by what judges with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from foleykit.cli.main import main
from foleykit.evaluation.material_classifier import MaterialClassifier
from recipes.test_avldm_world import renders  # noqa: F401


def test_one_command_trains_it(
    tmp_path: Path,
    renders: None,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--data", str(tmp_path / "world"), "--num-videos", "2", "--workers", "1", "--num-steps", "2", "--json"]
    folders = []
    for seed in ("1", "2", "1"):
        folder = tmp_path / f"run{len(folders)}"
        with pytest.raises(SystemExit) as ended:
            main(["train", "material-classifier", *arguments, "--seed", seed, "-o", str(folder)])
        assert ended.value.code in (0, None)
        assert json.loads(capsys.readouterr().out)["folders"] == [str(folder)]
        folders.append(MaterialClassifier.load(folder))
    first, other, again = (torch.cat([value.flatten() for value in model.state_dict().values()]) for model in folders)
    assert torch.equal(first, again) and not torch.equal(first, other)
