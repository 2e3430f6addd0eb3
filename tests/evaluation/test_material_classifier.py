"""The classifier learns materials from stems, keeps them under gain, and survives the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.evaluation.impact_examples import (
    DEFAULT_AUGMENTATION,
    ImpactExamples,
    ImpactWindow,
    collect_examples,
    draw_batch,
    with_new_bodies,
)
from foleykit.evaluation.material_classifier import MaterialClassifier, MaterialClassifierConfig, train_classifier
from foleykit.world.types import AMBIENCE_KINDS, MATERIALS, LongVideo

VideoMaker = Callable[[int], LongVideo]
SMALL = MaterialClassifierConfig(channels=(8, 16, 16), embedding_width=16, dropout=0.0)


@pytest.fixture(scope="module")
def examples(drawn_video: VideoMaker) -> ImpactExamples:
    return collect_examples(drawn_video(seed) for seed in range(6))


def centred(examples: ImpactExamples, num_samples: int) -> torch.Tensor:
    spare = (examples.window.num_samples - num_samples) // 2
    return examples.action[:, spare : spare + num_samples]


def test_examples_hold_what_the_stems_hold(drawn_video: VideoMaker) -> None:
    video, window = drawn_video(0), ImpactWindow()
    examples = collect_examples([video], window)
    assert examples.action.shape == (len(examples.material), window.num_samples)
    assert len(examples.action) >= 3
    onset = examples.window.seconds_before + examples.window.jitter_seconds
    before = round((onset - 0.01) * 16_000)
    assert (examples.action[:, before + 160 : before + 800].abs().amax(1) > 0.01).all()
    assert examples.ambience.sum(0).argmax() == AMBIENCE_KINDS.index("fan")


def test_new_bodies_strike_at_the_same_times_with_the_same_materials(drawn_video: VideoMaker) -> None:
    video = drawn_video(0)
    first, again, other = (with_new_bodies(video, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.stems.action, again.stems.action)
    assert np.abs(first.stems.action - other.stems.action).max() > 0.01
    for event, struck in zip(video.take.events, first.take.events, strict=True):
        assert (event.time, event.material) == (struck.time, struck.material) and event.body_seed != struck.body_seed
    assert set(collect_examples([first]).material.tolist()) <= set(collect_examples([video]).material.tolist())


def test_batches_are_reproducible_and_labelled(examples: ImpactExamples) -> None:
    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        drawn = draw_batch(examples, 64, 8000, DEFAULT_AUGMENTATION, torch.Generator().manual_seed(0))
        assert drawn.windows.shape == (64, 8000) and drawn.windows.isfinite().all()
        assert set(drawn.material.tolist()) <= {-1, *examples.material.tolist()}
        assert drawn.ambient_level_db.min() >= -80.001
        return drawn.windows, drawn.material

    (first, one), (second, two) = batch(), batch()
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(one, two)


def test_clean_batches_hold_the_stem_alone(examples: ImpactExamples) -> None:
    plain = replace(DEFAULT_AUGMENTATION, gain_db=(0.0, 0.0), clean_share=1.0, coloured_share=0.0, empty_share=0.0)
    batch = draw_batch(examples, 8, examples.window.num_samples, plain, torch.Generator().manual_seed(0))
    for window in batch.windows:
        assert (examples.action - window).abs().amax(1).min() == 0
    assert (batch.ambient_level_db == -80).all() and (batch.ambience == 0).all()


def test_it_learns_the_materials_it_is_shown(examples: ImpactExamples) -> None:
    # Few bodies: only that the pieces fit together is tried here, on what it was shown.
    model = train_classifier(examples, config=SMALL, num_steps=80, batch_size=24, learning_rate=5e-3)
    judged = model.judge(centred(examples, SMALL.num_samples))
    right = (judged.material.argmax(1) == examples.material).float().mean()
    assert right > 0.8
    quieter = model.judge(0.25 * centred(examples, SMALL.num_samples))
    assert (quieter.material.argmax(1) == judged.material.argmax(1)).float().mean() > 0.8


def test_the_same_seed_trains_the_same_network(examples: ImpactExamples) -> None:
    first, second = (train_classifier(examples, config=SMALL, num_steps=3, batch_size=8) for _ in range(2))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name], rtol=0, atol=0)


def test_training_leaves_the_global_random_state_alone(examples: ImpactExamples) -> None:
    before = torch.random.get_rng_state()
    train_classifier(examples, config=SMALL, num_steps=1, batch_size=4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_saved_classifier_judges_alike(tmp_path: Path) -> None:
    model = MaterialClassifier(SMALL).eval()
    model.save(tmp_path)
    windows = torch.randn(3, SMALL.num_samples)
    loaded = MaterialClassifier.load(tmp_path)
    torch.testing.assert_close(loaded.judge(windows).material, model.judge(windows).material)
    assert loaded.judge(windows).embedding.shape == (3, 16)
    assert loaded.judge(windows).material.shape == (3, len(MATERIALS))


def test_silence_is_judged_without_infinities() -> None:
    judged = MaterialClassifier(SMALL).eval().judge(torch.zeros(2, SMALL.num_samples))
    assert judged.material.isfinite().all() and judged.embedding.isfinite().all()


def test_broken_folders_and_inputs_are_refused(tmp_path: Path, drawn_video: VideoMaker) -> None:
    model = MaterialClassifier(SMALL)
    with pytest.raises(InputError, match="eval"):
        model.judge(torch.zeros(1, SMALL.num_samples))
    with pytest.raises(InputError, match="windows must be"):
        model.eval().judge(torch.zeros(1, 5))
    with pytest.raises(ModelError, match=r"config\.json"):
        MaterialClassifier.load(tmp_path)
    model.save(tmp_path)
    MaterialClassifier(replace(SMALL, embedding_width=8)).save(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="does not fit"):
        MaterialClassifier.load(tmp_path)
    with pytest.raises(ConfigError, match="inside the window"):
        MaterialClassifierConfig(seconds_before=0.6)
    video = drawn_video(0)
    silent = replace(video, stems=replace(video.stems, action=np.zeros_like(video.stems.action)))
    with pytest.raises(InputError, match="no clean impact"):
        collect_examples([silent])
