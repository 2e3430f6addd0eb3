"""Text to the token ids of CLIP: byte pairs of lower-cased words, padded with zeros."""

from __future__ import annotations

import gzip
import html
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foleykit.core.errors import ModelError
from foleykit.core.packages import check_published

START, END = "<|startoftext|>", "<|endoftext|>"
NUM_BYTES = 256


def byte_letters() -> list[str]:
    """Return the printable letter that stands for a byte, in the vocabulary's order: printable bytes come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    return [chr(byte) for byte in printable] + [chr(NUM_BYTES + index) for index in range(NUM_BYTES - len(printable))]


def read_merges(path: Path, vocabulary_size: int) -> list[str]:
    """Return the merges of a vocabulary: `bpe_simple_vocab_16e6.txt.gz`, or the `merges.txt` made of it.

    Raises ModelError when the file is absent or too short.
    """
    if not path.is_file():
        raise ModelError(f"there is no vocabulary {path}")
    count = vocabulary_size - 2 * NUM_BYTES - 2
    try:
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ModelError(f"{path.name} is not a vocabulary of byte pairs ({error})") from error
    # The first line is a title.
    merges = text.splitlines()[1 : count + 1]
    if len(merges) < count or any(len(merge.split()) != 2 for merge in merges):
        raise ModelError(f"{path.name} holds no {count} merges of byte pairs; give CLIP's own vocabulary")
    return merges


def save_merges(merges: Sequence[str], path: Path) -> None:
    """Write `merges` as a `merges.txt` that `read_merges` reads."""
    path.write_text("\n".join(("#version: 0.2", *merges)) + "\n", "utf-8")


class ClipTokenizer:
    """Texts to ids (B, N), all of the same length."""

    def __init__(self, merges: Sequence[str], *, num_tokens: int = 77) -> None:
        check_published("transformers", "CLIP's tokenizer")
        from transformers import CLIPTokenizer

        letters = byte_letters()
        words = [*letters, *(f"{letter}</w>" for letter in letters)]
        words += ["".join(merge.split()) for merge in merges]
        vocabulary = {word: index for index, word in enumerate((*words, START, END))}
        self.num_tokens = num_tokens
        self._tokenizer: Any = CLIPTokenizer(vocab=vocabulary, merges=[tuple(merge.split()) for merge in merges])

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return ids (B, N), int64, of `texts`; what does not fit is cut off, with a warning.

        Padding is id 0, which is a word of its own ("!"): the published text features were made so.
        """
        rows = [self._tokenizer(clean(text))["input_ids"] for text in texts]
        for text, row in zip(texts, rows, strict=True):
            if len(row) > self.num_tokens:
                warnings.warn(
                    f'only the first {self.num_tokens - 2} of {len(row) - 2} tokens of "{text[:30]}..." are read',
                    stacklevel=2,
                )
        ids = torch.zeros(len(rows), self.num_tokens, dtype=torch.int64)
        for index, row in enumerate(rows):
            kept = row if len(row) <= self.num_tokens else [*row[: self.num_tokens - 1], row[-1]]
            ids[index, : len(kept)] = torch.tensor(kept)
        return ids


def clean(text: str) -> str:
    """Return `text` without HTML's escapes, white space collapsed."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(text))).strip()
