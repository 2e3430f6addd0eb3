"""The reader of a closed vocabulary: ids, unknown words, order, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from foleykit.core.errors import ConfigError
from foleykit.encoders.text.words import PADDING, UNKNOWN, WordEncoder, WordEncoderConfig

CONFIG = WordEncoderConfig(words=("hits", "metal", "wood"), num_tokens=4, width=16, num_blocks=1, num_heads=2)


def encoder() -> WordEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WordEncoder(CONFIG).eval()


def test_words_are_found_whatever_their_case_and_marks() -> None:
    ids = encoder().tokenize(["Metal-HITS!", "wood, quartz", "", "metal metal metal metal hits"])
    metal, hits, wood = 3, 2, 4
    assert ids.tolist() == [
        [metal, hits, PADDING, PADDING],
        [wood, UNKNOWN, PADDING, PADDING],
        [PADDING] * 4,
        [metal] * 4,
    ]


def test_words_without_effect_are_named_once() -> None:
    assert encoder().unread("Quartz metal quartz, naïve 42") == ("quartz", "naïve", "42")
    assert encoder().unread("metal wood hits metal wood") == ("wood",)
    assert encoder().unread("Wood hits") == ()


@torch.inference_mode()
def test_order_and_words_matter_and_a_batch_does_not() -> None:
    reader = encoder()
    read = reader(reader.tokenize(["metal wood", "wood metal", "metal hits"]))
    assert read.tokens.shape == (3, 4, 16) and read.pooled.shape == (3, 16)
    for one, other in ((0, 1), (0, 2)):
        assert not torch.allclose(read.pooled[one], read.pooled[other], atol=1e-4)
    torch.testing.assert_close(reader(reader.tokenize(["wood metal"])).tokens[0], read.tokens[1])


def test_a_vocabulary_is_checked() -> None:
    with pytest.raises(ConfigError, match="each word once"):
        WordEncoderConfig(words=("a", "a"))
    with pytest.raises(ConfigError, match="at least one word"):
        WordEncoderConfig()
    with pytest.raises(ConfigError, match='not "Wood"'):
        WordEncoderConfig(words=("Wood",))
