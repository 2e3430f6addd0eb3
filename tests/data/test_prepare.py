from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from foleykit.core.errors import ConfigError, InputError, MediaError
from foleykit.data.engine import run_step
from foleykit.data.manifest import Manifest
from foleykit.data.prepare import PrepareConfig, prepare
from foleykit.data.shards import ClipShards, cache_values, cached_path, frame_indices, read_shard
from foleykit.data.span_types import CutConfig

SMALL = PrepareConfig(cut=CutConfig(size=(64, 64)), clips_per_shard=3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, long_video, make_long_video, make_record) -> tuple[Path, Manifest]:
    """Return a folder of three videos, one of them corrupt, and a manifest of seven clips."""
    folder = tmp_path_factory.mktemp("corpus")
    shutil.copy(long_video, folder / "a.mp4")
    make_long_video(folder / "b.mp4", seconds=8.0)
    (folder / "c.mp4").write_bytes(long_video.read_bytes()[:3000])
    records = (
        *(make_record(f"a_{index}", start, video="a") for index, start in enumerate((0.0, 2.0, 6.3))),
        *(make_record(f"b_{index}", start, video="b") for index, start in enumerate((4.0, 1.0, 6.9))),
        make_record("c_0", 1.0, video="c"),
    )
    return folder, Manifest(records=records)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "report.json"}


def test_every_clip_is_in_a_shard_or_on_the_list(corpus, tmp_path):
    videos, manifest = corpus
    result = prepare(manifest, videos, tmp_path / "out", SMALL, workers=0)
    assert result.num_clips + len(result.rejected) == len(manifest.records)
    assert result.counts() == {"corrupt-video": 1, "sound-missing": 1}
    assert result.corrupt_videos == ("c.mp4",)
    shards = ClipShards(tmp_path / "out")
    assert [clip.record.clip_id for clip in shards] == ["a_0", "a_1", "a_2", "b_0", "b_1"]
    assert shards.records == tuple(manifest.records[index] for index in (0, 1, 2, 3, 4))
    waveform, rate = shards.waveform(3)
    assert (waveform.shape, rate) == ((48_000,), 16_000)
    assert np.flatnonzero(np.abs(waveform) > 0.3)[0] == pytest.approx(0.4 * 16_000, abs=32)
    assert shards.frames(3, 16).shape == (16, 64, 64, 3)
    assert shards.levels_db[3] == pytest.approx(20 * np.log10(np.sqrt(np.mean(waveform**2))), abs=0.05)
    listed = (tmp_path / "out" / "rejected.csv").read_text()
    assert "b_2,sound-missing" in listed and "c_0,corrupt-video" in listed
    assert json.loads((tmp_path / "out" / "report.json").read_text())["num_clips"] == 5


