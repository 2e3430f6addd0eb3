"""The networks of published tables as an evaluation takes them: how each reads a file, by protocol."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from foleykit.audio.files import read_waveform
from foleykit.core.checkpoint import sha256
from foleykit.core.errors import ModelError
from foleykit.core.suffixes import VIDEO_SUFFIXES
from foleykit.encoders.audio.cnn14 import Cnn14Encoder
from foleykit.encoders.audio.passt import PasstEncoder, pad_to_whole
from foleykit.encoders.audio.vggish import VggishEncoder
from foleykit.encoders.visual.imagebind import ImageBindEncoder
from foleykit.evaluation.metrics.paired_cosine import paired_cosine
from foleykit.evaluation.networks import NetworkName, PairNetwork, SoundFeatures, SoundNetwork
from foleykit.evaluation.protocols import ProtocolName
from foleykit.video.io import VideoReader
from foleykit.video.probe import probe

FRAME_RATE = Fraction(1, 2)
"""Pictures per second that ImageBind sees in av-benchmark."""


class VggishNetwork:
    """Every 0.96 s of a file, before the last ReLU; av-benchmark subtracts the file's mean, Action2Sound's tool not."""

    def __init__(self, folder: Path, *, is_centred: bool) -> None:
        self.encoder = VggishEncoder.load(folder)
        self.is_centred = is_centred
        self.identity = f"{sha256(folder / 'model.safetensors')} {'centred' if is_centred else 'as it is'}"

    def features(self, sound: Path, *, seconds: float | None) -> SoundFeatures:
        waveform = _mono(sound, self.encoder.config.sample_rate, seconds)
        return SoundFeatures(embeddings=self.encoder(waveform - waveform.mean() if self.is_centred else waveform))


class Cnn14Network:
    """A whole file, its mean subtracted."""

    def __init__(self, folder: Path) -> None:
        self.encoder = Cnn14Encoder.load(folder)
        self.identity = sha256(folder / "model.safetensors")

    def features(self, sound: Path, *, seconds: float | None) -> SoundFeatures:
        waveform = _mono(sound, self.encoder.config.sample_rate, seconds)
        tags = self.encoder((waveform - waveform.mean())[None])
        return SoundFeatures(embeddings=tags.embedding, logits=tags.logits[0])


class PasstNetwork:
    """The first ten seconds of a file; av-benchmark continues shorter ones with silence, AudioCraft does not."""

    def __init__(self, folder: Path, *, is_padded: bool) -> None:
        self.encoder = PasstEncoder.load(folder)
        self.is_padded = is_padded
        self.identity = f"{sha256(folder / 'model.safetensors')} {'padded' if is_padded else 'as it is'}"

    def features(self, sound: Path, *, seconds: float | None) -> SoundFeatures:
        config = self.encoder.config
        waveform = _mono(sound, config.sample_rate, seconds)[None, : config.num_samples]
        tags = self.encoder(pad_to_whole(waveform, config) if self.is_padded else waveform)
        return SoundFeatures(embeddings=tags.embedding, logits=tags.logits[0])


class ImageBindNetwork:
    """Cosine of a generated sound and the pictures of its reference, one every two seconds as in av-benchmark."""

    def __init__(self, folder: Path) -> None:
        self.encoder = ImageBindEncoder.load(folder)
        self.identity = sha256(folder / "model.safetensors")

    def score(self, sound: Path, reference: Path, *, seconds: float | None) -> float:
        """Return the cosine, NaN where the reference has no pictures or fewer than two of them."""
        if reference.suffix.lower() not in VIDEO_SUFFIXES:
            return float("nan")
        info = probe(reference)
        lasts = min(info.duration, Fraction(seconds)) if seconds is not None else info.duration
        reader = VideoReader(info, fps=FRAME_RATE, size=(info.height, info.width), end=lasts)
        frames = torch.cat([torch.from_numpy(chunk) for chunk in reader]).permute(0, 3, 1, 2)
        frames = frames[: int(FRAME_RATE * lasts)]
        if len(frames) < 2:
            return float("nan")
        waveform, _ = read_waveform(sound, sample_rate=self.encoder.config.audio.sample_rate, seconds=seconds)
        heard, seen = self.encoder.embed_audio(torch.from_numpy(waveform)), self.encoder.embed_video(frames)
        return float(paired_cosine(heard[None], seen[None]))


def open_published(folder: Path, protocol: ProtocolName) -> dict[NetworkName, SoundNetwork | PairNetwork]:
    """Return the networks in `folder`: vggish, cnn14, passt, imagebind, each as `foley models convert` writes it.

    Each follows the conventions of the tool that the protocol's published tables were measured with. Raises ModelError
    when there is none of them or one is damaged.
    """
    networks: dict[NetworkName, SoundNetwork | PairNetwork] = {}
    if (folder / "vggish").is_dir():
        networks["vggish"] = VggishNetwork(folder / "vggish", is_centred=protocol == "v2a")
    if (folder / "cnn14").is_dir():
        networks["panns"] = Cnn14Network(folder / "cnn14")
    if (folder / "passt").is_dir():
        networks["passt"] = PasstNetwork(folder / "passt", is_padded=protocol != "foleygen")
    if (folder / "imagebind").is_dir():
        networks["imagebind"] = ImageBindNetwork(folder / "imagebind")
    if not networks:
        raise ModelError(
            f"{folder}: holds none of the folders vggish, cnn14, passt, imagebind; see foley models convert"
        )
    return networks


def _mono(sound: Path, sample_rate: int, seconds: float | None) -> Tensor:
    """Return the sound (S,) of a file, channels averaged."""
    waveform, _ = read_waveform(sound, sample_rate=sample_rate, seconds=seconds, mono=True)
    return torch.from_numpy(waveform[0])
