"""AV-Sync's glue, AV-Sim's cosine, the quietest window and the audio encoder's shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foleykit.audio.kaldi_bank import KaldiBank, KaldiBankConfig
from foleykit.core.errors import ConfigError, InputError
from foleykit.encoders.audio.ast import AstConfig, SpectrogramTransformer
from foleykit.evaluation.metrics.cosine_similarity import cosine_similarity
from foleykit.evaluation.metrics.quietest_window import quietest_window
from foleykit.models.avsync.network import SyncClassifier, SyncTransformer
from foleykit.models.avsync.pipeline import filter_bank, halves, is_synchronised, synchronised_share


def test_one_half_in_time_is_enough() -> None:
    probabilities = torch.tensor([[0.5, 0.0], [0.1, 0.9], [0.49, 0.49]])
    assert is_synchronised(probabilities).tolist() == [True, True, False]
    assert synchronised_share(probabilities) == pytest.approx(2 / 3)


def test_halves_are_the_whole() -> None:
    clip = torch.randn(1, 10)
    assert torch.equal(torch.cat(halves(clip, dim=1), dim=1), clip)
    with pytest.raises(InputError, match="halved"):
        halves(clip[:, :9], dim=1)


def test_of_half_a_clip_half_a_second_is_heard() -> None:
    bank = KaldiBank(KaldiBankConfig())
    made = filter_bank(torch.randn(1, 24_064), bank)
    assert made.shape == (1, 149, 128) and made[:, 47].any() and not made[:, 48:].any()


@torch.inference_mode()
def test_probabilities_are_probabilities() -> None:
    made = SyncClassifier(8)(torch.randn(5, 8), torch.randn(5, 8))
    assert made.shape == (5,) and (made > 0).all() and (made < 1).all()


@torch.inference_mode()
def test_the_audio_encoder_embeds_and_refuses_other_sizes() -> None:
    config = AstConfig(num_mels=32, num_frames=49, width=16, num_blocks=1, num_heads=2, embedding_width=8)
    network = SpectrogramTransformer(config).eval()
    assert config.num_patches == 8 and network(torch.randn(3, 49, 32)).shape == (3, 8)
    with pytest.raises(InputError, match="filter bank must be"):
        network(torch.randn(3, 48, 32))
    with pytest.raises(ConfigError):
        AstConfig(width=30, num_heads=4)


def test_cosines_of_a_set_with_itself_are_one_on_the_diagonal() -> None:
    vectors = torch.randn(4, 6)
    similar = cosine_similarity(vectors, 3 * vectors)
    torch.testing.assert_close(similar.diagonal(), torch.ones(4))
    assert similar.abs().max() <= 1 + 1e-6
    assert not cosine_similarity(torch.zeros(1, 6), vectors).any()


def test_the_quietest_window_is_found() -> None:
    waveform = np.ones(16_000, np.float32)
    waveform[4800:12_800] = 0.1
    energy, start = quietest_window(waveform, 16_000)
    assert start == 4800 and energy == pytest.approx(80.0, rel=1e-5)
    with pytest.raises(InputError, match="quietest"):
        quietest_window(waveform[:100], 16_000)


@torch.inference_mode()
def test_the_transformer_head_sees_sound_and_pictures() -> None:
    head = SyncTransformer(16).eval()
    audio, video = torch.randn(2, 170, 16), torch.randn(2, 16, 16)
    made = head(audio, video)
    assert made.shape == (2,) and (made > 0).all() and (made < 1).all()
    assert not torch.allclose(made, head(-audio, video)) and not torch.allclose(made, head(audio, -video))
