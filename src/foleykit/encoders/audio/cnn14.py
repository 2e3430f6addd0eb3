"""PANNs' Cnn14 (Kong et al. 2020) at 16 and 32 kHz: a clip of any length to an embedding and AudioSet's classes.

Parameters carry the names of the published files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from foleykit.audio.mel_filters import slaney_filters
from foleykit.core.checkpoint import build_with_weights, check_entries, frozen, shapes_of
from foleykit.core.config import load_config
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.encoders.audio.tags import AudioTags

COSINES = "spectrogram_extractor.stft.conv_real.weight"
SINES = "spectrogram_extractor.stft.conv_imag.weight"
FILTERS = "logmel_extractor.melW"
COUNTER = "num_batches_tracked"
FRONT_END_TOLERANCE = 1e-5
"""How far a file's own front end may be from ours."""


@dataclass(frozen=True, kw_only=True)
class Cnn14Config:
    kind: Literal["cnn14"] = "cnn14"
    """Tells a saved network of this kind from others."""
    sample_rate: int = 32_000
    n_fft: int = 1024
    """FFT size, which is also the length of the Hann window."""
    hop_length: int = 320
    num_mels: int = 64
    """Mel bins, Slaney scale and area normalisation."""
    min_hz: float = 50.0
    max_hz: float = 14_000.0
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    """Channels of each block; every block but the last halves both axes."""
    num_classes: int = 527

    def __post_init__(self) -> None:
        if self.kind != "cnn14":
            raise ConfigError(f'kind is "cnn14", not "{self.kind}"')
        if not 0 <= self.min_hz < self.max_hz <= self.sample_rate / 2:
            raise ConfigError(f"mel range {self.min_hz} to {self.max_hz} Hz does not fit {self.sample_rate} Hz sound")

    @property
    def reduction(self) -> int:
        """Mel frames, and bins, per position of the last block."""
        return int(2 ** (len(self.widths) - 1))


def cnn14_32k() -> Cnn14Config:
    """`Cnn14_mAP=0.431.pth`."""
    return Cnn14Config()


def cnn14_16k() -> Cnn14Config:
    """`Cnn14_16k_mAP=0.438.pth`."""
    return Cnn14Config(sample_rate=16_000, n_fft=512, hop_length=160, max_hz=8_000.0)


