"""Texts become CLIP's ids, pictures unit vectors, frames squares; stretches of video are cut where they should be."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from fixtures.mmaudio import merges
from foleykit.core.errors import InputError, ModelError
from foleykit.encoders.clip import ClipConfig, ClipImageConfig, ClipImageTower, ClipTextConfig, ClipTextTower
from foleykit.encoders.text.clip_tokens import ClipTokenizer, byte_letters, read_merges, save_merges
from foleykit.encoders.visual.pictures import centred, squeezed
from foleykit.encoders.visual.synchformer import Synchformer, SynchformerConfig, segments_of

TINY = ClipConfig(
    image=ClipImageConfig(input_size=30, size=28, width=16, num_blocks=1, num_heads=2, expansion=1),
    text=ClipTextConfig(vocabulary_size=600, width=16, num_blocks=1, num_heads=2, expansion=1),
    embedding_width=12,
)


def test_every_byte_has_one_letter() -> None:
    assert len(set(byte_letters())) == 256 and byte_letters()[:3] == ["!", '"', "#"]


def test_tokens_are_framed_padded_with_zero_and_cut_with_a_warning() -> None:
    tokenizer = ClipTokenizer(merges(600), num_tokens=8)
    ids = tokenizer(["Ab", ""])
    assert ids.shape == (2, 8) and ids[1].tolist() == [598, 599, 0, 0, 0, 0, 0, 0]
    assert ids[0, 0] == 598 and 599 in ids[0]
    assert torch.equal(tokenizer(["  aB "]), ids[:1]), "case and white space do not matter"
    assert torch.equal(tokenizer(["a &amp;amp; b"]), tokenizer(["a & b"]))
    with pytest.warns(UserWarning, match="only the first 6 of"):
        long = tokenizer(["a b c d e f g h i"])
    assert long[0, -1] == 599


def test_vocabularies_are_read_packed_and_plain_and_refused_when_short(tmp_path: Path) -> None:
    wanted = merges(600)
    save_merges(wanted, tmp_path / "merges.txt")
    packed = tmp_path / "bpe.txt.gz"
    packed.write_bytes(gzip.compress((tmp_path / "merges.txt").read_bytes()))
    assert read_merges(tmp_path / "merges.txt", 600) == read_merges(packed, 600) == wanted
    with pytest.raises(ModelError, match="holds no 186 merges"):
        read_merges(tmp_path / "merges.txt", 700)
    packed.write_bytes(b"no gzip")
    with pytest.raises(ModelError, match="not a vocabulary"):
        read_merges(packed, 600)
    with pytest.raises(ModelError, match="no vocabulary"):
        read_merges(tmp_path / "absent.txt", 600)


def test_embeddings_have_unit_length_and_the_border_is_not_seen() -> None:
    torch.manual_seed(0)
    tower = ClipImageTower(TINY).eval()
    pictures = torch.rand(2, 3, 30, 30)
    changed = pictures.clone()
    changed[:, :, 28:, 28:] = 0
    with torch.inference_mode():
        made = tower(pictures)
        torch.testing.assert_close(made.norm(dim=1), torch.ones(2))
        assert torch.equal(made, tower(changed))
        with pytest.raises(InputError):
            tower(pictures[..., :28])


def test_text_tokens_do_not_see_what_follows() -> None:
    torch.manual_seed(0)
    tower = ClipTextTower(TINY).eval()
    ids = torch.randint(0, 600, (1, 77))
    changed = ids.clone()
    changed[:, 40] = (ids[:, 40] + 1) % 600
    with torch.inference_mode():
        before, after = tower(ids), tower(changed)
    torch.testing.assert_close(before.norm(dim=2), torch.ones(1, 77))
    torch.testing.assert_close(before[:, :40], after[:, :40])
    assert not torch.allclose(before[:, 40:], after[:, 40:])


def test_squares_are_squeezed_or_cut_from_the_middle() -> None:
    frames = torch.zeros(1, 3, 20, 60, dtype=torch.uint8)
    frames[..., 20:40] = 255
    assert centred(frames, 10).shape == squeezed(frames, 10).shape == (1, 3, 10, 10)
    assert centred(frames, 20).min() == 1, "the bright middle fills the square"
    assert squeezed(frames, 20).mean() == pytest.approx(1 / 3, abs=0.02)
    with pytest.raises(InputError):
        squeezed(frames.float(), 10)


def test_stretches_overlap_and_incomplete_ones_are_left_out() -> None:
    config = SynchformerConfig(size=32, width=16, num_blocks=1, num_heads=2, expansion=1)
    assert [config.num_segments(count) for count in (0, 15, 16, 23, 24, 200)] == [0, 0, 1, 1, 2, 24]
    segments = segments_of(torch.arange(24)[:, None], config)
    assert segments[:, :, 0].tolist() == [list(range(16)), list(range(8, 24))]
    torch.manual_seed(0)
    network = Synchformer(config).eval()
    frames = torch.rand(2, 16, 3, 32, 32)
    with torch.inference_mode():
        made = network(frames)
        assert made.shape == (2, 8, 16)
        torch.testing.assert_close(made[1:], network(frames[1:]))
        with pytest.raises(InputError, match="segments must be"):
            network(frames[:, :8])
