"""Vocoders of mels in [0, 1]: lengths, folded norms, what Griffin-Lim recovers."""

from __future__ import annotations

import math

import pytest
import torch

from foleykit.audio.unit_mel import UnitMelConfig
from foleykit.codecs.griffin_lim import GriffinLim
from foleykit.codecs.hifigan import HifiGan, HifiGanConfig, fold_weight_norm
from foleykit.core.errors import ConfigError, ModelError


@pytest.mark.parametrize("resblock", ["1", "2"])
@pytest.mark.parametrize("num_columns", [1, 7, 40])
@torch.inference_mode()
def test_a_column_is_a_hop_of_samples(resblock: str, num_columns: int) -> None:
    config = HifiGanConfig(num_mels=16, width=32, resblock=resblock)  # type: ignore[arg-type]
    made = HifiGan(config)(torch.randn(2, 16, num_columns))
    assert made.shape == (2, 1, num_columns * config.hop_length) and made.abs().max() <= 1


def test_folding_undoes_weight_normalisation() -> None:
    direction, gain = torch.randn(4, 3, 5), torch.rand(4, 1, 1) + 0.5
    folded = fold_weight_norm({"a.weight_v": direction, "a.weight_g": gain, "a.bias": torch.zeros(4)})
    assert folded.keys() == {"a.weight", "a.bias"}
    torch.testing.assert_close(folded["a.weight"].flatten(1).norm(dim=1), gain[:, 0, 0])
    scaled = fold_weight_norm({"a.weight_v": 7 * direction, "a.weight_g": gain})
    torch.testing.assert_close(scaled["a.weight"], folded["a.weight"])
    for half in ("weight_g", "weight_v"):
        with pytest.raises(ModelError, match="missing"):
            fold_weight_norm({f"a.{half}": gain})


def test_impossible_sizes_are_refused() -> None:
    for wrong in ({"upsample_rates": (8, 8)}, {"upsample_kernels": (16, 16, 4, 3)}, {"width": 24}, {"resblock": "3"}):
        with pytest.raises(ConfigError):
            HifiGanConfig(**wrong)


@torch.inference_mode()
def test_griffin_lim_gives_back_the_mel_it_was_given() -> None:
    vocoder = GriffinLim(UnitMelConfig())
    time = torch.arange(16_000) / 16_000
    waveform = 0.2 * (torch.sin(2 * math.pi * 440 * time) + torch.sin(2 * math.pi * 2000 * time))[None]
    mel = vocoder.mel(waveform)
    made = vocoder(vocoder.mel.natural_log(mel))
    assert made.shape == (1, 1, mel.shape[-1] * 256)
    again = vocoder.mel(made[:, 0])[..., : mel.shape[-1]]
    heard = mel > 0.3
    assert (again - mel)[heard].abs().mean() < 0.05
    assert torch.equal(made, vocoder(vocoder.mel.natural_log(mel)))
