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
from foleykit.core.checkpoint import frozen, save_weights, sha256, weights_digest, with_weights
from foleykit.core.config import from_dict, save_config
from foleykit.core.errors import MediaError, ModelError
from foleykit.core.suffixes import VIDEO_SUFFIXES
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder
from foleykit.evaluation.sync_classifier import SHIPPED, SyncClassifier
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe

OWN_ENCODER = "video.json"
"""Config of the encoder in a classifier's folder."""
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
    def load(cls, folder: Path = SHIPPED) -> SyncNetwork:
        """Read a classifier and the video encoder that it was trained on, which lies beside it.

        The encoder is the classifier's own: a model's may be trained further without changing what a score means.
        Raises ModelError when a file is missing, does not fit, or the encoder is another one.
        """
        classifier = SyncClassifier.load(folder)
        encoder = load_encoder(folder)
        if weights_digest(encoder) != classifier.config.encoder:
            raise ModelError(f"{folder}: the classifier was trained on another video encoder; run foley train sync")
        identity = f"{sha256(folder / 'model.safetensors')} {classifier.config.encoder}"
        return cls(classifier=classifier, encoder=encoder, identity=identity)

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
    """Return the frozen video encoder of a model's or a classifier's folder. Raises ModelError when it has none."""
    own = folder / OWN_ENCODER
    path = own if own.is_file() else folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} holds no config.json: it is no model folder")
    values = json.loads(path.read_text())
    values = values if path == own else values.get("video")
    if not isinstance(values, dict) or "motion_width" not in values:
        raise ModelError(f"{folder}: this model's video encoder is another one than the sync classifier looks through")
    config = from_dict(TwoRateConfig, values, where="video")
    return frozen(with_weights(TwoRateEncoder(config), folder / "video.safetensors"), "cpu")


def save_encoder(encoder: TwoRateEncoder, folder: Path) -> None:
    """Put a classifier's encoder beside it."""
    save_weights(encoder, folder / "video.safetensors", half=True)
    save_config(encoder.config, folder / OWN_ENCODER)
