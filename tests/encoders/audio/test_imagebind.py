"""ImageBind's ears: clips of a file and what they are heard as."""

from __future__ import annotations

import pytest
import torch

from foleykit.core.errors import InputError
from foleykit.encoders.audio.imagebind import (
    AudioTower,
    Block,
    ClipMels,
    ImageBindAudioConfig,
    clip_samples,
    clip_spans,
)

CONFIG = ImageBindAudioConfig()
SMALL = ImageBindAudioConfig(width=16, num_blocks=2, num_heads=2, embedding_width=8)


def test_clips_begin_at_truncated_fractions() -> None:
    assert [start for start, _ in clip_samples(round(4.3 * 16_000), CONFIG)] == [0, 18_399, 36_799]
    assert clip_samples(160_000, CONFIG) == [(0, 32_000), (64_000, 96_000), (128_000, 160_000)]
    assert [(float(a), float(b)) for a, b in clip_spans(8.0, 5, 2)] == [(0, 2), (1.5, 3.5), (3, 5), (4.5, 6.5), (6, 8)]


def test_a_short_file_is_heard_three_times_and_padded() -> None:
    mels = ClipMels(CONFIG)(torch.randn(1, 16_000))
    assert mels.shape == (3, 1, 128, 204)
    assert (mels[0] - mels[1]).abs().max() < 1e-3
    torch.testing.assert_close(mels[..., 98:], torch.full((3, 1, 128, 106), 4.268 / 9.138))


def test_overlapping_clips_see_each_others_shift() -> None:
    """A clip that overlaps an earlier one has a step where that one ends."""
    waveform = torch.randn(1, 48_000) * 0.01 + 0.5
    together = ClipMels(CONFIG)(waveform)
    alone = ClipMels(ImageBindAudioConfig(num_clips=1))(waveform[:, 8_000:40_000])
    assert (together[1] - alone[0]).abs().max() > 0.1
    apart = torch.randn(1, 160_000) * 0.01 + 0.5
    alone = ClipMels(ImageBindAudioConfig(num_clips=1))(apart[:, 64_000:96_000])
    torch.testing.assert_close(ClipMels(CONFIG)(apart)[1], alone[0], atol=1e-3, rtol=0)


def test_the_given_waveform_stays_as_it_is() -> None:
    waveform = torch.randn(2, 48_000) + 0.5
    before = waveform.clone()
    ClipMels(CONFIG)(waveform)
    assert torch.equal(waveform, before)
    with pytest.raises(InputError, match="one file"):
        ClipMels(CONFIG)(waveform[0])
    with pytest.raises(InputError, match="400 samples"):
        ClipMels(CONFIG)(waveform[:, :300])


def test_embeddings_are_as_long_as_the_scale() -> None:
    tower = AudioTower(SMALL).eval()
    mels = torch.randn(3, 1, 128, 204)
    torch.testing.assert_close(tower(mels).norm(dim=1), torch.full((3,), 20.0))
    with torch.no_grad():
        tower.log_scale.fill_(9.0)
    torch.testing.assert_close(tower(mels).norm(dim=1), torch.full((3,), 100.0))


def test_the_learnt_key_is_attended_to() -> None:
    block = Block(8, 2, has_bias_kv=True).eval()
    x = torch.randn(1, 5, 8)
    before = block(x)
    with torch.no_grad():
        block.attn.bias_v.add_(1)
    assert not torch.allclose(block(x), before)
    assert Block(8, 2, has_bias_kv=False).attn.bias_k is None