class DecibelMel(nn.Module):
    """Waveforms to log-mel power in dB; frame f is centred on sample f hop_length."""

    filters: Tensor
    window: Tensor

    def __init__(self, config: Cnn14Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("filters", slaney_filters(config), persistent=False)
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return (B, 1, F, M) of `waveform` (B, S): F = 1 + S // hop_length.

        Raises InputError where the network would be left without a frame.
        """
        config = self.config
        shortest = (config.reduction - 1) * config.hop_length
        if waveform.ndim != 2 or waveform.shape[1] < shortest:
            raise InputError(
                f"Cnn14 needs (B, S) of at least {shortest} samples at {config.sample_rate} Hz "
                f"({shortest / config.sample_rate:g} s), not {tuple(waveform.shape)}"
            )
        spectrum = torch.stft(
            waveform.float(),
            config.n_fft,
            config.hop_length,
            window=self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        power = spectrum.abs().square().transpose(1, 2) @ self.filters
        return (10 * power.clamp(min=1e-10).log10())[:, None]


class ConvBlock(nn.Module):
    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        return self.bn2(self.conv2(x)).relu()


class Cnn14(nn.Module):
    """Log-mel pictures to embeddings and logits."""

    def __init__(self, config: Cnn14Config) -> None:
        super().__init__()
        self.config = config
        self.bn0 = nn.BatchNorm2d(config.num_mels)
        for index, (width_in, width) in enumerate(zip((1, *config.widths), config.widths, strict=False), start=1):
            self.add_module(f"conv_block{index}", ConvBlock(width_in, width))
        self.fc1 = nn.Linear(config.widths[-1], config.widths[-1])
        self.fc_audioset = nn.Linear(config.widths[-1], config.num_classes)

    def forward(self, log_mel: Tensor) -> AudioTags:
        """Return embeddings, after their ReLU, and logits of `log_mel` (B, 1, F, M) in dB."""
        x = self.bn0(log_mel.transpose(1, 3)).transpose(1, 3)
        last = len(self.config.widths)
        for index in range(1, last + 1):
            x = self.get_submodule(f"conv_block{index}")(x)
            if index < last:
                x = nn.functional.avg_pool2d(x, 2)
        x = x.mean(dim=3)
        embedding = self.fc1(x.amax(dim=2) + x.mean(dim=2)).relu()
        return AudioTags(embedding=embedding, logits=self.fc_audioset(embedding))


class Cnn14Encoder(nn.Module):
    """Waveforms to embeddings and logits, with the front end."""

    def __init__(self, network: Cnn14) -> None:
        super().__init__()
        self.config = network.config
        self.front_end = DecibelMel(network.config)
        self.network = network

    @classmethod
    def load(cls, folder: Path, *, device: torch.device | str = "cpu") -> Self:
        """Return the encoder of a converted folder; raises ModelError when it is missing or damaged."""
        config = load_config(Cnn14Config, folder / "config.json")
        return frozen(cls(build_with_weights(lambda: Cnn14(config), folder / "model.safetensors")), device)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> AudioTags:
        """Return embeddings and logits of `waveform` (B, S), mono at the config's rate."""
        return self.network(self.front_end(waveform))


def config_of(entries: Mapping[str, Tensor], *, source: str) -> Cnn14Config:
    """Return the configuration that a published file is for, told by the size of its own FFT. Raises ModelError."""
    filters = entries.get(FILTERS)
    for config in (cnn14_32k(), cnn14_16k()):
        if filters is not None and tuple(filters.shape) == (config.n_fft // 2 + 1, config.num_mels):
            return config
    found = "is absent" if filters is None else f"has shape {tuple(filters.shape)}"
    raise ModelError(f"{source} is neither Cnn14 nor Cnn14_16k: {FILTERS} {found}")


def from_published(entries: Mapping[str, Tensor], config: Cnn14Config, *, source: str) -> dict[str, Tensor]:
    """Return the network's tensors from those under `model` in a published file, which `source` names in errors.

    The file carries its own front end; it must be ours. Raises ModelError when a name is missing or unknown, a shape
    differs, or the front end is another one.
    """
    own = shapes_of(lambda: Cnn14(config))
    counters = {name for name in own if name.endswith(COUNTER)}
    front_end = front_end_entries(config)
    shapes = {name: shape for name, shape in own.items() if name not in counters}
    shapes |= {name: tuple(values.shape) for name, values in front_end.items()}
    check_entries(entries, shapes, source=source, ignored=counters)
    for name, values in front_end.items():
        found = entries[name].float()
        # The sign of the sines is a convention; only their squares count.
        error = min(float((found - sign * values).abs().max()) for sign in ((1, -1) if name == SINES else (1,)))
        if not error <= FRONT_END_TOLERANCE:
            raise ModelError(f"{source} was trained with another front end: {name} differs by up to {error:.1e}")
    # Counters of training steps have no use here; very old files have none.
    zero = torch.zeros((), dtype=torch.long)
    return {name: zero.clone() if name in counters else entries[name].float() for name in own}


def front_end_entries(config: Cnn14Config) -> dict[str, Tensor]:
    """Return what published files store of the front end: windowed cosines and sines (K, 1, n_fft), filters (K, M)."""
    steps = torch.arange(config.n_fft, dtype=torch.float64)
    turns = torch.arange(config.n_fft // 2 + 1, dtype=torch.float64)[:, None] * steps / config.n_fft
    window = torch.hann_window(config.n_fft, dtype=torch.float64)
    angles = 2 * torch.pi * (turns % 1)
    return {
        COSINES: (angles.cos() * window)[:, None].float(),
        SINES: (-angles.sin() * window)[:, None].float(),
        FILTERS: DecibelMel(config).filters,
    }
