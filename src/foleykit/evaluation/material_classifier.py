"""Which material an impact sounds like: a small network on the log-mel around it, trained apart from every generator.

It also names the ambience and its level, so that its embedding hears both halves of a soundtrack in a Fréchet distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss

from foleykit.core.config import load_config, save_config
from foleykit.core.errors import ConfigError, InputError, ModelError
from foleykit.core.progress import Report, no_report
from foleykit.evaluation.impact_examples import DEFAULT_AUGMENTATION, ImpactAugmentation, ImpactExamples, draw_batch
from foleykit.evaluation.spectrogram import mel_filter_bank, power_spectrogram
from foleykit.world.types import AMBIENCE_KINDS, MATERIALS


@dataclass(frozen=True, kw_only=True)
class MaterialClassifierConfig:
    sample_rate: int = 16_000
    seconds: float = 0.5
    """Length of the window that is judged."""
    seconds_before: float = 0.1
    """Where in the window the impact lies."""
    num_mels: int = 64
    hop_seconds: float = 0.01
    channels: tuple[int, ...] = (16, 32, 64, 64)
    """Channels of the convolutions; each but the last halves time and frequency."""
    embedding_width: int = 64
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.seconds_before < self.seconds:
            raise ConfigError(f"the impact must lie inside the window, got {self.seconds_before} of {self.seconds} s")
        if len(self.channels) < 2:
            raise ConfigError("the classifier needs two convolutions or more")

    @property
    def num_samples(self) -> int:
        """Samples of a window."""
        return round(self.seconds * self.sample_rate)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the network hears in windows of sound."""

    material: Tensor
    """(B, 7) logits, in the order of `MATERIALS`."""
    ambience: Tensor
    """(B, 11) logits, in the order of `AMBIENCE_KINDS`; several may hold at once."""
    ambient_level: Tensor
    """(B,) RMS of the background, in units of 20 dB below full scale: -1 is -20 dBFS."""
    embedding: Tensor
    """(B, D)"""


class MaterialClassifier(nn.Module):
    """Convolutions on a level-free log-mel; the levels enter beside them, so that gain does not change the material."""

    bank: Tensor

    def __init__(self, config: MaterialClassifierConfig = MaterialClassifierConfig()) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bank", mel_filter_bank(257, config.num_mels, config.sample_rate, 50.0, 7800.0), False)
        layers: list[nn.Module] = []
        width = 1
        for index, channels in enumerate(config.channels):
            stride = 2 if index < len(config.channels) - 1 else 1
            layers += [
                nn.Conv2d(width, channels, 3, stride, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            width = channels
        self.convolutions = nn.Sequential(*layers)
        num_bands = -(-config.num_mels // 2 ** (len(config.channels) - 1))
        self.embed = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(2 * width * num_bands + 3, config.embedding_width), nn.GELU()
        )
        self.material = nn.Linear(config.embedding_width, len(MATERIALS))
        self.ambience = nn.Linear(config.embedding_width, len(AMBIENCE_KINDS))
        self.ambient_level = nn.Linear(config.embedding_width, 1)

    def mel_db(self, windows: Tensor) -> Tensor:
        """Return band powers (B, M, F) in dBFS, at least -90, of windows (B, S)."""
        hop_length = round(self.config.hop_seconds * self.config.sample_rate)
        power = power_spectrogram(windows, window_length=400, num_fft=512, hop_length=hop_length)
        return 10 * (self.bank @ power).clamp(min=1e-9).log10()

    def forward(self, mel_db: Tensor) -> Judgement:
        """Judge band powers (B, M, F) in dBFS as `mel_db` returns them."""
        top = mel_db.amax(dim=(1, 2), keepdim=True)
        level_free = ((mel_db - top).clamp(min=-70) + 35) / 20
        maps = self.convolutions(level_free[:, None])
        # The bands stay apart: which modes ring is what tells materials from each other.
        pooled = torch.cat([maps.mean(dim=3), maps.amax(dim=3)], dim=1).flatten(1)
        frame_levels = mel_db.mean(dim=1)
        levels = torch.stack([top[:, 0, 0], frame_levels.mean(1), frame_levels.quantile(0.1, dim=1)], dim=1) / 20
        embedding = self.embed(torch.cat([pooled, levels], dim=1))
        return Judgement(
            material=self.material(embedding),
            ambience=self.ambience(embedding),
            ambient_level=self.ambient_level(embedding)[:, 0],
            embedding=embedding,
        )

    @torch.no_grad()
    def judge(self, windows: Tensor) -> Judgement:
        """Judge windows (B, S) of sound, without training. Raises InputError for another length than the config's."""
        if windows.ndim != 2 or windows.shape[1] != self.config.num_samples:
            raise InputError(f"windows must be (B, {self.config.num_samples}), got {tuple(windows.shape)}")
        if self.training:
            raise InputError("call eval() on the classifier before it judges")
        return self.forward(self.mel_db(windows))

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        save_config(self.config, folder / "config.json")
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path) -> MaterialClassifier:
        """Read a saved classifier, ready to judge. Raises ModelError when a file is missing or does not fit."""
        model = cls(load_config(MaterialClassifierConfig, folder / "config.json"))
        path = folder / "model.safetensors"
        if not path.is_file():
            raise ModelError(f"{path}: no such file; a model folder holds config.json and model.safetensors")
        try:
            model.load_state_dict(load_file(path))
        except RuntimeError as error:
            raise ModelError(f"{path}: does not fit its config ({str(error).splitlines()[0]})") from error
        return model.eval()


def train_classifier(
    examples: ImpactExamples,
    *,
    config: MaterialClassifierConfig = MaterialClassifierConfig(),
    augmentation: ImpactAugmentation = DEFAULT_AUGMENTATION,
    num_steps: int = 1500,
    batch_size: int = 48,
    learning_rate: float = 2e-3,
    seed: int = 0,
    report: Report = no_report,
) -> MaterialClassifier:
    """Return a classifier trained on real stems at random levels, over random backgrounds; `seed` decides all of it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MaterialClassifier(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.02)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=num_steps, pct_start=0.1)
        model.train()
        for step in range(num_steps):
            batch = draw_batch(examples, batch_size, config.num_samples, augmentation, generator)
            mel = model.mel_db(batch.windows)
            # A random tilt and curve over the bands: microphones and vocoders colour a sound, materials do not change.
            height = torch.linspace(-1, 1, mel.shape[1])
            bend = torch.randn(batch_size, 3, generator=generator) * augmentation.colour_db
            curves = torch.stack([height, torch.sin(torch.pi * height), torch.cos(torch.pi * height)])
            heard = model(mel + (bend @ curves)[:, :, None])
            has_impact = batch.material >= 0
            loss = cross_entropy(heard.material[has_impact], batch.material[has_impact], label_smoothing=0.05)
            loss = loss + 0.5 * binary_cross_entropy_with_logits(heard.ambience, batch.ambience)
            loss = loss + 0.5 * smooth_l1_loss(heard.ambient_level, batch.ambient_level_db / 20)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
            report("classifier", (step + 1) / num_steps)
    return model.eval()
