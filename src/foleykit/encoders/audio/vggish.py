"""VGGish (Hershey et al. 2017): one embedding per second of sound, which the Fréchet audio distance is measured in.

Parameters carry the names of the published PyTorch file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from foleykit.audio.mel_filters import htk_triangles
from foleykit.core.checkpoint import build_with_weights, check_entries, frozen, load_tensors, shapes_of
from foleykit.core.config import load_config
from foleykit.core.errors import ConfigError, InputError, ModelError

PCA_FILE = "pca.safetensors"


@dataclass(frozen=True, kw_only=True)
class VggishConfig:
    kind: Literal["vggish"] = "vggish"
    """Tells a saved network of this kind from others."""
    sample_rate: int = 16_000
    frame_length: int = 400
    """Samples under the window: 25 ms."""
    hop_length: int = 160
    n_fft: int = 512
    num_mels: int = 64
    min_hz: float = 125.0
    max_hz: float = 7_500.0
    offset: float = 0.01
    """Added to the mel magnitude before the logarithm."""
    num_frames: int = 96
    """Mel frames of an example; examples lie side by side."""
    widths: tuple[tuple[int, ...], ...] = ((64,), (128,), (256, 256), (512, 512))
    """Channels of the convolutions of each stage; every stage halves both axes."""
    hidden_width: int = 4096
    embedding_width: int = 128

    def __post_init__(self) -> None:
        if self.kind != "vggish":
            raise ConfigError(f'kind is "vggish", not "{self.kind}"')
        if self.num_frames % self.reduction or self.num_mels % self.reduction:
            raise ConfigError(f"num_frames and num_mels must be divisible by {self.reduction}, once 2 per stage")

    @property
    def reduction(self) -> int:
        """Mel frames, and bins, per position of the last stage."""
        return int(2 ** len(self.widths))

    @property
    def flat_width(self) -> int:
        """Values of an example after the last stage."""
        return (self.num_frames // self.reduction) * (self.num_mels // self.reduction) * self.widths[-1][-1]

    @property
    def example_length(self) -> int:
        """Samples that one example needs; 15 ms more than its hop, because its last frame reaches beyond it."""
        return (self.num_frames - 1) * self.hop_length + self.frame_length


def log_mel_examples(waveform: Tensor, config: VggishConfig) -> Tensor:
    """Return log-mel examples (N, 1, F, M) of `waveform` (S,) in [-1, 1]; what follows the last whole one is left out.

    Raises InputError where not one example fits, which the reference implementation passes over in silence.
    """
    if waveform.ndim != 1 or len(waveform) < config.example_length:
        raise InputError(
            f"VGGish needs one channel of at least {config.example_length} samples at {config.sample_rate} Hz "
            f"({config.example_length / config.sample_rate:g} s), not {tuple(waveform.shape)}"
        )
    # Computed in float64, as in the reference: near silence the logarithm shows float32's rounding.
    frames = waveform.double().unfold(0, config.frame_length, config.hop_length)
    window = torch.hann_window(config.frame_length, dtype=torch.float64, device=waveform.device)
    magnitude = torch.fft.rfft(frames * window, config.n_fft).abs()
    log_mel = (magnitude @ htk_triangles(config).to(waveform.device) + config.offset).log()
    num_examples = len(log_mel) // config.num_frames
    return log_mel[: num_examples * config.num_frames].unflatten(0, (num_examples, 1, config.num_frames)).float()


class Vggish(nn.Module):
    """Log-mel examples to embeddings."""

    def __init__(self, config: VggishConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        width_in = 1
        for stage in config.widths:
            for width in stage:
                layers += [nn.Conv2d(width_in, width, 3, padding=1), nn.ReLU()]
                width_in = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(config.flat_width, config.hidden_width),
            nn.ReLU(),
            nn.Linear(config.hidden_width, config.hidden_width),
            nn.ReLU(),
            nn.Linear(config.hidden_width, config.embedding_width),
        )

    def forward(self, examples: Tensor) -> Tensor:
        """Return embeddings (N, E) of `examples` (N, 1, F, M), before the ReLU that some implementations end with."""
        # Weights were trained in TensorFlow, where channels come last: (time, mel, channel) is flattened.
        return self.embeddings(self.features(examples).permute(0, 2, 3, 1).flatten(1))


class VggishPca(nn.Module):
    """The published postprocessing: whitened principal components, rounded to bytes. Distances do not use it."""

    eigen_vectors: Tensor
    means: Tensor

    def __init__(self, eigen_vectors: Tensor, means: Tensor) -> None:
        """Keep the rows of `eigen_vectors` (E, E) and the `means` (E,) of embeddings."""
        super().__init__()
        self.register_buffer("eigen_vectors", eigen_vectors)
        self.register_buffer("means", means.flatten())

    def whiten(self, embeddings: Tensor) -> Tensor:
        """Return components (N, E) of `embeddings` (N, E), which are those after the last ReLU."""
        return (embeddings - self.means) @ self.eigen_vectors.T

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return whole numbers (N, E) from 0 to 255, as floats, of `embeddings` (N, E)."""
        return ((self.whiten(embeddings).clamp(-2, 2) + 2) * (255 / 4)).round()


