"""Sound made in chunks is that of one pass, whichever vocoder makes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foleykit.audio.unit_mel import UnitMelConfig
from foleykit.codecs.bigvgan import BigVgan, BigVganConfig
from foleykit.codecs.griffin_lim import GriffinLim
from foleykit.codecs.hifigan import HifiGan, HifiGanConfig
from foleykit.codecs.unit_mel_vocoder import UnitMelVocoder, UnitMelVocoderConfig
from foleykit.codecs.vocode import CONTEXT_FRAMES, vocode


def inputs_of(vocoder: nn.Module, num_mels: int, num_frames: int) -> tuple[Tensor, ...]:
    mel = torch.randn(num_mels, num_frames, generator=torch.Generator().manual_seed(1))
    if not isinstance(vocoder, UnitMelVocoder):
        return (mel,)
    shape = vocoder.noise_shape(mel[None])[1:]
    return mel, torch.randn(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("num_frames", [5, 68, 69, 131, 200])
@pytest.mark.parametrize("kind", ["istft", "hifigan", "bigvgan"])
@torch.inference_mode()
def test_chunks_of_a_long_mel_make_the_sound_of_one_pass(kind: str, num_frames: int) -> None:
    torch.manual_seed(0)
    vocoder: nn.Module
    match kind:
        case "istft":
            vocoder, num_mels, hop = UnitMelVocoder(UnitMelVocoderConfig(width=16)), 128, 256
        case "hifigan":
            config = HifiGanConfig(num_mels=16, width=32, resblock_kernels=(11,), resblock_dilations=((1, 3, 5),))
            vocoder, num_mels, hop = HifiGan(config), 16, 256
        case _:
            tiny = BigVganConfig(width=64, resblock_kernels=(3,), dilations=(1,))
            vocoder, num_mels, hop = BigVgan(tiny), 80, tiny.hop_length
    inputs = inputs_of(vocoder.eval(), num_mels, num_frames)
    whole = vocode(vocoder, inputs, hop, chunk_frames=1000)
    parts = vocode(vocoder, inputs, hop, chunk_frames=68)
    assert whole.shape == parts.shape == (num_frames * hop,)
    assert np.abs(whole).max() > 0 and np.abs(whole - parts).max() < 1e-5 * max(1.0, float(np.abs(whole).max()))


@torch.inference_mode()
def test_the_shipped_size_looks_no_further_than_a_chunk_reaches() -> None:
    vocoder = UnitMelVocoder(UnitMelVocoderConfig())
    mel, noise = (part[None] for part in inputs_of(vocoder, 128, 160))
    changed = mel.clone()
    changed[..., : 100 - CONTEXT_FRAMES] += 3
    near, far = (vocoder(part, noise)[0, 0] for part in (mel, changed))
    assert torch.equal(near[100 * 256 :], far[100 * 256 :]) and not torch.equal(near, far)


@torch.inference_mode()
def test_chunks_whose_phases_differ_are_cross_faded() -> None:
    """Griffin-Lim looks at the whole mel; across a seam its level neither drops out nor doubles."""
    vocoder = GriffinLim(UnitMelConfig(), num_iterations=2, num_inversions=5)
    log_mel = torch.full((128, 200), -2.0)
    made = vocode(vocoder, (log_mel,), 256, chunk_frames=100)
    level = np.sqrt(np.square(made).reshape(-1, 2048).mean(axis=1))[1:-1]
    assert level.max() / level.min() < 2.5
