from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("mujoco") is None:
    pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'", allow_module_level=True)

from foleykit.audio.files import read_waveform
from foleykit.core.errors import UsageError
from foleykit.world.config import WorldConfig
from foleykit.world.preview import preview

CONFIG = WorldConfig(seconds=2.0, frame_size=(32, 32))


def test_a_preview_is_a_movie_whose_sound_is_the_sum_of_its_stems(tmp_path):
    try:
        result = preview(CONFIG, tmp_path / "new", seed=3, index=1)
    except UsageError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in result.files)
    stems = [read_waveform(path)[0] for path in result.stems]
    movie, rate = read_waveform(result.video)
    assert rate == 48_000 and {stem.shape for stem in stems} == {(1, 96_000)}
    mix = sum(stems)
    error = movie[:1, :96_000] - mix[:, : movie.shape[1]]
    assert np.square(error).mean() < 0.1 * np.square(mix).mean()
    described = json.loads(result.description.read_text())
    assert described["place"] and isinstance(described["events"], list)
    with pytest.raises(UsageError, match="--overwrite"):
        preview(CONFIG, tmp_path / "new", seed=3, index=1)
