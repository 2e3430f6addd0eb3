"""EnCodec (Défossez et al. 2022) through transformers: waveform to codes and back.

Parameters carry transformers' names; `encodec_published` reads AudioCraft's files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor, nn

from foleykit.core.codes import check_codes
from foleykit.core.errors import ConfigError, InputError
from foleykit.core.packages import check_published

PadMode = Literal["constant", "reflect"]


@dataclass(frozen=True, kw_only=True)
class EncodecConfig:
    """Sizes of a codec; the defaults are those of the one that AudioGen was published with, at 50 frames per second."""

    kind: Literal["encodec"] = "encodec"
    """Tells a saved codec of this kind from others."""
    pad_mode: PadMode
    """How convolutions see the ends. Published codecs differ in it, and the wrong one changes codes near the ends."""
    sample_rate: int = 16_000
    width: int = 64
    """Channels of the first convolution; each of the strides doubles them."""
    ratios: tuple[int, ...] = (8, 5, 4, 2)
    """Strides in the decoder's order; the encoder has them reversed. Their product is the hop length."""
    latent_width: int = 128
    """Channels of a latent frame and of a codebook's entries."""
    num_codebooks: int = 4
    codebook_size: int = 2048
    num_residual_layers: int = 1
    """Residual blocks before each stride."""
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_growth: int = 2
    compress: int = 2
    """Channels outside over channels inside a residual block."""
    num_lstm_layers: int = 2
    is_causal: bool = False
    has_conv_shortcut: bool = False
    """Whether a residual block's shortcut is a convolution; else it is the identity."""

    def __post_init__(self) -> None:
        if self.kind != "encodec":
            raise ConfigError(f'kind is "encodec", not "{self.kind}"')
        if self.pad_mode not in get_args(PadMode):
            raise ConfigError(f'pad_mode is constant or reflect, not "{self.pad_mode}"')
        if self.sample_rate % self.hop_length:
            raise ConfigError(f"{self.sample_rate} Hz is not a whole number of hops of {self.hop_length} samples")
        if min(self.num_codebooks, self.num_lstm_layers) < 1 or self.codebook_size < 2:
            raise ConfigError("a codec needs a codebook of two entries and an LSTM layer at least")

    @property
    def hop_length(self) -> int:
        """Samples per frame of codes."""
        return math.prod(self.ratios)

    @property
    def frame_rate(self) -> float:
        """Frames of codes per second."""
        return self.sample_rate / self.hop_length


class EncodecCodec(nn.Module):
    """Mono waveforms to codes (B, K, L) and back; the whole clip at once, since the LSTMs see all of it."""

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        check_published("transformers", "EnCodec")
        from transformers import EncodecModel

        self.config = config
        # Only the parts are kept: the whole model's `encode` adds chunks and scales that this family does without.
        whole: Any = EncodecModel(transformers_config(config))
        self.encoder: nn.Module = whole.encoder
        self.decoder: nn.Module = whole.decoder
        self.quantizer: Any = whole.quantizer

    def latents(self, waveform: Tensor) -> Tensor:
        """Return latents (B, D, L), before quantisation, of `waveform` (B, 1, S); L is S / hop length, rounded up."""
        if waveform.ndim != 3 or waveform.shape[1] != 1 or not waveform.shape[2]:
            raise InputError(f"the codec takes mono waveforms (B, 1, S), not {tuple(waveform.shape)}")
        latents: Tensor = self.encoder(waveform)
        return latents

    def quantize(self, latents: Tensor) -> Tensor:
        """Return codes (B, K, L): entry by entry, the nearest to what the coarser codebooks left over."""
        codes: Tensor = self.quantizer.encode(latents)
        return codes.transpose(0, 1)

    def dequantize(self, codes: Tensor) -> Tensor:
        """Return latents (B, D, L): the sum of the entries; raises InputError for codes that no codebook has."""
        check_codes(codes, self.config.num_codebooks, self.config.codebook_size)
        latents: Tensor = self.quantizer.decode(codes.transpose(0, 1))
        return latents

    def encode(self, waveform: Tensor) -> Tensor:
        """Return codes (B, K, L) of `waveform` (B, 1, S) in [-1, 1]."""
        return self.quantize(self.latents(waveform))

    def decode(self, codes: Tensor) -> Tensor:
        """Return a waveform (B, 1, L hop_length) of `codes` (B, K, L)."""
        waveform: Tensor = self.decoder(self.dequantize(codes))
        return waveform


def transformers_config(config: EncodecConfig) -> Any:
    """Return `config` in transformers' words, whose own defaults are another codec's."""
    from transformers import EncodecConfig as LibraryConfig

    bits = math.ceil(math.log2(config.codebook_size))
    stated = LibraryConfig(
        # The library derives the number of codebooks from this; half a bit keeps rounding from losing one.
        target_bandwidths=[(config.num_codebooks * bits + 0.5) * config.frame_rate / 1000],
        sampling_rate=config.sample_rate,
        audio_channels=1,
        normalize=False,
        chunk_length_s=None,
        hidden_size=config.latent_width,
        num_filters=config.width,
        num_residual_layers=config.num_residual_layers,
        upsampling_ratios=list(config.ratios),
        norm_type="weight_norm",
        kernel_size=config.kernel_size,
        last_kernel_size=config.last_kernel_size,
        residual_kernel_size=config.residual_kernel_size,
        dilation_growth_rate=config.dilation_growth,
        use_causal_conv=config.is_causal,
        pad_mode=config.pad_mode,
        compress=config.compress,
        num_lstm_layers=config.num_lstm_layers,
        codebook_size=config.codebook_size,
        use_conv_shortcut=config.has_conv_shortcut,
    )
    assert stated.num_quantizers == config.num_codebooks
    return stated
