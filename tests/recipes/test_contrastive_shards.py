"""The audio-visual towers' recipe on prepared clips, at debug size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foleykit.core.checkpoint import save_weights, with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import InputError
from foleykit.encoders.audio.ast import AstConfig
from foleykit.encoders.visual.timesformer import TimeSformer, TimeSformerConfig
from foleykit.models.contrastive.network import AudioVisualTowers, ContrastiveConfig
from foleykit.recipes.contrastive_shards import ContrastiveTrainArgs, pair_batches, train_contrastive
from foleykit.training.loop import TrainingConfig
from recipes.test_action2sound_ego4d import shards  # noqa: F401

CONFIG = ContrastiveConfig(
    video=TimeSformerConfig(size=32, patch_size=16, width=32, num_blocks=1, num_heads=2, expansion=1, num_frames=4),
    audio=AstConfig(width=16, num_blocks=1, num_heads=2, embedding_width=8),
)


def args_of(shards: Path, output: Path) -> ContrastiveTrainArgs:  # noqa: F811
    training = TrainingConfig(num_steps=3, learning_rate=1e-4, warmup_steps=1, validate_every=3)
    return ContrastiveTrainArgs(shards=shards, output=output, config=CONFIG, training=training, batch_size=3)


def test_the_towers_train_start_from_a_video_encoder_and_load(shards: Path, tmp_path: Path) -> None:  # noqa: F811
    torch.manual_seed(0)
    eyes = TimeSformer(CONFIG.video)
    save_weights(eyes, tmp_path / "video.safetensors")
    args = replace(args_of(shards, tmp_path / "run"), video=tmp_path / "video.safetensors")
    folder = train_contrastive(args)
    config = load_config(ContrastiveConfig, folder / "config.json")
    towers = with_weights(AudioVisualTowers(config), folder / "model.safetensors")
    moved = (towers.video_model.pos_embed - eyes.pos_embed).abs().max()
    assert config == CONFIG and 0 < moved < 1e-2
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert any("valid/av_sim" in line and "valid/nearest_is_own" in line for line in logged)


def test_batches_hear_the_middle_of_a_clip_and_repeat(shards: Path, tmp_path: Path) -> None:  # noqa: F811
    batches = pair_batches(args_of(shards, tmp_path), "train", seed=0)
    one, again, other = batches(0), batches(0), batches(1)
    assert one.frames.shape == (3, 4, 3, 32, 32) and one.waveform.shape == (3, 24_000)
    assert torch.equal(one.waveform, again.waveform) and not torch.equal(one.waveform, other.waveform)
    with pytest.raises(InputError, match="0 clips of the split test"):
        pair_batches(args_of(shards, tmp_path), "test", seed=0)
