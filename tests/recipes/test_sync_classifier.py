"""The sync classifier trains from one command's arguments, and its figures mean what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder
from foleykit.evaluation.sync_classifier import SyncClassifier, SyncClassifierConfig
from foleykit.evaluation.sync_network import SyncNetwork
from foleykit.recipes.sync_classifier import (
    SyncBatches,
    SyncPairs,
    SyncTrainArgs,
    sync_report,
    train_sync_classifier,
)
from foleykit.recipes.world_data import WorldDataArgs, open_world
from foleykit.world.config import WorldConfig
from recipes.test_avldm_world import renders  # noqa: F401

ENCODER = TwoRateConfig(size=32, width=16, motion_width=16, num_motion_blocks=1, appearance_width=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, renders: None) -> WorldDataArgs:  # noqa: F811
    cache = tmp_path_factory.mktemp("world")
    return WorldDataArgs(
        cache=cache, num_videos=4, workers=1, world=WorldConfig(seconds=10.0, frame_size=(32, 32), map_stride=5)
    )


def test_it_trains_goes_on_and_is_calibrated(data: WorldDataArgs, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = TwoRateEncoder(ENCODER)
    args = SyncTrainArgs(data=data, output=tmp_path / "run", num_steps=2, batch_size=3, checkpoint_every=1)
    folder = train_sync_classifier(args, encoder)
    settings = json.loads((folder / "training.json").read_text())
    assert settings["num_videos"] == 4 and 0 <= settings["held_out"]["accuracy"] <= 1
    first = SyncNetwork.load(folder).classifier
    assert first.config.video_width == 16 and float(first.slope) != 1.0
    again = train_sync_classifier(replace(args, num_steps=3), encoder)
    assert not torch.equal(SyncClassifier.load(again).audio.project.weight, first.audio.project.weight)


def test_batches_move_the_sound_against_the_pictures(data: WorldDataArgs) -> None:
    """The waveform of a clip is the recording's, `shift` frames earlier than the clip begins."""
    videos = open_world(data, "train")
    config = SyncClassifierConfig(video_width=1)
    places = [np.arange(len(video.frames), dtype=np.float16)[:, None] for video in videos]
    batches = SyncBatches(videos=videos, features=places, config=config, batch_size=4, device="cpu", clean_share=1.0)
    for step in range(5):
        batch = batches(step)
        for features, waveform, shift in zip(batch.features, batch.waveform, batch.shift, strict=True):
            start = int(features[0, 0]) - (int(shift) - config.max_shift)
            span = slice(start * config.hop_length, (start + config.window_frames) * config.hop_length)
            likeness = [
                torch.nn.functional.cosine_similarity(
                    torch.from_numpy(video.action[span].astype(np.float32)), waveform, dim=0
                )
                for video in videos
            ]
            assert not waveform.any() or max(likeness) > 0.99


def test_the_figures_of_a_perfect_and_of_a_blind_classifier() -> None:
    classifier = SyncClassifier(SyncClassifierConfig(video_width=1))
    sure = torch.full((50,), 9.0)
    perfect = sync_report(classifier, SyncPairs(true=sure, shifted=-sure[:, None].expand(-1, 2), other=-sure))
    assert perfect.accuracy == perfect.two_choices == perfect.true_share == 1 and perfect.shifted_share == 0
    assert perfect.calibration_error < 1e-3
    drawn = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    blind = sync_report(classifier, SyncPairs(true=drawn[:, 0], shifted=drawn[:, 1:3], other=drawn[:, 3]))
    assert abs(blind.accuracy - 0.5) < 0.06 and abs(blind.two_choices - 0.5) < 0.06 and blind.calibration_error > 0.1