class VggishEncoder(nn.Module):
    """Waveforms to embeddings, with the front end."""

    def __init__(self, network: Vggish, pca: VggishPca | None = None) -> None:
        super().__init__()
        self.config = network.config
        self.network = network
        self.pca = pca

    @classmethod
    def load(cls, folder: Path, *, device: torch.device | str = "cpu") -> Self:
        """Return the encoder of a converted folder; raises ModelError when it is missing or damaged."""
        config = load_config(VggishConfig, folder / "config.json")
        network = build_with_weights(lambda: Vggish(config), folder / "model.safetensors")
        pca = None
        if (folder / PCA_FILE).is_file():
            tensors = load_tensors(folder / PCA_FILE)
            check_entries(tensors, pca_shapes(config), source=PCA_FILE)
            pca = VggishPca(tensors["eigen_vectors"], tensors["means"])
        return frozen(cls(network, pca), device)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        """Return embeddings (N, E) of `waveform` (S,), mono at the config's rate: one per 0.96 s.

        A Fréchet audio distance takes those of all clips as rows of one table.
        """
        return self.network(log_mel_examples(waveform, self.config))


def pca_shapes(config: VggishConfig) -> dict[str, tuple[int, ...]]:
    width = config.embedding_width
    return {"eigen_vectors": (width, width), "means": (width,)}


def from_published(
    entries: Mapping[str, Tensor], config: VggishConfig, *, source: str
) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Return the network's tensors and, where the file is that of the whole hub module, those of the PCA.

    `source` names the file in errors. Raises ModelError when a name is missing or unknown or a shape differs.
    """
    own = shapes_of(lambda: Vggish(config))
    pca = {name: tensor for name, tensor in entries.items() if name.startswith("pproc.")}
    check_entries(entries, own, source=source, ignored=pca.keys())
    tensors = {name: entries[name].float() for name in own}
    if not pca:
        return tensors, None
    return tensors, pca_from_published(
        {name.removeprefix("pproc."): tensor for name, tensor in pca.items()}, config, source=source
    )


def pca_from_published(entries: Mapping[str, Tensor], config: VggishConfig, *, source: str) -> dict[str, Tensor]:
    """Return the PCA's tensors; raises ModelError when a name is missing or unknown or a shape differs."""
    flat = {name: tensor.flatten() if name == "pca_means" else tensor for name, tensor in entries.items()}
    check_entries(flat, {f"pca_{name}": shape for name, shape in pca_shapes(config).items()}, source=source)
    tensors = {name.removeprefix("pca_"): tensor.float() for name, tensor in flat.items()}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ModelError(f"{source} holds numbers that are not finite")
    return tensors
