from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("mujoco") is None:
    pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'", allow_module_level=True)

from foleykit.cli.world import CacheArgs, PreviewArgs, run_cache, run_preview
from foleykit.core.errors import ConfigError, UsageError
from foleykit.world.config import WorldConfig


def test_build_renders_the_split_and_says_where(tmp_path, capsys):
    args = CacheArgs(folder=tmp_path, num_videos=1, seconds=1.0, size=16, workers=1, json=True, quiet=True)
    try:
        run_cache(args)
    except ConfigError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")
    assert json.loads(capsys.readouterr().out) == {"folder": str(tmp_path / "train"), "num_videos": 1}
    assert (tmp_path / "train" / "000000" / "audio.npy").is_file()


def test_a_cache_is_what_a_training_reads() -> None:
    assert CacheArgs(folder=Path("cache")).seconds == WorldConfig().seconds


def test_preview_does_not_replace_files(tmp_path):
    (tmp_path / "world-test-5-000002.png").touch()
    with pytest.raises(UsageError, match="--overwrite"):
        run_preview(PreviewArgs(folder=tmp_path, split="test", seed=5, index=2, quiet=True))
    assert len(list(tmp_path.iterdir())) == 1
