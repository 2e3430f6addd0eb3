"""Action2Sound's recipe on prepared clips, at debug size: encoded once, two epochs, resumed, a model that generates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.codecs.hifigan import HifiGan
from foleykit.core.checkpoint import load_tensors, save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import InputError
from foleykit.data.corpora import folder
from foleykit.data.manifest import Manifest
from foleykit.data.neighbours import APART, Apart, NeighbourAmbient, NoAmbient
from foleykit.data.prepare import PrepareConfig, prepare
from foleykit.data.shards import ClipShards
from foleykit.data.span_types import CutConfig
from foleykit.encoders.visual.timesformer import TimeSformer
from foleykit.models.avldm.published.network import Conditioner, Denoiser, PictureVae
from foleykit.models.avldm.published.objective import Action2SoundBatch, NoiseObjective, TrainedParts
from foleykit.models.avldm.published.pipeline import Action2SoundPipeline
from foleykit.models.avldm.published.presets import debug
from foleykit.recipes.action2sound_ego4d import (
    Action2SoundTrainArgs,
    Encoder,
    EpochBatches,
    paper_training,
    train_action2sound,
)
from foleykit.video.encode import write_video

pytest.importorskip("diffusers")

CONFIG = debug()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder of debug size with random weights."""
    place = tmp_path_factory.mktemp("parts")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        modules = {
            "vae": PictureVae(CONFIG.vae),
            "denoiser": Denoiser(CONFIG.unet),
            "conditioner": Conditioner(CONFIG),
            "video": TimeSformer(CONFIG.video),
            "vocoder": HifiGan(CONFIG.hifigan),
        }
    for name, module in modules.items():
        save_weights(module, place / f"{name}.safetensors")
    save_config(CONFIG, place / "config.json")
    return place


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return prepared clips of 3 s: four of a long video to train on, three of another that is held out."""
    videos, output = tmp_path_factory.mktemp("videos"), tmp_path_factory.mktemp("shards") / "clips"
    for name, seconds in (("one.mp4", 12), ("two.mp4", 9)):
        rng = np.random.default_rng(seconds)
        pictures = (rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(25 * seconds))
        sound = 0.1 * rng.standard_normal((1, seconds * 48_000)).astype(np.float32)
        write_video(videos / name, pictures, 25, sound, 48_000)
    manifest = folder.scan(videos, split="train", clip_seconds=3.0)
    records = tuple(
        replace(record, split="valid" if record.path == "two.mp4" else "train") for record in manifest.records
    )
    config = PrepareConfig(cut=CutConfig(size=(32, 32), sample_rate=16_000))
    assert prepare(Manifest(records=records), videos, output, config, workers=0).num_clips == 7
    return output


def test_two_epochs_train_what_is_trained_and_a_killed_run_goes_on(parts: Path, shards: Path, tmp_path: Path) -> None:
    training = replace(paper_training(4, num_epochs=2, batch_size=2), warmup_steps=1, checkpoint_every=2)
    assert training.num_steps == 4
    args = Action2SoundTrainArgs(
        parts=parts, shards=shards, ambient=APART, output=tmp_path / "run", training=training, batch_size=2
    )
    assert train_action2sound(args) == tmp_path / "run"
    half = replace(args, output=tmp_path / "half", training=replace(training, num_steps=2))
    train_action2sound(half)
    train_action2sound(replace(half, training=training))
    whole, resumed = (load_tensors(tmp_path / name / "denoiser.safetensors") for name in ("run", "half"))
    start = load_tensors(parts / "denoiser.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not all(torch.equal(whole[name], start[name]) for name in whole)
    before, after = (load_tensors(place / "conditioner.safetensors") for place in (parts, tmp_path / "run"))
    assert not torch.equal(before["ambient.0.weight"], after["ambient.0.weight"])
    assert torch.equal(before["no_ambient"], after["no_ambient"])
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    measured = [line for line in lines if "valid/loss" in line]
    assert measured and {"valid/loss_other_video", "valid/loss_other_ambience"} <= measured[-1].keys()

    model = tmp_path / "model"
    model.mkdir()
    for path in parts.iterdir():
        trained = tmp_path / "run" / path.name
        (model / path.name).write_bytes((trained if trained.is_file() else path).read_bytes())
    pipeline = Action2SoundPipeline.load(model)
    features = pipeline.encode([np.zeros((90, 32, 32, 3), np.uint8)])
    ambient = np.full((1, 48_000), 0.01, np.float32)
    assert pipeline.generate(features, num_samples=48_000, ambient=ambient, num_steps=2).shape == (1, 48_000)


def test_the_ambience_of_the_released_code_stays_as_it_was(parts: Path, shards: Path, tmp_path: Path) -> None:
    training = replace(paper_training(4, num_epochs=1, batch_size=2), warmup_steps=1)
    args = Action2SoundTrainArgs(
        parts=parts,
        shards=shards,
        ambient=APART,
        output=tmp_path,
        training=training,
        batch_size=2,
        trains_ambient=False,
        checkpoints_gradients=True,
    )
    train_action2sound(args)
    before, after = (load_tensors(place / "conditioner.safetensors") for place in (parts, tmp_path))
    assert torch.equal(before["ambient.0.weight"], after["ambient.0.weight"])
    assert not torch.equal(before["video.weight"], after["video.weight"])


def test_what_is_stored_is_what_the_pipeline_sees_and_every_clip_comes_once_an_epoch(parts: Path, shards: Path) -> None:
    encoder, opened = Encoder(parts, "cpu"), ClipShards(shards)
    encoder.store(opened)
    clips = encoder.clips(opened, APART, "train", seed=0)
    pipeline = Action2SoundPipeline.load(parts)
    waveform, _ = opened.waveform(0)
    wanted = pipeline.ambient_latents(waveform[None], torch.Generator())[0]
    torch.testing.assert_close(
        torch.from_numpy(opened.cached(0, f"latents-{encoder.digest}")).float(), wanted, atol=5e-3, rtol=5e-3
    )
    batches = EpochBatches(clips=clips, batch_size=2)
    epoch = torch.cat([batches(step).latents for step in (0, 1)])
    assert len(epoch.flatten(1).unique(dim=0)) == len(clips) == 4
    assert (
        batches(0).has_ambient.all()
        and not encoder.clips(opened, NoAmbient(), "train", seed=0).batch([0], 0).has_ambient.any()
    )
    with pytest.raises(InputError, match="no clip of the split test"):
        encoder.clips(opened, APART, "test", seed=0)
    far = NeighbourAmbient(rule=Apart(min_gap_seconds=60), fallback="skip", probability=1.0)
    with pytest.raises(InputError, match="has a neighbour"):
        encoder.clips(opened, far, "train", seed=0)


def test_a_dropped_video_and_an_unknown_ambience_change_nothing_else() -> None:
    torch.manual_seed(0)
    model = TrainedParts(CONFIG)
    shape = (2, CONFIG.unet.latent_width, CONFIG.latent_rows, CONFIG.window_positions)
    batch = Action2SoundBatch(
        latents=torch.randn(shape),
        video=torch.randn(2, CONFIG.video.num_frames, CONFIG.video.width),
        ambient=torch.randn(shape),
        has_ambient=torch.tensor([True, False]),
    )
    steps, no = torch.tensor([500, 500]), torch.zeros(2, dtype=torch.bool)
    with torch.inference_mode():
        plain = model(batch.latents, steps, batch, no)
        torch.testing.assert_close(plain, model(batch.latents, steps, replace(batch, video=0 * batch.video), ~no))
        other = model(batch.latents, steps, replace(batch, ambient=batch.ambient + 1), no)
    assert torch.equal(plain[1], other[1]) and not torch.equal(plain[0], other[0])
    loss = NoiseObjective(model, CONFIG)(batch, torch.Generator().manual_seed(0)).total
    loss.backward()
    assert loss > 0 and all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_the_paper_is_the_default() -> None:
    training = paper_training(1_200_000)
    assert (training.num_steps, training.learning_rate, training.weight_decay) == (13_334, 1e-4, 0.01)
    assert training.learning_rate_at(999) == training.learning_rate_at(13_333) == pytest.approx(1e-4)
    assert training.ema_decay == 0 and not training.bf16
