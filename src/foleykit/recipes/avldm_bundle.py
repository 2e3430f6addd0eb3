"""The stages of a finished run as one model folder, with what is fitted to them and trained nowhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.codecs.mel_vae import MelVae
from foleykit.core.checkpoint import save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import UsageError
from foleykit.encoders.similarity import AvSimilarity
from foleykit.encoders.visual.steering import FILE_NAME as STEERING
from foleykit.encoders.visual.steering import OnsetSteering
from foleykit.encoders.visual.two_rate import TwoRateEncoder, features_of
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.avldm.network import Denoiser
from foleykit.models.avldm.objective import VideoObjective
from foleykit.models.events import FILE_NAME as EVENTS
from foleykit.models.events import EventReader
from foleykit.recipes.avldm_run import TrainArgs, config_of, trained
from foleykit.recipes.avldm_sound import waveform_codec
from foleykit.recipes.avldm_world import encoded, frozen_stages
from foleykit.recipes.world_data import open_world

NUM_CONTACT_VIDEOS = 48
"""Long videos on which the evidence of contact is measured."""


def bundle(args: TrainArgs, destination: Path) -> None:
    """Write the trained stages of a run as one model folder: config.json and one fp16 safetensors file per part.

    Raises UsageError when `destination` already holds a model.
    """
    if (destination / "config.json").exists():
        raise UsageError(f"{destination} already holds a model; choose another folder or remove it first")
    config = config_of(args)
    codec, encoder = frozen_stages(args, config)
    sounding = trained(waveform_codec(config), args, "decoder")
    parts: dict[str, nn.Module] = {
        "codec": sounding.mel_vae,
        "video": encoder,
        "vocoder": sounding.vocoder,
        "denoiser": trained(Denoiser(config.denoiser), args, "generator"),
        "similarity": trained(AvSimilarity(config.similarity), args, "similarity"),
    }
    destination.mkdir(parents=True, exist_ok=True)
    for name, module in parts.items():
        save_weights(module, destination / f"{name}.safetensors", half=True)
    save_weights(fitted_steering(args, config, codec, encoder), destination / STEERING, half=True)
    save_weights(fitted_events(args, config, codec, encoder), destination / EVENTS, half=True)
    save_config(config, destination / "config.json")


def fitted_steering(args: TrainArgs, config: AvLdmConfig, codec: MelVae, encoder: TwoRateEncoder) -> OnsetSteering:
    """Return what turns the features of footage unlike the training videos, by the trained onset head."""
    supervised = trained(VideoObjective(TwoRateEncoder(config.video)).model, args, "video")
    means = [
        torch.from_numpy(np.float32(video.features)).mean(dim=0) for video in encoded(args, "train", codec, encoder)
    ]
    contact = [
        features_of(encoder, [np.array(video.frames)], torch.device(args.device))[1]
        for video in open_world(args.data, "train")[:NUM_CONTACT_VIDEOS]
    ]
    steering = OnsetSteering(config.video.width)
    steering.fit_(supervised.heads.onset.cpu(), torch.stack(means), torch.cat(contact))
    return steering


def fitted_events(args: TrainArgs, config: AvLdmConfig, codec: MelVae, encoder: TwoRateEncoder) -> EventReader:
    """Return what reads events from features, by the trained heads and what the training videos truly hold.

    How sure it may be is learnt from the held-out videos: the encoder knows the others better than any to come.
    """
    supervised = trained(VideoObjective(TwoRateEncoder(config.video)).model, args, "video")
    videos = encoded(args, "train", codec, encoder)
    features, track = (
        _float(np.concatenate([getattr(video, name) for video in videos])) for name in ("features", "track")
    )
    reader = EventReader(config.video.width)
    reader.fit_(supervised.heads.cpu(), features, track)
    held_out = encoded(args, "valid", codec, encoder)
    reader.fit_confidence_([(_float(video.features), _float(video.track)) for video in held_out])
    return reader


def _float(values: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
