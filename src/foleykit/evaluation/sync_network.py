"""The shipped sync classifier as an evaluation takes it: files in, a probability out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.audio.files import read_waveform
from foleykit.core.checkpoint import frozen, sha256, weights_digest, with_weights
from foleykit.core.config import from_dict
from foleykit.core.errors import MediaError, ModelError
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder
from foleykit.evaluation.pairing import VIDEO_SUFFIXES
from foleykit.evaluation.sync_classifier import SHIPPED, SyncClassifier
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe

ENCODER = Path(__file__).parents[1] / "weights" / "tiny-avldm"
"""The model whose video encoder the shipped classifier looks through."""
CHUNK_FRAMES = 250
"""Frames that are looked at in one piece."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SyncNetwork:
    """The probability that a sound is in time with the pictures of its reference."""

    classifier: SyncClassifier
    encoder: TwoRateEncoder
    identity: str
    """The hash of the classifier's weights and of the encoder's."""
    looks: dict[tuple[Path, float | None], Tensor] = field(default_factory=dict)
    """Features of the files seen last: a reference is scored with several sounds."""

    @classmethod
    def load(cls, folder: Path = SHIPPED, *, encoder: Path = ENCODER) -> SyncNetwork:
        """Read a classifier and the model folder whose encoder it was trained on.

        Raises ModelError when a file is missing, does not fit, or the encoder is another one.
        """
        classifier = SyncClassifier.load(folder)
        video = load_encoder(encoder)
        if weights_digest(video) != classifier.config.encoder:
            raise ModelError(
                f"the sync classifier in {folder} was trained on another video encoder than that of {encoder}; "
                "train it again: foley train sync"
            )
        identity = f"{sha256(folder / 'model.safetensors')} {classifier.config.encoder}"
        return cls(classifier=classifier, encoder=video, identity=identity)

    def score(self, sound: Path, reference: Path, *, seconds: float | None) -> float:
        """Return the probability, NaN where the reference has no pictures or either is shorter than a second."""
        if reference.suffix.lower() not in VIDEO_SUFFIXES:
            return float("nan")
        key = (reference, seconds)
        if key not in self.looks:
            if len(self.looks) > 16:
                self.looks.clear()
            try:
                self.looks[key] = self.look(read_pixels(reference, self.encoder.config, seconds))
            except MediaError:
                return float("nan")
        rate = self.classifier.config.sample_rate
        waveform, _ = read_waveform(sound, sample_rate=rate, seconds=seconds, mono=True)
        if min(len(self.looks[key]) / self.encoder.config.fps, waveform.shape[1] / rate) < 1:
            return float("nan")
        return self.classifier.probability(self.looks[key], torch.from_numpy(waveform[0]))

    @torch.inference_mode()
    def look(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return features (T, D) of frames (T, H, W, 3) at the encoder's rate and size."""
        # Pieces, since memory grows with the frames; what is seen across their edges is a trace.
        parts = [pixels[start : start + CHUNK_FRAMES] for start in range(0, len(pixels), CHUNK_FRAMES)]
        return torch.cat(
            [self.encoder(torch.from_numpy(part).permute(0, 3, 1, 2)[None].float().div_(255))[0] for part in parts]
        ).clone()


def read_pixels(video: Path, config: TwoRateConfig, seconds: float | None) -> NDArray[np.uint8]:
    """Return the frames (T, H, W, 3) of at most the first `seconds` of a video as its encoder takes them."""
    info = probe(video)
    end = info.duration if seconds is None else min(info.duration, Fraction(seconds))
    return np.concatenate(list(VideoReader(info, fps=config.fps, size=(config.size, config.size), end=end)))


def load_encoder(folder: Path) -> TwoRateEncoder:
    """Return the frozen video encoder of a model folder. Raises ModelError when it has none."""
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} holds no config.json: it is no model folder")
    values = json.loads(path.read_text())
    if not isinstance(values.get("video"), dict) or "motion_width" not in values["video"]:
        raise ModelError(f"{folder}: this model's video encoder is another one than the sync classifier looks through")
    config = from_dict(TwoRateConfig, values["video"], where="video")
    return frozen(with_weights(TwoRateEncoder(config), folder / "video.safetensors"), "cpu")
