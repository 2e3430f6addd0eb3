"""What a model of pictures and text reads with: CLIP's text tower, or a small reader of a closed vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from foleykit.core.checkpoint import build_with_weights, frozen, with_weights
from foleykit.core.errors import ConfigError
from foleykit.encoders.clip import ClipConfig, ClipTextTower, restore_positions
from foleykit.encoders.text.clip_tokens import ClipTokenizer, read_merges
from foleykit.encoders.text.words import WordEncoder, WordEncoderConfig

MERGES_NAME = "merges.txt"


class ClipReader:
    """A tower with its tokenizer; byte pairs spell every word, so that none is left unread."""

    def __init__(self, tower: ClipTextTower, tokenizer: ClipTokenizer, device: torch.device) -> None:
        self.tower = frozen(tower, device)
        self.tokenizer = tokenizer
        self.device = device

    def read(self, text: str) -> Tensor:
        """Return the tokens (N, W) of one text."""
        return self.read_all([text])[0]

    def read_all(self, texts: Sequence[str]) -> Tensor:
        """Return the tokens (B, N, W) of several texts."""
        return self.tower(self.tokenizer(texts).to(self.device))

    def unread(self, text: str) -> tuple[str, ...]:
        """Return the words of `text` that have no effect: none are known."""
        return ()


Reader = ClipReader | WordEncoder


def load_reader(
    config: ClipConfig | WordEncoderConfig | None,
    folder: Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> Reader:
    """Return the reader of a model folder: `text.safetensors`, and beside CLIP's, in `dtype`, its `merges.txt`.

    Raises ModelError when a file is missing or does not fit.
    """
    path = folder / "text.safetensors"
    match config:
        case WordEncoderConfig():
            return frozen(with_weights(WordEncoder(config), path), device)
        case ClipConfig():
            tower = build_with_weights(lambda: ClipTextTower(config), path, dtype)
            restore_positions(tower)
            merges = read_merges(folder / MERGES_NAME, config.text.vocabulary_size)
            tokenizer = ClipTokenizer(merges, num_tokens=config.text.num_tokens)
            return ClipReader(tower, tokenizer, torch.device(device))
        case _:
            raise ConfigError("a model of text has clip or words")