def test_a_webdataset_reader_finds_whole_samples(corpus, tmp_path):
    videos, manifest = corpus
    prepare(manifest, videos, tmp_path, SMALL, workers=0)
    samples = dict(read_shard(tmp_path / "shard-000000.tar"))
    assert list(samples) == ["a_0", "a_1", "a_2"]
    assert all(set(members) == {"mp4", "flac", "json"} for members in samples.values())
    assert json.loads(samples["a_0"]["json"])["clip_id"] == "a_0"
    shards = ClipShards(tmp_path)
    assert all(shards.member(index, "mp4") == samples[shards[index].record.clip_id]["mp4"] for index in range(3))
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    read = list(webdataset.WebDataset(str(tmp_path / "shard-000000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in read] == ["a_0", "a_1", "a_2"]
    assert all(sample["flac"] == samples[sample["__key__"]]["flac"] for sample in read)


def test_shards_do_not_depend_on_the_number_of_processes(corpus, tmp_path):
    videos, manifest = corpus
    prepare(manifest, videos, tmp_path / "one", SMALL, workers=0)
    prepare(manifest, videos, tmp_path / "two", SMALL, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'foleykit[cluster]'")
def test_ray_gives_identical_shards(corpus, tmp_path):
    videos, manifest = corpus
    prepare(manifest, videos, tmp_path / "local", SMALL, workers=0)
    prepare(manifest, videos, tmp_path / "ray", SMALL, engine="ray", workers=2)
    assert contents(tmp_path / "local") == contents(tmp_path / "ray")


def test_a_finished_shard_is_not_made_again(corpus, tmp_path):
    videos, manifest = corpus
    whole = prepare(manifest, videos, tmp_path, SMALL, workers=0)
    before = contents(tmp_path)
    (tmp_path / "shard-000001.json").unlink()
    (tmp_path / "index.jsonl").unlink()
    kept = (tmp_path / "shard-000000.tar").stat().st_mtime_ns
    again = prepare(manifest, videos, tmp_path, SMALL, workers=0)
    assert (again.num_resumed, again.num_clips, again.rejected) == (
        whole.num_shards - 1,
        whole.num_clips,
        whole.rejected,
    )
    assert (tmp_path / "shard-000000.tar").stat().st_mtime_ns == kept
    assert contents(tmp_path) == before


def test_a_killed_run_goes_on_to_the_same_result(corpus, tmp_path):
    videos, manifest = corpus
    program = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "from foleykit.data.prepare import prepare\n"
        "manifest, videos, folder, config = pickle.loads(sys.stdin.buffer.read())\n"
        "prepare(manifest, videos, folder, config, workers=0)\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": ""}
    )
    assert killed.stdin is not None
    killed.stdin.write(pickle.dumps((manifest, videos, tmp_path / "killed", SMALL)))
    killed.stdin.close()
    for _ in range(600):
        if (tmp_path / "killed" / "shard-000000.tar").exists() or killed.poll() is not None:
            break
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    prepare(manifest, videos, tmp_path / "killed", SMALL, workers=0)
    prepare(manifest, videos, tmp_path / "whole", SMALL, workers=0)
    left = {name: data for name, data in contents(tmp_path / "killed").items() if not name.endswith(".part")}
    assert left == contents(tmp_path / "whole")


def test_another_manifest_or_config_is_refused(corpus, tmp_path):
    videos, manifest = corpus
    prepare(manifest, videos, tmp_path, SMALL, workers=0)
    with pytest.raises(ConfigError, match="another clips_sha256"):
        prepare(Manifest(records=manifest.records[:6]), videos, tmp_path, SMALL, workers=0)
    with pytest.raises(ConfigError, match="another config"):
        prepare(manifest, videos, tmp_path, PrepareConfig(clips_per_shard=3), workers=0)


def test_a_corrupt_video_stops_the_run_when_asked_to(corpus, tmp_path):
    videos, manifest = corpus
    strict = PrepareConfig(cut=SMALL.cut, clips_per_shard=3, on_error="stop")
    with pytest.raises(MediaError, match=r"c\.mp4"):
        prepare(manifest, videos, tmp_path, strict, workers=0)
    # The policy is no part of what shards hold: the same folder can be finished under the other one.
    assert prepare(manifest, videos, tmp_path, SMALL, workers=0).num_resumed == 2


def test_later_steps_store_values_beside_a_shard(corpus, tmp_path):
    videos, manifest = corpus
    prepare(manifest, videos, tmp_path, SMALL, workers=0)
    shards = ClipShards(tmp_path)

    def encode(shards: ClipShards, positions: Sequence[int]) -> Iterator[np.ndarray]:
        for position in positions:
            yield np.full((4, 16, 24), shards.waveform(position)[0].max(), np.float32)

    assert cache_values(shards, "latents", encode) == 2
    assert cache_values(shards, "latents", encode) == 0
    assert [cache_values(shards, "shared", encode, part=part, num_parts=2) for part in (0, 1)] == [1, 1]
    cached_path(tmp_path / "shard-000001.tar", "latents").unlink()
    assert cache_values(ClipShards(tmp_path), "latents", encode) == 1
    for index in range(len(shards)):
        assert shards.cached(index, "latents")[0, 0, 0] == shards.waveform(index)[0].max()
    assert next(read_shard(tmp_path / "shard-000000.latents.tar"))[0] == "a_0"
    with pytest.raises(MediaError, match='no cached "features"'):
        shards.cached(0, "features")


def test_damage_is_named(corpus, tmp_path):
    videos, manifest = corpus
    with pytest.raises(MediaError, match="run `foley data prepare` to its end"):
        ClipShards(tmp_path)
    prepare(manifest, videos, tmp_path, SMALL, workers=0)
    shards = ClipShards(tmp_path)
    path = tmp_path / "shard-000000.tar"
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(MediaError, match="shorter than its index says"):
        shards.waveform(2)
    with pytest.raises(MediaError, match="not a whole shard"):
        list(read_shard(path))
    with pytest.raises(InputError, match="no clip to prepare"):
        prepare(Manifest(records=()), videos, tmp_path / "empty", SMALL)


def test_frames_are_chosen_as_published():
    assert frame_indices(90, 16) == [0, 5, 11, 17, 23, 29, 35, 41, 47, 53, 59, 65, 71, 77, 83, 89]
    assert frame_indices(10, 16) == [0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 6, 6, 7, 7, 8, 9]


def test_members_are_plain_files_in_a_tar(corpus, tmp_path):
    videos, manifest = corpus
    prepare(manifest, videos, tmp_path, SMALL, workers=0)
    with tarfile.open(tmp_path / "shard-000000.tar") as tar:
        assert all(info.isfile() and info.mtime == 0 and info.uid == 0 for info in tar)


def test_results_come_in_order_and_errors_come_through():
    double = partial(np.multiply, 2)
    assert list(run_step(double, list(range(20)), workers=2)) == list(range(0, 40, 2))
    with pytest.raises(ValueError, match="invalid literal"):
        list(run_step(int, ["1", "x"], workers=1))
