"""The space-time transformer: shapes, symmetries, refusals."""

from __future__ import annotations

import pytest
import torch

from foleykit.core.errors import ConfigError, InputError
from foleykit.encoders.visual.timesformer import TimeSformer, TimeSformerConfig, even_frame_indices

CONFIG = TimeSformerConfig(size=32, patch_size=16, num_frames=4, width=16, num_blocks=2, num_heads=2, expansion=2)


@pytest.fixture
def network() -> TimeSformer:
    torch.manual_seed(0)
    network = TimeSformer(CONFIG).eval()
    torch.nn.init.normal_(network.temporal_embed)
    return network


@torch.inference_mode()
def test_one_feature_per_frame_and_one_embedding_per_clip(network: TimeSformer) -> None:
    frames = torch.rand(2, 4, 3, 32, 32)
    assert network(frames).shape == (2, 4, 16) and network.embed(frames).shape == (2, 16)
    torch.testing.assert_close(network(frames)[:1], network(frames[:1]))


@torch.inference_mode()
def test_without_times_frames_may_come_in_any_order(network: TimeSformer) -> None:
    torch.nn.init.zeros_(network.temporal_embed)
    frames, order = torch.rand(1, 4, 3, 32, 32), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(network(frames[:, order]), network(frames)[:, order], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_every_frame_is_seen_by_every_feature(network: TimeSformer) -> None:
    frames = torch.rand(1, 4, 3, 32, 32)
    changed = frames.clone()
    changed[:, 3] = 1 - changed[:, 3]
    assert ((network(frames) - network(changed)).abs().amax(dim=2) > 1e-6).all()


def test_wrong_sizes_are_refused(network: TimeSformer) -> None:
    with pytest.raises(InputError, match="resize"):
        network(torch.rand(1, 4, 3, 24, 32))
    with pytest.raises(InputError, match="at most 4 frames"):
        network(torch.rand(1, 5, 3, 32, 32))
    for wrong in ({"width": 15}, {"patch_size": 12}, {"pool": "median"}):
        with pytest.raises(ConfigError):
            TimeSformerConfig(**{**CONFIG.__dict__, **wrong})


@pytest.mark.parametrize(("num_frames", "count"), [(90, 16), (3, 16), (1, 4), (75, 32)])
def test_even_indices_span_the_clip(num_frames: int, count: int) -> None:
    indices = even_frame_indices(num_frames, count)
    assert len(indices) == count and indices == sorted(indices)
    assert indices[0] == 0 and indices[-1] == num_frames - 1
    with pytest.raises(InputError):
        even_frame_indices(0, count)
