"""FoleyGen's recipe on prepared clips, at debug size: coded once, trained, resumed, and then a model that generates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures.audiocraft import write_codec_file
from fixtures.foleygen import write_foleygen
from foleykit.core.errors import ConfigError, InputError, ModelError, UsageError
from foleykit.data.corpora import folder
from foleykit.data.prepare import PrepareConfig, prepare
from foleykit.data.shards import ClipShards
from foleykit.data.span_types import CutConfig
from foleykit.jobs.convert_codec import CodecRequest, convert_codec
from foleykit.models.foleygen.pipeline import FoleyGenPipeline
from foleykit.recipes.foleygen_shards import ShardTrainArgs, assemble, code_shards, paper_training, train_foleygen
from foleykit.video.encode import write_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a video of five seconds: its brightness says the second, its sound is noise."""
    place = tmp_path_factory.mktemp("videos")
    pictures = (np.full((32, 32, 3), 50 * (index // 25), np.uint8) for index in range(125))
    sound = 0.1 * np.random.default_rng(0).standard_normal((1, 5 * 48_000)).astype(np.float32)
    write_video(place / "one.mp4", pictures, 25, sound, 48_000)
    return place


def prepared(videos: Path, output: Path, *, size: int = 32, sample_rate: int = 16_000) -> Path:
    manifest = folder.scan(videos, split="train", clip_seconds=2.0)
    config = PrepareConfig(cut=CutConfig(size=(size, size), sample_rate=sample_rate))
    assert prepare(manifest, videos, output, config, workers=0).num_clips == 2
    return output


def test_clips_are_coded_once_trained_on_and_the_folder_becomes_a_model(videos: Path, tmp_path: Path) -> None:
    parts = write_foleygen(tmp_path / "parts")
    (parts / "lm.safetensors").unlink()
    shards = prepared(videos, tmp_path / "shards")
    args = ShardTrainArgs(
        parts=parts,
        shards=shards,
        held_out=shards,
        output=tmp_path / "run",
        training=replace(paper_training(), num_steps=3, warmup_steps=1, bf16=False, validate_every=3),
        batch_size=2,
    )
    assert train_foleygen(args) == parts
    model = FoleyGenPipeline.load(parts)
    assert model([np.zeros((25, 32, 32, 3), np.uint8)], num_samples=16_000).shape == (1, 16_000)

    stored = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.tar")}
    coded = code_shards(shards, parts)
    assert {path.name: path.stat().st_mtime_ns for path in shards.glob("*.tar")} == stored
    waveform, _ = ClipShards(shards).waveform(0)
    batch = coded.batch([0, 1], "cpu")
    assert batch.codes.shape == (2, 4, 100) and batch.video.shape == (2, 2, 32)
    with torch.inference_mode():
        assert torch.equal(batch.codes[:1], model.codec.encode(torch.from_numpy(waveform)[None, None]))


def test_pictures_are_those_of_the_start_of_each_interval(videos: Path, tmp_path: Path) -> None:
    shards = ClipShards(prepared(videos, tmp_path / "shards"))
    levels = shards.frames_at(0, [0, 24, 25, 49]).mean(axis=(1, 2, 3)).round(-1)
    assert levels.tolist() == [0, 0, 50, 50]


def test_clips_that_do_not_fit_are_refused(videos: Path, tmp_path: Path) -> None:
    parts = write_foleygen(tmp_path / "parts")
    with pytest.raises(InputError, match="at 22050 Hz, the codec at 16000"):
        code_shards(prepared(videos, tmp_path / "rate", sample_rate=22_050), parts)
    with pytest.raises(InputError, match="--size 32"):
        code_shards(prepared(videos, tmp_path / "size", size=64), parts)


def test_the_paper_is_the_default() -> None:
    training = paper_training()
    assert (training.num_steps, training.warmup_steps, training.learning_rate) == (20_000, 4000, 1e-4)
    assert training.learning_rate_at(3999) == pytest.approx(1e-4) and training.learning_rate_at(19_999) < 1e-10
    assert training.learning_rate_at(11_999) == pytest.approx(0.5e-4)


def test_parts_that_do_not_make_the_papers_model_are_refused(tmp_path: Path) -> None:
    codec = tmp_path / "codec"
    convert_codec(CodecRequest(source=write_codec_file(tmp_path / "file.bin"), output=codec))
    with pytest.raises(UsageError, match="exists"):
        assemble(codec, tmp_path / "clip", codec)
    with pytest.raises(ConfigError, match="4 codebooks of 16, the language model 4 of 2048"):
        assemble(codec, tmp_path / "clip", tmp_path / "parts")
    with pytest.raises(ModelError, match="no config"):
        assemble(tmp_path / "nothing", tmp_path / "clip", tmp_path / "parts")
