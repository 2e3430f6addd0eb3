"""Codecs of sound. Token codecs turn mono waveforms (B, 1, S) into codes (B, K, L) and back, at a constant rate."""

from __future__ import annotations

from typing import assert_never

from foleykit.codecs.encodec import EncodecCodec, EncodecConfig
from foleykit.codecs.mel_rvq import MelRvqCodec, MelRvqConfig

TokenCodecConfig = EncodecConfig | MelRvqConfig
TokenCodec = EncodecCodec | MelRvqCodec


def build_token_codec(config: TokenCodecConfig) -> TokenCodec:
    """Return the codec that `config` describes, with random weights."""
    match config:
        case EncodecConfig():
            return EncodecCodec(config)
        case MelRvqConfig():
            return MelRvqCodec(config)
        case _:
            assert_never(config)
