"""A small reader of texts in a closed vocabulary: whole words, two transformer blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.core.errors import ConfigError
from foleykit.nn.attention import SelfAttention

PADDING, UNKNOWN = 0, 1
"""Tokens that stand for no word: what fills up a text, and a word outside the vocabulary."""
FIRST_WORD = 2


@dataclass(frozen=True, kw_only=True)
class WordEncoderConfig:
    words: tuple[str, ...] = ()
    """The vocabulary, in lower case; everything but letters parts words."""
    num_tokens: int = 32
    """Tokens of a text, padding included; words beyond them are not read."""
    width: int = 96
    """Channels of a token."""
    num_blocks: int = 2
    num_heads: int = 4
    """Attention heads; twice their number must divide `width`."""
    expansion: int = 2
    """Hidden channels of the feed-forward layers over `width`."""

    def __post_init__(self) -> None:
        if self.width % (2 * self.num_heads):
            raise ConfigError(f"width {self.width} must be a multiple of twice num_heads, {2 * self.num_heads}")
        if not self.words or len(set(self.words)) != len(self.words):
            raise ConfigError("a vocabulary has at least one word and each word once")
        if wrong := [word for word in self.words if not re.fullmatch("[a-z]+", word)]:
            raise ConfigError(f'words of a vocabulary are lower-case letters, not "{wrong[0]}"')


@dataclass(frozen=True, kw_only=True)
class ReadText:
    """What a reader makes of texts."""

    tokens: Tensor
    """(B, N, D) one for each word, then those of the padding"""
    pooled: Tensor
    """(B, D) of each text as a whole"""


class Block(nn.Module):
    """Attention among all tokens, then a two-layer network for each."""

    def __init__(self, width: int, num_heads: int, expansion: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, num_heads)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, N, D) from `x` (B, N, D)."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed(self.feed_norm(x))


class WordEncoder(nn.Module):
    """Texts to tokens; padding is read as a word of its own, as in CLIP, so that every text has as many tokens."""

    def __init__(self, config: WordEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.ids = {word: FIRST_WORD + index for index, word in enumerate(config.words)}
        self.embedding = nn.Embedding(FIRST_WORD + len(config.words), config.width)
        self.blocks = nn.Sequential(
            *(Block(config.width, config.num_heads, config.expansion) for _ in range(config.num_blocks))
        )
        self.norm = nn.LayerNorm(config.width)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return ids (B, N) of `texts`, words outside the vocabulary as UNKNOWN."""
        ids = torch.full((len(texts), self.config.num_tokens), PADDING)
        for row, text in enumerate(texts):
            words = words_in(text)[: self.config.num_tokens]
            ids[row, : len(words)] = torch.tensor([self.ids.get(word, UNKNOWN) for word in words], dtype=torch.long)
        return ids

    def unread(self, text: str) -> tuple[str, ...]:
        """Return the words of `text` without effect, each once: outside the vocabulary or beyond the last token."""
        words = words_in(text)
        late = words[self.config.num_tokens :]
        return tuple(dict.fromkeys([word for word in words if word not in self.ids] + late))

    def read(self, text: str) -> Tensor:
        """Return the tokens (N, D) of one text."""
        return self.read_all([text])[0]

    def read_all(self, texts: Sequence[str]) -> Tensor:
        """Return the tokens (B, N, D) of several texts."""
        tokens: Tensor = self(self.tokenize(texts).to(self.embedding.weight.device)).tokens
        return tokens

    def forward(self, ids: Tensor) -> ReadText:
        """Return what is read of `ids` (B, N) int64."""
        tokens = self.norm(self.blocks(self.embedding(ids)))
        return ReadText(tokens=tokens, pooled=tokens.mean(dim=1))


def words_in(text: str) -> list[str]:
    """Return the words of `text` in lower case; a word is a run of letters or digits of any alphabet."""
    return re.findall(r"[^\W_]+", text.lower())
