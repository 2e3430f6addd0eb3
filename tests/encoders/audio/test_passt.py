"""PaSST: lengths, pieces, and what a published file must hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foleykit.core.checkpoint import save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.encoders.audio.passt import (
    Passt,
    PasstConfig,
    PasstEncoder,
    PasstMel,
    from_published,
    pad_to_whole,
    pieces,
)

CONFIG = PasstConfig()
SMALL = PasstConfig(width=8, num_blocks=2, num_heads=2, num_classes=5)


def small_network() -> Passt:
    """Return a network whose every parameter counts."""
    network = Passt(SMALL).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) / max(1, parameter[0].numel()) ** 0.5)
    return network


@pytest.mark.parametrize(("num_samples", "num_frames"), [(4801, 16), (32_000, 100), (32_001, 101), (320_000, 1000)])
def test_number_of_frames(num_samples: int, num_frames: int) -> None:
    assert PasstMel(CONFIG)(torch.randn(1, num_samples)).shape == (1, 128, num_frames)


@pytest.mark.parametrize("num_samples", [4800, 320_001])
def test_unfit_lengths_are_refused(num_samples: int) -> None:
    with pytest.raises(InputError, match="4801 to 320000 samples"):
        PasstMel(CONFIG)(torch.zeros(1, num_samples))


def test_more_time_than_the_table_has_is_refused() -> None:
    network = small_network()
    assert network(torch.randn(1, 128, 1005)).logits.shape == (1, 5)
    with pytest.raises(InputError, match="99 patches in time, not 100"):
        network(torch.randn(1, 128, 1006))


def test_a_short_clip_uses_the_beginning_of_the_table() -> None:
    network = small_network()
    mel = torch.randn(1, 128, 56)
    before = network(mel).embedding
    with torch.no_grad():
        network.time_new_pos_embed[..., 5:] += torch.randn(8, 1, 94)
    assert torch.equal(network(mel).embedding, before)
    with torch.no_grad():
        network.time_new_pos_embed[..., 4] += torch.randn(8, 1)
    assert not torch.allclose(network(mel).embedding, before)


def test_an_encoder_is_the_same_after_saving(tmp_path: Path) -> None:
    network = small_network()
    save_weights(network, tmp_path / "model.safetensors")
    save_config(SMALL, tmp_path / "config.json")
    waveform = torch.randn(2, 16_000)
    tags = PasstEncoder.load(tmp_path)(waveform)
    assert tags.embedding.shape == (2, 8) and tags.logits.shape == (2, 5)
    torch.testing.assert_close(tags.embedding, PasstEncoder(network)(waveform).embedding)


def test_padding_changes_the_embedding() -> None:
    encoder = PasstEncoder(small_network())
    waveform = torch.randn(1, 64_000)
    whole = pad_to_whole(waveform, SMALL)
    assert whole.shape == (1, 320_000) and torch.equal(whole[:, :64_000], waveform) and not whole[:, 64_000:].any()
    assert (encoder(whole).embedding - encoder(waveform).embedding).abs().max() > 1e-3
    assert pad_to_whole(torch.zeros(1, 400_000), SMALL).shape == (1, 320_000)


def test_pieces_cover_a_long_sound_but_for_a_short_rest() -> None:
    waveform = torch.arange(2 * 320_000 + 4801.0)
    parts = pieces(waveform, CONFIG)
    assert [len(part) for part in parts] == [320_000, 320_000, 4801]
    assert torch.equal(torch.cat(parts), waveform)
    assert len(pieces(waveform[:-1], CONFIG)) == 2
    assert pieces(waveform[:4800], CONFIG) == []


def published() -> dict[str, Tensor]:
    unused = {"head_dist.weight": torch.zeros(5, 8), "head_dist.bias": torch.zeros(5)}
    return Passt(SMALL).state_dict() | unused


def test_a_published_file_without_its_unused_head() -> None:
    assert from_published(published(), SMALL, source="p.pt").keys() == Passt(SMALL).state_dict().keys()


def test_other_files_are_refused_in_one_line() -> None:
    """Networks for 20 and 30 seconds have longer tables."""
    entries = published()
    entries["time_new_pos_embed"] = torch.zeros(1, 8, 1, 199)
    with pytest.raises(
        ModelError, match=r"1 mis-shaped: time_new_pos_embed \(1, 8, 1, 199\) instead of \(1, 8, 1, 99\)"
    ):
        from_published(entries, SMALL, source="p.pt")
    del entries["head_dist.bias"]
    with pytest.raises(ModelError, match=r"1 missing: head_dist.bias"):
        from_published(entries, SMALL, source="p.pt")


def test_a_config_refuses_heads_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match="not divisible"):
        replace(CONFIG, num_heads=7)
