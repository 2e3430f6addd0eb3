"""Kaldi's filter bank as the Audio Spectrogram Transformer takes it: 25 ms frames, HTK mel, natural logarithm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foleykit.audio.mel_filters import htk_triangles
from foleykit.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class KaldiBankConfig:
    sample_rate: int = 16_000
    """Samples per second of the waveform."""
    frame_length: int = 400
    """Samples of a frame: 25 ms."""
    hop_length: int = 160
    """Samples from one frame to the next: 10 ms."""
    n_fft: int = 512
    num_mels: int = 128
    min_hz: float = 20.0
    max_hz: float = 8_000.0
    pre_emphasis: float = 0.97
    mean: float = -4.26
    """Subtracted from the logarithm."""
    deviation: float = 9.14
    """Divides it; twice the deviation of AudioSet, by AST's convention."""

    def num_frames(self, num_samples: int) -> int:
        """Return how many whole frames lie in `num_samples`."""
        return max(0, 1 + (num_samples - self.frame_length) // self.hop_length)


class KaldiBank(nn.Module):
    """Waveforms to normalised log filter banks."""

    filters: Tensor
    window: Tensor

    def __init__(self, config: KaldiBankConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("filters", htk_triangles(config).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(config.frame_length, periodic=False), persistent=False)

    def forward(self, waveform: Tensor, num_frames: int) -> Tensor:
        """Return (B, num_frames, M) of `waveform` (B, S): cut, or continued with frames of zeros.

        Raises InputError where not one frame fits.
        """
        config = self.config
        if config.num_frames(waveform.shape[-1]) < 1:
            raise InputError(f"a filter bank needs {config.frame_length} samples, not {waveform.shape[-1]}")
        waveform = waveform - waveform.mean(dim=-1, keepdim=True)
        frames = waveform.unfold(-1, config.frame_length, config.hop_length)
        frames = frames - frames.mean(dim=-1, keepdim=True)
        before = torch.cat((frames[..., :1], frames[..., :-1]), dim=-1)
        frames = (frames - config.pre_emphasis * before) * self.window
        power = torch.fft.rfft(frames, config.n_fft).abs().square()
        energy = (power @ self.filters).clamp(min=torch.finfo(torch.float32).eps)
        bank = (energy.log() - config.mean) / config.deviation
        return nn.functional.pad(bank[:, :num_frames], (0, 0, 0, max(0, num_frames - bank.shape[1])))
