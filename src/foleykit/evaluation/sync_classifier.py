"""Whether a sound is in time with pictures: two small towers of our own, trained apart from every generator.

Pictures enter as the features of a frozen video encoder, sound as a log-mel. The towers make one embedding per 40 ms of
either. Their correlation at every shift of up to 0.6 s says at which shift the two belong together, if at any (SyncNet,
Chung and Zisserman 2016, compares towers in the same way; here the shift is one of a fixed number of classes, "none of
them" included, as in Synchformer, Iashin et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import frozen, save_weights, with_weights
from foleykit.core.config import load_config, save_config
from foleykit.core.errors import ConfigError, InputError
from foleykit.encoders.visual.two_rate import TemporalBlock
from foleykit.evaluation.spectrogram import mel_filter_bank, power_spectrogram

SHIPPED = Path(__file__).parents[1] / "weights" / "judges" / "sync"
"""Folder of the weights that come with the package."""


@dataclass(frozen=True, kw_only=True)
class SyncClassifierConfig:
    encoder: str = ""
    """Hash of the weights of the video encoder whose features are judged; others mean nothing to the towers."""
    video_width: int = 192
    """Channels of those features."""
    video_fps: float = 25.0
    """Features per second."""
    tower_width: int = 64
    """Channels of the tower that looks."""
    sample_rate: int = 16_000
    num_mels: int = 64
    mel_frames: int = 4
    """Mel frames per video frame; a power of two."""
    audio_width: int = 96
    """Channels of the tower that listens."""
    num_blocks: int = 3
    """Residual temporal convolutions of either tower."""
    embedding_width: int = 32
    max_shift: int = 15
    """Largest shift, in video frames, that is looked at."""
    tolerance: int = 2
    """Shifts of up to this many frames count as in time: 80 ms."""
    window_frames: int = 75
    """Frames that are judged at once: 3 s."""

    def __post_init__(self) -> None:
        if self.mel_frames & (self.mel_frames - 1) or self.sample_rate % round(self.mel_frames * self.video_fps):
            raise ConfigError(f"mel_frames {self.mel_frames} must be a power of two that divides a frame's samples")
        if not 0 <= self.tolerance < self.max_shift < self.window_frames:
            raise ConfigError(
                f"tolerance {self.tolerance}, max_shift {self.max_shift}, window_frames {self.window_frames} must rise"
            )

    @property
    def hop_length(self) -> int:
        """Samples per video frame."""
        return round(self.sample_rate / self.video_fps)


def temporal_blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(TemporalBlock(width, 2**block) for block in range(count)))


class AudioTower(nn.Module):
    """Log-mel to one embedding per video frame."""

    bank: Tensor

    def __init__(self, config: SyncClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bank", mel_filter_bank(257, config.num_mels, config.sample_rate, 50.0, 7800.0), False)
        width = config.audio_width
        layers: list[nn.Module] = [nn.Conv1d(config.num_mels, width, 5, padding=2), nn.GELU()]
        for _ in range(config.mel_frames.bit_length() - 1):
            layers += [nn.Conv1d(width, width, 4, stride=2, padding=1), nn.GELU()]
        self.shrink = nn.Sequential(*layers)
        self.blocks = temporal_blocks(width, config.num_blocks)
        self.project = nn.Conv1d(width, config.embedding_width, 1)

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Return band powers (B, M, F), in units of 20 dB around -50 dBFS, of `waveform` (B, S)."""
        hop_length = self.config.hop_length // self.config.mel_frames
        power = power_spectrogram(waveform, window_length=400, num_fft=512, hop_length=hop_length)
        num_frames = waveform.shape[1] // self.config.hop_length * self.config.mel_frames
        return ((self.bank @ power[..., :num_frames]).clamp(min=1e-9).log10() * 10 + 50) / 20

    def forward(self, log_mel: Tensor) -> Tensor:
        """Return embeddings (B, E, T) of `log_mel` (B, M, F) as the method of that name gives it."""
        return self.project(self.blocks(self.shrink(log_mel)))


