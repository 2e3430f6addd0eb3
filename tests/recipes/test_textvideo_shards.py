"""The recipes of textvideo on prepared clips, at debug size: a codec, the parts, a run killed and resumed, a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures.mmaudio import write_published
from foleykit.codecs.hifigan_discriminators import debug_discriminators
from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.core.checkpoint import load_tensors, save_weights
from foleykit.core.errors import ConfigError, InputError, ModelError, UsageError
from foleykit.core.ranges import Line
from foleykit.data.corpora import folder
from foleykit.data.manifest import ClipRecord, Manifest
from foleykit.data.neighbours import Apart
from foleykit.data.prepare import PrepareConfig, prepare
from foleykit.data.shards import ClipShards
from foleykit.data.span_types import CutConfig
from foleykit.jobs.convert_mmaudio import MMAudioRequest, convert_mmaudio
from foleykit.models.textvideo.objective import DropoutConfig, TextVideoObjective
from foleykit.models.textvideo.pipeline import TextVideoPipeline
from foleykit.models.textvideo.presets import debug, debug_textvideo
from foleykit.recipes.textvideo_clips import FrozenParts, StoredClips, mirrored
from foleykit.recipes.textvideo_shards import (
    ShardTrainArgs,
    assemble,
    fixed_batches,
    published_training,
    start_network,
    train_textvideo,
)
from foleykit.recipes.textvideo_validation import condition_losses, with_others
from foleykit.recipes.wave_vae_shards import ShardCodecArgs, train_wave_vae_on_shards
from foleykit.video.encode import write_video

CONFIG = debug_textvideo()
SECONDS = (6, 1)
"""Of two long videos: three clips of 1 s lie 1 s apart in the first, the second is one clip."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two videos whose pictures change with the second; their sound is noise."""
    place = tmp_path_factory.mktemp("videos")
    for index, seconds in enumerate(SECONDS):
        rng = np.random.default_rng(index)
        pictures = (np.full((32, 32, 3), 40 * (frame // 25), np.uint8) for frame in range(25 * seconds))
        sound = 0.1 * rng.standard_normal((1, seconds * 48_000)).astype(np.float32)
        write_video(place / f"{index}.mp4", pictures, 25, sound, 48_000)
    return place


def described(records: tuple[ClipRecord, ...]) -> tuple[ClipRecord, ...]:
    """Return the records with all, two, one and none of the texts that a clip may have."""
    texts = (
        {"caption": "a hand", "sound": "a knock", "transcript": ((0.6, 0.9, "you"), (0.1, 0.4, "thank "))},
        {"sound": "rain", "transcript": ((0.2, 0.5, "no"), (1.2, 1.5, "later"))},
        {"caption": "a room"},
        {},
    )
    return tuple(replace(record, **text) for record, text in zip(records, texts, strict=True))


def prepared(videos: Path, output: Path, *, size: int = 32, sample_rate: int = 48_000) -> Path:
    manifest = folder.scan(videos, split="train", clip_seconds=1.0, stride_seconds=2.0)
    config = PrepareConfig(cut=CutConfig(size=(size, size), sample_rate=sample_rate))
    assert prepare(Manifest(records=described(manifest.records)), videos, output, config, workers=0).num_clips == 4
    return output


@pytest.fixture(scope="module")
def shards(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(videos, tmp_path_factory.mktemp("shards") / "clips")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a converted MMAudio folder of debug size."""
    place = tmp_path_factory.mktemp("mmaudio")
    files = place / "files"
    files.mkdir()
    write_published(debug(), files)
    convert_mmaudio(MMAudioRequest(files=(files,), output=place / "model", sizes={"debug": debug()}))
    return place / "model"


@pytest.fixture
def parts(encoders: Path, tmp_path: Path) -> Path:
    """Return all but the network of a model, with a codec of random weights."""
    assert isinstance(CONFIG.codec, WaveVaeConfig)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_weights(WaveVae(CONFIG.codec), tmp_path / "codec.safetensors")
    assert assemble(encoders, tmp_path / "codec.safetensors", tmp_path / "parts", CONFIG) == CONFIG
    return tmp_path / "parts"


class Killed(Exception):
    pass


def kill_at_three(step: int, loss: float) -> None:
    if step == 3:
        raise Killed


def args_of(parts: Path, shards: Path, output: Path) -> ShardTrainArgs:
    training = replace(
        published_training(),
        num_steps=4,
        learning_rate=1e-2,
        warmup_steps=1,
        ema_decay=0.5,
        bf16=False,
        checkpoint_every=2,
        validate_every=4,
    )
    return ShardTrainArgs(parts=parts, shards=shards, held_out=shards, output=output, training=training, batch_size=3)


def test_a_killed_run_goes_on_and_the_folder_becomes_a_model(parts: Path, shards: Path, tmp_path: Path) -> None:
    whole = args_of(parts, shards, tmp_path / "whole")
    assert train_textvideo(whole) == parts
    trained = load_tensors(parts / "network.safetensors")
    stored = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.tar")}
    cut = replace(whole, output=tmp_path / "cut")
    with pytest.raises(Killed):
        train_textvideo(cut, on_step=kill_at_three)
    train_textvideo(cut)
    resumed = load_tensors(parts / "network.safetensors")
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in trained.items())
    assert {path.name: path.stat().st_mtime_ns for path in shards.glob("*.tar")} == stored

    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    measured = [line for line in lines if "valid/loss" in line][-1]
    assert all(measured[f"valid/loss_other_{name}"] > 0 for name in ("video", "text", "transcript", "ambience"))

    model = TextVideoPipeline.load(parts)
    pictures, frames = np.zeros((8, 32, 32, 3), np.uint8), np.zeros((25, 32, 32, 3), np.uint8)
    silent, spoken = (
        model([frames], [pictures], num_samples=48_000, transcript=words, ambient=model.quiet())
        for words in ((), (Line(start=0.1, end=0.4, text="thank you"),))
    )
    assert silent.shape == (1, 48_000) and np.isfinite(silent).all() and not np.array_equal(silent, spoken)


def test_what_is_stored_is_what_the_pipeline_sees_and_hears(parts: Path, shards: Path) -> None:
    frozen = FrozenParts(parts)
    clips = StoredClips.of(shards, frozen, Apart())
    opened = ClipShards(shards)
    waveform, _ = opened.waveform(1)
    batch = clips.batch([1, 3], np.random.default_rng(0))
    assert batch.latents.shape == (2, 8, 25) and batch.weights.all()
    with torch.inference_mode():
        latents = frozen.codec.encode(torch.from_numpy(waveform)[None, None])[0]
    torch.testing.assert_close(batch.latents[0], latents, atol=5e-3, rtol=5e-3)
    frames, pictures = opened.frames_at(1, list(range(25))), opened.frames_at(1, [0, 3, 6, 9, 12, 15, 18, 21])
    seen = frozen.sight.encode([frames], [pictures], 2)
    torch.testing.assert_close(batch.conditioning.pictures[0], seen.pictures, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(batch.conditioning.sync[0], seen.segments.flatten(0, 1), atol=5e-3, rtol=5e-3)


def test_a_clip_has_its_own_texts_and_the_ambience_of_a_neighbour(parts: Path, shards: Path) -> None:
    frozen = FrozenParts(parts)
    clips = StoredClips.of(shards, frozen, Apart())
    batches = [clips.batch([0, 1, 2, 3], np.random.default_rng(seed)) for seed in range(12)]
    batch = batches[0]
    assert batch.has_text.tolist() == [True, True, True, False]
    assert batch.has_transcript.tolist() == [True, True, False, False]
    assert batch.has_ambient.tolist() == [True, True, True, False]
    with torch.inference_mode():
        hand, knock, rain, thanks, no = frozen.reader.read_all(["a hand", "a knock", "rain", "thank you", "no"])
    shown = batch.conditioning
    torch.testing.assert_close(shown.text[1], rain, atol=1e-4, rtol=1e-4)
    assert shown.transcript is not None
    torch.testing.assert_close(shown.transcript[:2], torch.stack((thanks, no)), atol=1e-4, rtol=1e-4)
    is_seen = [torch.allclose(one.conditioning.text[0], hand, atol=1e-4) for one in batches]
    is_heard = [torch.allclose(one.conditioning.text[0], knock, atol=1e-4) for one in batches]
    assert any(is_seen) and any(is_heard) and all(a != b for a, b in zip(is_seen, is_heard, strict=True))
    # The first clip's neighbours are the others of its long video, never itself.
    lent = [one.conditioning.ambient for one in batches]
    assert all(ambient is not None for ambient in lent)
    sources = {
        position for ambient in lent for position in range(4) if torch.equal(ambient[0], batch.latents[position])
    }
    assert sources == {1, 2} and not lent[0][3].any()


def test_a_short_clip_counts_as_far_as_it_goes_and_lends_no_silence(parts: Path, shards: Path) -> None:
    frozen = FrozenParts(parts)
    clips = StoredClips.of(shards, frozen, Apart())
    short = replace(clips.shards[1], record=replace(clips.shards[1].record, end=clips.shards[1].record.start + 0.4))
    clips.shards._clips[1] = short
    clips = replace(clips, neighbours=((1,), (0,), (), ()))
    batch = clips.batch([0, 1], np.random.default_rng(0))
    assert batch.weights.sum(dim=1).tolist() == [25, 10]
    ambient = batch.conditioning.ambient
    assert ambient is not None
    assert torch.equal(ambient[0, :, :10], batch.latents[1, :, :10])
    assert torch.equal(ambient[0, :, 10:20], batch.latents[1, :, :10].flip(1))
    assert torch.equal(ambient[0, :, 20:], batch.latents[1, :, :5])
    assert mirrored(30, 25).tolist() == list(range(2, 27))


def test_dropout_and_other_clips_act_on_one_condition_each(parts: Path, shards: Path) -> None:
    frozen = FrozenParts(parts)
    clips = StoredClips.of(shards, frozen, Apart())
    network = start_network(CONFIG.network, frozen.reader, 0)
    with torch.inference_mode():
        torch.testing.assert_close(network.null_text, frozen.reader.read(""))
    batch = clips.batch([0, 1] * 200, np.random.default_rng(0))
    dropout = DropoutConfig(video=0.0, text=0.2, transcript=0.6, ambient=0.0)
    known = TextVideoObjective(network, dropout).known(batch, torch.Generator().manual_seed(0))
    shares = [flags.float().mean().item() for flags in (known.video, known.text, known.transcript, known.ambient)]
    assert shares[0] == shares[3] == 1
    assert shares[1] == pytest.approx(0.8, abs=0.06) and shares[2] == pytest.approx(0.4, abs=0.06)

    batch = clips.batch([0, 1, 2, 3], np.random.default_rng(0))
    other = with_others(batch, ("transcript",))
    assert other.has_transcript.tolist() == [False, True, True, False]
    assert torch.equal(other.conditioning.text, batch.conditioning.text)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
    losses = condition_losses(network, fixed_batches(clips))
    assert len(losses) == len(set(losses.values())) == 5


def test_clips_and_parts_that_do_not_fit_are_refused(videos: Path, encoders: Path, parts: Path, tmp_path: Path) -> None:
    frozen = FrozenParts(parts)
    with pytest.raises(InputError, match="at 16000 Hz, the codec at 48000"):
        StoredClips.of(prepared(videos, tmp_path / "rate", sample_rate=16_000), frozen, Apart())
    with pytest.raises(InputError, match="--size 32"):
        StoredClips.of(prepared(videos, tmp_path / "size", size=16), frozen, Apart())
    with pytest.raises(ModelError, match="no model of CLIP, Synchformer"):
        FrozenParts(encoders)
    with pytest.raises(UsageError, match="exists"):
        assemble(encoders, parts / "codec.safetensors", parts, CONFIG)
    with pytest.raises(ModelError, match="has other encoders"):
        assemble(encoders, parts / "codec.safetensors", tmp_path / "other")
    with pytest.raises(ModelError, match="no weights"):
        assemble(encoders, tmp_path / "nothing.safetensors", tmp_path / "other", CONFIG)
    assert not (tmp_path / "other").exists()
    with pytest.raises(ConfigError, match="77 tokens, not 5"):
        replace(CONFIG, network=replace(CONFIG.network, num_transcript_tokens=5))


def test_the_published_optimiser_is_the_default() -> None:
    training = published_training()
    assert (training.num_steps, training.warmup_steps, training.weight_decay) == (300_000, 1000, 1e-6)
    assert training.learning_rate_at(999) == training.learning_rate_at(239_999) == pytest.approx(1e-4)
    assert training.learning_rate_at(270_000) == pytest.approx(0.5e-4)


def test_the_codec_trains_on_the_sound_of_clips(shards: Path, encoders: Path, tmp_path: Path) -> None:
    assert isinstance(CONFIG.codec, WaveVaeConfig)
    args = ShardCodecArgs(
        stage="codec",
        shards=shards,
        held_out=shards,
        output=tmp_path / "codec",
        codec=CONFIG.codec,
        discriminators=debug_discriminators(),
        num_steps=2,
        batch_size=1,
        checkpoint_every=2,
    )
    first = train_wave_vae_on_shards(args)
    second = train_wave_vae_on_shards(replace(args, stage="decoder"))
    one, other = (load_tensors(place / "model.safetensors") for place in (first, second))
    assert torch.equal(one["mel_vae.analysis.weight"], other["mel_vae.analysis.weight"])
    assert not torch.equal(one["mel_vae.synthesis.weight"], other["mel_vae.synthesis.weight"])
    line = json.loads((first / "log.jsonl").read_text().splitlines()[-2])
    assert line["valid/clips/mel_l1_db"] > 0
    assemble(encoders, second / "model.safetensors", tmp_path / "parts", CONFIG)
    with pytest.raises(InputError, match="48000 Hz, the codec at 24000"):
        mel = replace(CONFIG.codec.mel_vae.mel, sample_rate=24_000, max_hz=12_000.0)
        codec = replace(
            CONFIG.codec,
            mel_vae=replace(CONFIG.codec.mel_vae, mel=mel),
            vocoder=replace(CONFIG.codec.vocoder, mel=mel),
        )
        train_wave_vae_on_shards(replace(args, output=tmp_path / "other", codec=codec))
