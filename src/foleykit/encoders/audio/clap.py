"""LAION-CLAP (Wu et al. 2023) through transformers: sound and text in one space, from a local folder only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import frozen
from foleykit.core.errors import InputError, ModelError
from foleykit.core.packages import check_published

MAX_TOKENS = 77


class ClapEncoder(nn.Module):
    """Waveforms and texts to unit embeddings; the score is the mean cosine of pairs, without a scale."""

    def __init__(self, model: Any, extractor: Any, tokenizer: Any) -> None:
        """Take transformers' `ClapModel`, feature extractor and tokenizer."""
        super().__init__()
        self.model = model
        self.extractor = extractor
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path, *, device: torch.device | str = "cpu") -> Self:
        """Return the encoder of a folder in transformers' layout; nothing is downloaded.

        Figures depend on the checkpoint, so name it beside them. Raises ModelError when a file is missing.
        """
        needed = ("config.json", "preprocessor_config.json")
        missing = [name for name in needed if not (folder / name).is_file()]
        if missing:
            raise ModelError(f"{folder} is no CLAP folder: {' and '.join(missing)} missing; copy it from the hub whole")
        check_published("transformers", "CLAP")
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

        try:
            model, loading = ClapModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            extractor = ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{folder} is no whole CLAP folder: {str(error).strip().splitlines()[0]}") from error
        absent = sorted(loading["missing_keys"])
        if absent:
            raise ModelError(f"{folder} lacks {len(absent)} tensors of CLAP, {absent[0]} among them")
        return frozen(cls(model, extractor, tokenizer), device)

    @property
    def sample_rate(self) -> int:
        return int(self.extractor.sampling_rate)

    @torch.no_grad()
    def embed_audio(self, waveforms: Sequence[Tensor]) -> Tensor:
        """Return unit embeddings (B, E) of `waveforms`, mono (S,) each at the model's rate; all after 10 s is left out.

        Cutting here keeps the extractor from drawing a random part. Raises InputError for empty or other shapes.
        """
        longest = int(self.extractor.nb_max_samples)
        for waveform in waveforms:
            if waveform.ndim != 1 or not len(waveform):
                raise InputError(f"CLAP hears waveforms (S,), not {tuple(waveform.shape)}")
        clips = [np.asarray(waveform[:longest].float().cpu()) for waveform in waveforms]
        given = self.extractor(clips, sampling_rate=self.sample_rate, padding="repeatpad", return_tensors="pt")
        # Fused models look closer at clips longer than 10 s. None is, but the extractor calls one at random so.
        return self._unit(
            self.model.get_audio_features(
                input_features=given["input_features"].to(self.model.device),
                is_longer=torch.zeros(len(clips), 1, dtype=torch.bool, device=self.model.device),
            )
        )

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Return unit embeddings (B, E) of `texts`, of which at most 77 tokens are read."""
        tokens = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self.model.device)
        return self._unit(self.model.get_text_features(tokens["input_ids"], attention_mask=tokens["attention_mask"]))

    @staticmethod
    def _unit(found: Any) -> Tensor:
        """Return unit vectors of what transformers returns: from version 5 an output object, before it a tensor."""
        embedding = found if isinstance(found, Tensor) else found.pooler_output
        return nn.functional.normalize(embedding, dim=1)