class SyncClassifier(nn.Module):
    """The two towers, their correlation, and the calibration of what it says."""

    slope: Tensor
    intercept: Tensor

    def __init__(self, config: SyncClassifierConfig = SyncClassifierConfig()) -> None:
        super().__init__()
        self.config = config
        width = config.tower_width
        self.video = nn.Sequential(
            nn.Conv1d(config.video_width, width, 3, padding=1),
            temporal_blocks(width, config.num_blocks),
            nn.Conv1d(width, config.embedding_width, 1),
        )
        self.audio = AudioTower(config)
        self.log_scale = nn.Parameter(torch.tensor(0.0))
        self.unrelated = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("slope", torch.tensor(1.0))
        self.register_buffer("intercept", torch.tensor(0.0))

    def embed_video(self, features: Tensor) -> Tensor:
        """Return (B, E, T) of `features` (B, T, D) of the encoder that the config names."""
        return self.video(features.transpose(1, 2))

    def embed_audio(self, waveform: Tensor) -> Tensor:
        """Return (B, E, T) of `waveform` (B, S) in [-1, 1]; T = S // hop_length."""
        return self.audio(self.audio.log_mel(waveform))

    def evidence(self, video: Tensor, audio: Tensor) -> Tensor:
        """Return logits (B, 2 R + 2) of the shifts -R to R of the sound, in frames, and of no relation at all.

        At shift d the sound comes d frames later than the pictures. `video` and `audio` are (B, E, T).
        """
        largest, length = self.config.max_shift, video.shape[2]
        video, audio = (part.float() - part.float().mean(dim=2, keepdim=True) for part in (video, audio))
        # As many zeros on either side as the largest shift: what is shifted out of the window is no evidence.
        padded = nn.functional.pad(audio, (largest, largest)).unfold(2, length, 1)  # (B, E, 2 R + 1, T)
        correlation = torch.einsum("bet,best->bs", video, padded) / self.config.window_frames
        unrelated = self.unrelated.expand(len(video), 1)
        return torch.cat((self.log_scale.exp() * correlation, unrelated), dim=1)

    def raw_log_odds(self, evidence: Tensor) -> Tensor:
        """Return (B,) log-odds of "in time" against every larger shift and no relation, before calibration."""
        middle, tolerance = self.config.max_shift, self.config.tolerance
        is_near = torch.zeros(evidence.shape[1], dtype=torch.bool, device=evidence.device)
        is_near[middle - tolerance : middle + tolerance + 1] = True
        return evidence[:, is_near].logsumexp(dim=1) - evidence[:, ~is_near].logsumexp(dim=1)

    @torch.no_grad()
    def probability(self, features: Tensor, waveform: Tensor) -> float:
        """Return the mean probability that `waveform` (S,) is in time with the pictures behind `features` (T, D).

        It is calibrated to clips of 3 s half of which are in time; windows of that length overlap by half. Raises
        InputError when there is less than a second of both.
        """
        config = self.config
        length = min(len(features), len(waveform) // config.hop_length)
        if length < config.video_fps:
            raise InputError(f"a sync score needs a second of pictures and sound, there are {length} frames of both")
        video = self.embed_video(features[None, :length])
        audio = self.embed_audio(waveform[None, : length * config.hop_length])
        spans = window_spans(length, config.window_frames)
        windows = [self.evidence(video[..., span], audio[..., span]) for span in spans]
        return float(self.calibrated(self.raw_log_odds(torch.cat(windows))).mean())

    def calibrated(self, raw_log_odds: Tensor) -> Tensor:
        """Return probabilities in [0, 1] of raw log-odds (Platt 1999)."""
        return (self.slope * raw_log_odds + self.intercept).sigmoid()

    def calibrate_(self, raw_log_odds: Tensor, is_in_time: Tensor) -> None:
        """Fit the calibration to raw log-odds (N,) of pairs that are, or are not, in time (N,), by Newton's method."""
        inputs = torch.stack((raw_log_odds.double(), torch.ones(len(raw_log_odds), dtype=torch.float64)), dim=1)
        weights = torch.zeros(2, dtype=torch.float64)
        for _ in range(50):
            probability = (inputs @ weights).sigmoid()
            gradient = inputs.T @ (probability - is_in_time.double())
            # A trace of ridge keeps separable pairs finite.
            hessian = inputs.T @ (inputs * (probability * (1 - probability))[:, None]) + 1e-3 * torch.eye(2)
            weights = weights - torch.linalg.solve(hessian, gradient)
        self.slope.fill_(weights[0].item())
        self.intercept.fill_(weights[1].item())

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, as fp16."""
        save_weights(self, folder / "model.safetensors", half=True)
        save_config(self.config, folder / "config.json")

    @classmethod
    def load(cls, folder: Path = SHIPPED, *, device: str = "cpu") -> SyncClassifier:
        """Read a saved classifier, ready to judge. Raises ModelError when a file is missing or does not fit."""
        model = cls(load_config(SyncClassifierConfig, folder / "config.json"))
        return frozen(with_weights(model, folder / "model.safetensors"), device)


def window_spans(length: int, window: int) -> Sequence[slice]:
    """Return windows that overlap by about half, the last one flush with the end; one in all when `length` is short."""
    count = max(1, -(-2 * (length - window) // window) + 1)
    starts = [round(index * max(0, length - window) / max(1, count - 1)) for index in range(count)]
    return [slice(start, min(start + window, length)) for start in starts]
