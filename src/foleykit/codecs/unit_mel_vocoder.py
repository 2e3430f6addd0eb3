"""The mel of published models to waveform: a network says magnitudes and phases, a few iterations make them agree.

The network is that of `istft_vocoder`. It sees no phases, so what it says of one frame contradicts what it says of the
next wherever a tone or a knock lasts over both. Griffin and Lim's iteration (1984), run on its magnitudes from its
phases, mends that, and training goes through the iterations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from foleykit.audio.unit_mel import UnitMel, UnitMelConfig
from foleykit.codecs.istft_vocoder import SLACK, IstftFrames, IstftSizes
from foleykit.core.checkpoint import frozen, save_weights, with_weights
from foleykit.core.config import load_config, save_config
from foleykit.core.errors import ConfigError, ModelError

MEAN, DEVIATION = -6.0, 2.5
"""Of natural-log mels of the world's sound, roughly: the network sees values of unit order."""
FRAMES_PER_TURN = 4
"""After these the carrier is where it was: a part of a mel sounds the same when it starts at a multiple of them."""
CONFIG_NAME = "vocoder.json"
WEIGHTS_NAME = "vocoder.safetensors"
CONTEXT_FRAMES = 80
"""What a chunk of a long mel is shown of its neighbours on either side; no vocoder may look further."""


@dataclass(frozen=True, kw_only=True)
class UnitMelVocoderConfig(IstftSizes):
    mel: UnitMelConfig = field(default_factory=UnitMelConfig)
    """The front end to invert."""
    n_fft: int = 1024
    """FFT size of the output frames; four hops, so that a Hann window sums to a constant."""
    width: int = 224
    """Channels of the blocks."""
    num_blocks: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fft != 4 * self.mel.hop_length:
            raise ConfigError(f"n_fft {self.n_fft} must be four hops of {self.mel.hop_length}")
        if self.mel.n_fft != self.n_fft:
            raise ConfigError(f"n_fft {self.n_fft} must be that of the mel, {self.mel.n_fft}")
        if self.reach > CONTEXT_FRAMES:
            raise ConfigError(
                f"{self.num_blocks} blocks and {self.num_iterations} iterations look {self.reach} frames to either "
                f"side, beyond the {CONTEXT_FRAMES} that chunks of a long sound are shown; take fewer"
            )


class UnitMelVocoder(IstftFrames):
    """From natural-log mel whose frame f is centred on sample f hop_length, as HiFi-GAN takes it."""

    largest_magnitude = 1024.0

    def __init__(self, config: UnitMelVocoderConfig) -> None:
        filters = UnitMel(config.mel).filters
        super().__init__(config, filters)
        self.config = config

    def forward(self, log_mel: Tensor, noise: Tensor, *, num_iterations: int | None = None) -> Tensor:
        """Return a waveform (B, 1, F hop_length) of natural-log mel magnitudes `log_mel` (B, M, F).

        `noise` is Gaussian, of `noise_shape(log_mel)`; `num_iterations` is the config's unless given.
        """
        magnitude, phase = self.spectrum((log_mel - MEAN) / DEVIATION, log_mel, noise)
        mel = self.config.mel
        lowest, highest = 10**mel.lowest_decade, 10 ** (mel.lowest_decade + mel.num_decades)
        magnitude = self.scaled(magnitude, log_mel.exp(), lowest=SLACK * lowest, highest=highest / SLACK)
        spectrum = torch.polar(magnitude, phase + carrier_of(phase.shape[1], phase.shape[2]).to(phase.device))
        count = self.config.num_iterations if num_iterations is None else num_iterations
        waveform = self.agreeing(magnitude, self.synthesised(spectrum), count)
        start = self.config.n_fft // 2
        return waveform[:, None, start : start + log_mel.shape[2] * self.config.mel.hop_length]

    def sound(self, log_mel: Tensor, *, seed: int = 0) -> Tensor:
        """Return the waveform (B, 1, F hop_length) of `log_mel` (B, M, F), the noise drawn from `seed`."""
        noise = torch.randn(self.noise_shape(log_mel), generator=torch.Generator().manual_seed(seed))
        waveform: Tensor = self(log_mel, noise.to(log_mel.device))
        return waveform


def carrier_of(num_bins: int, num_frames: int) -> Tensor:
    """Return the phase (K, F) of a tone at each bin's own frequency, which turns by k / 4 of a circle from hop to hop.

    A network that sees the same mel in every frame can only say the same phase, and tones would come out at multiples
    of the frame rate; said relative to this one, they come out within half a bin of where they are.
    """
    quarters = torch.arange(num_bins)[:, None] * torch.arange(num_frames)
    return (torch.pi / 2) * (quarters % FRAMES_PER_TURN)


def save_vocoder(vocoder: UnitMelVocoder, folder: Path) -> None:
    """Write sizes, with the mel that the vocoder takes, and weights as fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(vocoder, folder / WEIGHTS_NAME, half=True)
    save_config(vocoder.config, folder / CONFIG_NAME)


def load_vocoder(folder: Path) -> UnitMelVocoder:
    """Return the vocoder that `save_vocoder` wrote; raises ModelError when the folder holds none."""
    if not (folder / CONFIG_NAME).is_file():
        raise ModelError(f"{folder} holds no {CONFIG_NAME}; name a folder that `foley train vocoder-128x16k` wrote")
    config = load_config(UnitMelVocoderConfig, folder / CONFIG_NAME)
    return frozen(with_weights(UnitMelVocoder(config), folder / WEIGHTS_NAME), "cpu")
