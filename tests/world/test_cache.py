from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if find_spec("mujoco") is None:
    pytest.skip("the world needs MuJoCo: pip install 'foleykit[world]'", allow_module_level=True)

from foleykit.core.errors import ConfigError, MediaError, UsageError
from foleykit.world.cache import build_cache, load_cached, open_cache
from foleykit.world.config import WorldConfig
from foleykit.world.stream import make_long_video, stream_world

CONFIG = WorldConfig(seconds=1.0, frame_size=(24, 32))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three training videos, rendered in this process."""
    root = tmp_path_factory.mktemp("cache")
    try:
        build_cache(root, CONFIG, seed=7, split="train", num_videos=3, workers=0)
    except UsageError as error:
        pytest.skip(f"the world cannot be rendered here: {error}")
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_cached_video_is_the_video_the_world_makes(cache):
    cached = load_cached(cache / "train" / "000001")
    fresh = make_long_video(CONFIG, seed=7, index=1, split="train")
    np.testing.assert_array_equal(cached.frames, fresh.take.frames)
    for variant, name in ((0, "action"), (0, "off_screen"), (0, "ambient")):
        stored = getattr(cached.long_video(variant).stems, name)
        np.testing.assert_allclose(stored, getattr(fresh.stems, name), atol=0.51 / 32768)
    assert cached.events == tuple(replace(event, profile=None) for event in fresh.take.events)
    assert cached.place == fresh.take.place
    assert cached.narrations == fresh.take.narrations
    assert cached.gestures == fresh.take.gestures
    assert cached.frames.dtype == np.uint8 and cached.frames.shape == (25, 24, 32, 3)
    assert cached.ambient.dtype == np.int16 and cached.ambient.shape == (3, 16_000)
    assert len(cached.places) == 3


def test_worker_processes_change_nothing(cache, tmp_path):
    build_cache(tmp_path, CONFIG, seed=7, split="train", num_videos=3, workers=2)
    assert contents(tmp_path) == contents(cache)


def test_a_build_goes_on_where_it_was_and_leaves_no_rest(cache, tmp_path):
    build_cache(tmp_path, CONFIG, seed=7, split="train", num_videos=1, workers=0)
    first = tmp_path / "train" / "000000" / "frames.npy"
    written = first.stat().st_mtime_ns
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    killed = tmp_path / "train" / f".000001.{gone.pid}.part"
    killed.mkdir()
    (killed / "frames.npy").write_bytes(b"half")
    seen: list[float] = []
    build_cache(
        tmp_path, CONFIG, seed=7, split="train", num_videos=3, workers=0, report=lambda stage, share: seen.append(share)
    )
    assert first.stat().st_mtime_ns == written
    assert contents(tmp_path) == contents(cache)
    assert seen == pytest.approx([1 / 3, 2 / 3, 1])


def test_another_config_is_refused_in_one_line(cache):
    with pytest.raises(ConfigError, match="another num_ambients, seed;"):
        build_cache(cache, CONFIG, seed=8, split="train", num_videos=1, num_ambients=2, workers=0)
    assert json.loads((cache / "config.json").read_text())["seed"] == 7


def test_what_is_no_cache_is_refused(cache, tmp_path):
    with pytest.raises(MediaError, match="no valid videos"):
        open_cache(cache, "valid")
    with pytest.raises(MediaError, match="not a cached long video"):
        load_cached(tmp_path)
    assert [video.index for video in open_cache(cache, "train", limit=2)] == [0, 1]


def test_splits_do_not_share_places(cache, tmp_path):
    build_cache(cache, CONFIG, seed=7, split="test", num_videos=2, workers=0)
    train, test = ({video.place.seed for video in open_cache(cache, split)} for split in ("train", "test"))
    assert not train & test


def test_workers_of_a_stream_share_the_indices(cache):
    def stream(worker: int, num_workers: int) -> list[tuple[int, bytes]]:
        videos = stream_world(
            CONFIG, seed=7, split="train", worker=worker, num_workers=num_workers, num_videos=3, sample_rate=8000
        )
        return [(video.index, video.stems.mix.tobytes()) for video in videos]

    alone = stream(0, 1)
    assert sorted(stream(0, 2) + stream(1, 2)) == alone
    assert [index for index, _ in alone] == [0, 1, 2]


def test_a_data_loader_yields_every_long_video_once(cache):
    from torch.utils.data import DataLoader

    from foleykit.world.dataset import WorldStream

    dataset = WorldStream(CONFIG, seed=7, split="train", num_videos=2, sample_rate=8000)
    assert [video.index for video in DataLoader(dataset, batch_size=None)] == [0, 1]
    halves = [WorldStream(CONFIG, seed=7, split="train", num_videos=2, rank=rank, world_size=2) for rank in (0, 1)]
    assert [[video.index for video in half] for half in halves] == [[0], [1]]


def test_a_revoicing_has_the_same_moments_in_other_materials(cache, tmp_path):
    build_cache(tmp_path, CONFIG, seed=7, split="train", num_videos=3, num_revoicings=2, workers=0)
    for plain, again in zip(open_cache(cache, "train"), open_cache(tmp_path, "train"), strict=True):
        for name in ("frames", "action", "off_screen", "ambient"):
            np.testing.assert_array_equal(getattr(plain, name), getattr(again, name))
        assert plain.revoiced.shape == (0, 16_000) and again.revoiced.shape == (2, 16_000)
        assert again.heard_events() == plain.events
        for voice in (1, 2):
            heard = again.heard_events(voice)
            for event, other in zip(plain.events, heard, strict=True):
                assert (event.time, event.action, event.body_seed) == (other.time, other.action, other.body_seed)
                assert (event.material != other.material) == event.on_screen
        if any(event.on_screen for event in plain.events) and plain.action.any():
            assert not np.array_equal(again.revoiced[0], plain.action)


def test_a_cache_from_before_revoicings_is_read_and_continued(cache, tmp_path):
    build_cache(tmp_path, CONFIG, seed=7, split="train", num_videos=1, workers=0)
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["num_revoicings"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    described = json.loads((tmp_path / "train" / "000000" / "events.json").read_text())
    del described["revoiced_materials"]
    (tmp_path / "train" / "000000" / "events.json").write_text(json.dumps(described))
    build_cache(tmp_path, CONFIG, seed=7, split="train", num_videos=2, workers=0)
    assert [len(video.revoiced) for video in open_cache(tmp_path, "train")] == [0, 0]
    with pytest.raises(ConfigError, match="another num_revoicings"):
        build_cache(tmp_path, CONFIG, seed=7, split="train", num_videos=2, num_revoicings=1, workers=0)
