from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foleykit.core.errors import InputError
from foleykit.data.manifest import Manifest
from foleykit.data.neighbours import APART, REFERENCE, Apart, NeighbourAmbient, NoAmbient
from foleykit.data.pairs import ClipPairs
from foleykit.data.prepare import PrepareConfig, prepare
from foleykit.data.shards import ClipShards
from foleykit.data.span_types import CutConfig


@pytest.fixture(scope="module")
def shards(tmp_path_factory, long_video, make_record) -> ClipShards:
    """Return three clips of one video for training, and one of the same for validation."""
    records = [make_record(f"c{index}", start) for index, start in enumerate((0.0, 2.0, 4.2, 8.5))]
    records[3] = replace(records[3], split="valid")
    folder = tmp_path_factory.mktemp("pairs")
    config = PrepareConfig(cut=CutConfig(size=(32, 32)))
    prepare(Manifest(records=tuple(records)), long_video.parent, folder, config, workers=0)
    return ClipShards(folder)


def test_the_condition_is_another_moment_of_the_same_split(shards):
    pairs = ClipPairs(shards, APART, num_frames=4)
    assert len(pairs) == 2 and pairs.plan.num_without == 1
    first = pairs[0]
    assert first.record.clip_id == "c0" and first.choice.index == 2
    assert first.frames.shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(first.ambient, shards.waveform(2)[0])
    np.testing.assert_array_equal(first.waveform, shards.waveform(0)[0])


def test_the_condition_must_be_chosen(shards):
    with pytest.raises(TypeError):
        ClipPairs(shards)
    assert all(pair.ambient is None and pair.choice.kind == "none" for pair in ClipPairs(shards, NoAmbient()))
    (alone,) = ClipPairs(shards, REFERENCE, split="valid")
    assert alone.ambient is None and alone.choice.kind == "zeros"


def test_examples_repeat_within_an_epoch_and_change_between(shards):
    rule = NeighbourAmbient(rule=Apart(min_gap_seconds=0.0), fallback="quietest", probability=0.5)
    one, two = ClipPairs(shards, rule, num_frames=1), ClipPairs(shards, rule, num_frames=1)
    drawn = []
    for epoch in range(12):
        one.epoch = two.epoch = epoch
        drawn.append([one[index].choice for index in range(len(one))])
        assert drawn[-1] == [two[index].choice for index in range(len(two))]
    assert len({tuple(choices) for choices in drawn}) > 3


def test_a_split_without_clips_is_refused(shards):
    with pytest.raises(InputError, match="no clip of the split test"):
        ClipPairs(shards, APART, split="test")
    with pytest.raises(InputError, match="has a neighbour"):
        ClipPairs(shards, APART, split="valid")
