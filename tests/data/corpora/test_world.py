from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("mujoco") is None:
    pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'", allow_module_level=True)

from foleykit.core.errors import ConfigError, MediaError
from foleykit.data.corpora import ego4d_sounds
from foleykit.data.corpora.planted import PLANTED_KINDS, planted_sound
from foleykit.data.corpora.world import ExportConfig, export_world, read_truth
from foleykit.data.filtering import filter_clips
from foleykit.data.neighbours import APART
from foleykit.data.pairs import ClipPairs
from foleykit.data.prepare import PrepareConfig, prepare
from foleykit.data.shards import ClipShards
from foleykit.data.span_types import CutConfig
from foleykit.world.config import WorldConfig


@pytest.mark.slow
def test_the_world_goes_through_filter_and_shards(tmp_path):
    """What is planted is dropped, what is good stays, and what stays can be trained on."""
    config = ExportConfig(world=WorldConfig(seconds=12.0, frame_size=(48, 48)), num_videos=2, num_planted=2, seed=3)
    try:
        truths = export_world(tmp_path / "world", config, workers=0)
    except ConfigError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")
    assert read_truth(tmp_path / "world" / "truth.csv").keys() == {truth.clip_id for truth in truths}
    videos = tmp_path / "world" / "videos"
    manifest = ego4d_sounds.scan(tmp_path / "world" / "metadata.csv", videos, is_test_list=True)
    assert not manifest.rejected and not manifest.unknown_columns
    assert [record.clip_id for record in manifest.records] == [truth.clip_id for truth in truths]
    result = filter_clips(manifest, videos, workers=0)
    stages = {verdict.clip_id: verdict.stage for verdict in result.verdicts}
    planted = [truth for truth in truths if truth.kind in PLANTED_KINDS]
    good = [truth for truth in truths if truth.kind == "good"]
    assert len(planted) == 16 and good
    assert sum(stages[truth.clip_id] is not None for truth in planted) >= 15
    assert sum(stages[truth.clip_id] is not None for truth in good) <= 1
    kept = ego4d_sounds.Manifest(records=result.kept)
    prepare(kept, videos, tmp_path / "shards", PrepareConfig(cut=CutConfig(size=(48, 48))), workers=0)
    shards = ClipShards(tmp_path / "shards")
    assert shards.records == result.kept
    pairs = ClipPairs(shards, APART, split="test", num_frames=2)
    assert all(pair.ambient is not None and pair.ambient.shape == pair.waveform.shape for pair in pairs)
    again = export_world(tmp_path / "world", config, workers=0)
    assert again == truths


@pytest.mark.parametrize("kind", PLANTED_KINDS)
def test_planted_sounds_repeat_and_stay_in_their_range(kind):
    one = planted_sound(kind, 24_000, 16_000, np.random.default_rng(1))
    np.testing.assert_array_equal(one, planted_sound(kind, 24_000, 16_000, np.random.default_rng(1)))
    assert one.shape == (24_000,) and one.dtype == np.float32 and np.abs(one).max() <= 0.96
    if kind == "silence":
        assert not one.any()
    else:
        level = 10 * np.log10(np.mean(one.astype(np.float64) ** 2))
        assert (-63.1, -32.1)[kind != "low-energy"] <= level <= (-55.9, -15.9)[kind != "low-energy"]


def test_only_a_truth_table_is_one(tmp_path):
    with pytest.raises(MediaError, match="not a truth table"):
        read_truth(tmp_path / "truth.csv")
    with pytest.raises(ConfigError, match="num_videos"):
        ExportConfig(num_videos=0)
