"""Models by name or folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import foleykit
from foleykit.core.errors import ModelError, UsageError
from foleykit.jobs.load import choose_device, load
from foleykit.jobs.models import describe_model, shipped_models


def test_description_is_read_from_files_alone(debug_model: Path) -> None:
    description = describe_model(debug_model)
    assert description.family == "avldm" and description.licence == "cc0-1.0"
    assert description.num_bytes == sum(path.stat().st_size for path in debug_model.glob("*.safetensors"))
    assert json.dumps(description.to_dict())


def test_every_shipped_model_can_be_described_and_loaded() -> None:
    for name in shipped_models():
        assert describe_model(name).licence != "not stated"
        assert foleykit.load(name).description.name == name


def test_unknown_names_list_what_exists() -> None:
    with pytest.raises(ModelError, match="shipped models: ") as caught:
        load("tiny-avldn")
    assert caught.value.exit_code == 4
    for name in shipped_models():
        assert name in str(caught.value)


@pytest.mark.parametrize("missing", ["config.json", "video.safetensors"])
def test_incomplete_folders_are_refused(debug_model: Path, tmp_path: Path, missing: str) -> None:
    folder = shutil.copytree(debug_model, tmp_path / "model")
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=missing.split(".")[0]):
        load(folder)


def test_a_damaged_config_is_refused(debug_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(debug_model, tmp_path / "model")
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="does not describe a model"):
        load(folder)


def test_changing_any_file_changes_the_hash(debug_model: Path, tmp_path: Path) -> None:
    original = describe_model(debug_model).weights_sha256
    folder = shutil.copytree(debug_model, tmp_path / "debug")
    assert describe_model(folder).weights_sha256 == original
    with (folder / "codec.safetensors").open("ab") as file:
        file.write(b" ")
    assert describe_model(folder).weights_sha256 != original


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "meta"])
def test_absent_devices_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="device"):
        choose_device(name)


def test_downloads_and_odd_dtypes_are_refused(debug_model: Path) -> None:
    with pytest.raises(UsageError, match="only `foley models download` fetches"):
        load(debug_model, local_files_only=False)
    with pytest.raises(UsageError, match="unknown dtype"):
        load(debug_model, dtype="int8")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision_gives_nearly_the_same_sound(debug_model: Path, clip: Path, dtype: str) -> None:
    import numpy as np

    exact = load(debug_model)(clip, num_steps=2)
    rough = load(debug_model, dtype=dtype)(clip, num_steps=2)  # type: ignore[arg-type]
    assert np.isfinite(rough.waveform).all()
    ratio = float(np.sqrt(np.square(rough.waveform).mean() / np.square(exact.waveform).mean()))
    assert 0.5 < ratio < 2
