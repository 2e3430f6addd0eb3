"""What an evaluation needs of a network: the one seam between figures and whatever listens or looks.

Figures are formed in `evaluation/media.py` from the features below, whichever network they come from. A protocol names
the networks that its figures need; the caller opens those it has and passes them by that name, and the figures of all
others are reported as left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from foleykit.audio.files import read_waveform
from foleykit.audio.resample import fit_length
from foleykit.core.checkpoint import sha256
from foleykit.evaluation.material_classifier import MaterialClassifier

NetworkName = Literal[
    "material", "vggish", "panns", "passt", "imagebind", "synchformer", "clap", "avsync", "action2sound-avsync"
]
NETWORKS: dict[NetworkName, str] = {
    "material": "a trained material classifier",
    "vggish": "VGGish",
    "panns": "PANNs Cnn14",
    "passt": "PaSST",
    "imagebind": "ImageBind",
    "synchformer": "Synchformer",
    "clap": "CLAP and captions",
    "avsync": "a trained sync classifier",
    "action2sound-avsync": "Action2Sound's sync classifier",
}
"""What a user knows them by."""


@dataclass(frozen=True, kw_only=True)
class SoundFeatures:
    """What a network hears in one sound."""

    embeddings: Tensor
    """(W, D) of windows, or of the whole sound (1, D)."""
    logits: Tensor | None = None
    """(C,) of the sound's classes, where the network names any."""


class SoundNetwork(Protocol):
    """Listens to one file. How it reads it (rate, channels, length) belongs to the network's definition."""

    @property
    def identity(self) -> str:
        """Which network with which weights: it enters the protocol's hash."""
        ...

    def features(self, sound: Path, *, seconds: float | None) -> SoundFeatures:
        """Return the features of at most the first `seconds` of a file."""
        ...


class PairNetwork(Protocol):
    """Scores how one sound fits one reference file, usually its pictures."""

    @property
    def identity(self) -> str:
        """Which network with which weights: it enters the protocol's hash."""
        ...

    def score(self, sound: Path, reference: Path, *, seconds: float | None) -> float:
        """Return the score of at most the first `seconds`; NaN where there is none."""
        ...


class MaterialNetwork:
    """The embedding of our material classifier, of windows that lie side by side."""

    def __init__(self, classifier: MaterialClassifier, identity: str) -> None:
        self.classifier = classifier
        self._identity = identity

    @classmethod
    def load(cls, folder: Path) -> MaterialNetwork:
        """Read the folder of a trained classifier. Raises ModelError when a file is missing or does not fit."""
        classifier = MaterialClassifier.load(folder)
        return cls(classifier, sha256(folder / "model.safetensors"))

    @property
    def identity(self) -> str:
        """The hash of the weights."""
        return self._identity

    def features(self, sound: Path, *, seconds: float | None) -> SoundFeatures:
        """Return the embeddings (W, D) of the windows that fit into the sound; a shorter sound fills one with zeros."""
        config = self.classifier.config
        waveform, _ = read_waveform(sound, sample_rate=config.sample_rate, seconds=seconds, mono=True)
        num_windows = max(1, waveform.shape[1] // config.num_samples)
        windows = fit_length(waveform[0], num_windows * config.num_samples).reshape(num_windows, -1)
        judged = self.classifier.judge(torch.from_numpy(np.ascontiguousarray(windows)))
        return SoundFeatures(embeddings=judged.embedding)
