"""A denoiser without a network: bands that stay near their own quiet level are turned down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SpectralGateConfig:
    n_fft: int = 1024
    hop_length: int = 256
    quantile: float = 0.5
    """Share of the frames that a band's noise level is the upper end of."""
    threshold_db: float = 8.0
    """A band passes where it is this far above its noise level."""
    reduction_db: float = 30.0
    """How far it is turned down elsewhere."""
    smoothing: int = 3
    """Frames and bins over which the gain is averaged; odd."""

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1 or self.smoothing % 2 == 0 or self.reduction_db <= 0:
            raise ConfigError("a gate needs a quantile between 0 and 1, an odd smoothing and a positive reduction")


def spectral_gate(
    waveform: NDArray[np.float32], config: SpectralGateConfig = SpectralGateConfig()
) -> NDArray[np.float32]:
    """Return `waveform` (S,) with its stationary part turned down, equally long.

    The noise level of every band is a quantile of its level over the clip (stationary spectral gating).
    """
    samples = torch.from_numpy(np.ascontiguousarray(waveform, dtype=np.float32))[None]
    window = torch.hann_window(config.n_fft)
    # Zeros at the ends: mirrored sound needs more samples than a short clip has.
    spectrum = torch.stft(
        samples, config.n_fft, config.hop_length, window=window, pad_mode="constant", return_complex=True
    )
    level_db = 20 * spectrum.abs().clamp(min=1e-9).log10()
    noise_db = level_db.quantile(config.quantile, dim=2, keepdim=True)
    passes = (level_db > noise_db + config.threshold_db).float()
    gain = _averaged(passes, config.smoothing) * (1 - 10 ** (-config.reduction_db / 20)) + 10 ** (
        -config.reduction_db / 20
    )
    gated = torch.istft(spectrum * gain, config.n_fft, config.hop_length, window=window, length=samples.shape[1])
    return gated[0].numpy()


def _averaged(values: Tensor, width: int) -> Tensor:
    """Return means over squares of `width` around each entry of (B, K, F)."""
    return torch.nn.functional.avg_pool2d(values[:, None], width, 1, width // 2, count_include_pad=False)[:, 0]
