"""The sync classifier: its laws, its calibration, and the shipped one on files."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.audio.files import write_waveform
from foleykit.core.checkpoint import save_weights
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.encoders.visual.two_rate import TwoRateEncoder
from foleykit.evaluation.sync_classifier import SHIPPED, SyncClassifier, SyncClassifierConfig, window_spans
from foleykit.evaluation.sync_network import SyncNetwork, load_encoder, save_encoder

SMALL = SyncClassifierConfig(
    video_width=8, tower_width=8, audio_width=8, num_blocks=1, embedding_width=4, max_shift=6, window_frames=40
)


def small() -> SyncClassifier:
    torch.manual_seed(0)
    return SyncClassifier(SMALL).eval().requires_grad_(False)


@pytest.mark.parametrize("shift", [-6, -1, 0, 3])
def test_evidence_peaks_at_the_shift_of_the_sound(shift: int) -> None:
    """At shift d the sound comes d frames later than the pictures."""
    classifier = small()
    wide = torch.randn(1, 4, 60, generator=torch.Generator().manual_seed(1))
    video, audio = wide[..., 10:50], wide[..., 10 - shift : 50 - shift]
    evidence = classifier.evidence(video, audio)
    assert evidence.shape == (1, 14) and int(evidence[0, :-1].argmax()) == SMALL.max_shift + shift
    in_time = float(classifier.raw_log_odds(evidence))
    assert (in_time > float(classifier.raw_log_odds(classifier.evidence(video, wide[..., :40])))) == (abs(shift) <= 2)


def test_sound_and_pictures_have_one_clock() -> None:
    classifier = small()
    waveform = torch.zeros(1, 40 * SMALL.hop_length)
    assert classifier.embed_audio(waveform).shape == (1, 4, 40)
    click = waveform.clone()
    click[0, 20 * SMALL.hop_length + SMALL.hop_length // 2] = 1.0
    changed = (classifier.embed_audio(click) - classifier.embed_audio(waveform)).abs().sum(dim=1)[0]
    assert abs(float((changed * torch.arange(40)).sum() / changed.sum()) - 20) < 0.6


def test_calibration_gives_shares() -> None:
    """Of pairs that are in time with probability 0.8, four of five are."""
    classifier = small()
    raw = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    is_in_time = torch.rand(4000, generator=torch.Generator().manual_seed(1)) < (2 * raw - 1).sigmoid()
    classifier.calibrate_(raw, is_in_time)
    assert float(classifier.slope) == pytest.approx(2, abs=0.25)
    assert float(classifier.intercept) == pytest.approx(-1, abs=0.25)
    near = (classifier.calibrated(raw) - 0.8).abs() < 0.05
    assert float(is_in_time[near].double().mean()) == pytest.approx(0.8, abs=0.06)


def test_a_saved_classifier_says_the_same(tmp_path: Path) -> None:
    classifier = small()
    classifier.calibrate_(torch.tensor([1.0, -1.0, 0.5]), torch.tensor([True, False, True]))
    save_weights(classifier, tmp_path / "half.safetensors", half=True)
    classifier.save(tmp_path)
    features, waveform = torch.randn(40, 8), 0.1 * torch.randn(40 * 640)
    own, read = (each.probability(features, waveform) for each in (classifier, SyncClassifier.load(tmp_path)))
    assert read == pytest.approx(own, abs=5e-3)


@pytest.mark.parametrize("length", [30, 40, 41, 60, 97, 200])
def test_windows_cover_everything_and_no_more(length: int) -> None:
    spans = window_spans(length, 40)
    assert spans[0].start == 0 and spans[-1].stop == length
    assert all(span.stop - span.start == min(40, length) for span in spans)
    assert all(later.start - earlier.start <= 20 for earlier, later in itertools.pairwise(spans))


def test_too_short_clips_and_impossible_configs_are_refused() -> None:
    with pytest.raises(InputError, match="a second of pictures and sound"):
        small().probability(torch.randn(40, 8), torch.zeros(10_000))
    with pytest.raises(ConfigError, match="must rise"):
        replace(SMALL, max_shift=40)
    with pytest.raises(ConfigError, match="power of two"):
        replace(SMALL, mel_frames=3)


def test_the_shipped_classifier_has_its_encoder_and_is_small() -> None:
    network = SyncNetwork.load()
    assert network.encoder.config.width == network.classifier.config.video_width
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 3_000_000


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "judge"
    shutil.copytree(SHIPPED, folder)
    save_encoder(TwoRateEncoder(load_encoder(SHIPPED).config), folder)
    with pytest.raises(ModelError, match="foley train sync"):
        SyncNetwork.load(folder)


def test_files_without_pictures_have_no_score(tmp_path: Path) -> None:
    write_waveform(tmp_path / "sound.wav", 0.1 * np.ones((1, 32_000), np.float32), 16_000)
    assert np.isnan(SyncNetwork.load().score(tmp_path / "sound.wav", tmp_path / "sound.wav", seconds=None))


def test_a_video_is_scored_with_any_sound(tmp_path: Path) -> None:
    from evaluation.test_real_report import write_video

    sound = 0.1 * np.random.default_rng(0).standard_normal(96_000).astype(np.float32)
    write_video(tmp_path / "clip.mkv", sound)
    write_waveform(tmp_path / "other.wav", sound[None, ::-1].copy(), 16_000)
    write_waveform(tmp_path / "short.wav", sound[None, :8000], 16_000)
    network = SyncNetwork.load()
    own, other, short = (
        network.score(tmp_path / name, tmp_path / "clip.mkv", seconds=3.0)
        for name in ("clip.mkv", "other.wav", "short.wav")
    )
    assert 0 < own < 1 and 0 < other < 1 and own != other and np.isnan(short)
    assert SyncNetwork.load().score(tmp_path / "clip.mkv", tmp_path / "clip.mkv", seconds=3.0) == own
