"""Looks at a scene once and listens to any number of takes of it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.audio.resample import resample
from foleykit.core.checkpoint import weights_digest
from foleykit.core.progress import Report
from foleykit.evaluation.sync_classifier import SyncClassifier
from foleykit.evaluation.sync_network import CHUNK_FRAMES, SyncNetwork
from foleykit.jobs.adapters import Model
from foleykit.jobs.scene import Scene
from foleykit.jobs.selection import Verdict, faults_of
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.video.io import VideoReader


class Judge:
    """Scores takes of one scene with the shipped sync classifier."""

    def __init__(self, classifier: SyncClassifier, features: Tensor) -> None:
        """`features` (T, D) are what the classifier's encoder sees in the scene."""
        self._classifier = classifier
        self._features = features

    @classmethod
    def watching(cls, scene: Scene, model: Model, report: Report) -> Judge:
        """Return a judge of takes for `scene`, which is looked at again unless `model` saw it with the same encoder."""
        classifier = SyncClassifier.load()
        if isinstance(model, AvLdmPipeline) and weights_digest(model.video) == classifier.config.encoder:
            return cls(classifier, scene.frame_features.values.float())
        report("watch", 0)
        network = SyncNetwork.load()
        config = network.encoder.config
        reader = VideoReader(
            scene.info,
            fps=config.fps,
            size=(config.size, config.size),
            start=scene.start,
            end=scene.end,
            chunk_frames=CHUNK_FRAMES,
        )
        features = torch.cat([network.look(chunk) for chunk in reader])
        report("watch", 1)
        return cls(classifier, features)

    def __call__(self, waveform: NDArray[np.float32], sample_rate: int, seed: int) -> Verdict:
        """Return the verdict on a take (1, S) of the scene."""
        return Verdict(seed=seed, sync=self._sync(waveform, sample_rate), faults=faults_of(waveform[0], sample_rate))

    def _sync(self, waveform: NDArray[np.float32], sample_rate: int) -> float | None:
        config = self._classifier.config
        sound = resample(waveform, sample_rate, config.sample_rate)[0]
        if min(len(self._features), len(sound) // config.hop_length) < config.video_fps:
            return None
        return self._classifier.probability(self._features, torch.from_numpy(np.ascontiguousarray(sound)))
