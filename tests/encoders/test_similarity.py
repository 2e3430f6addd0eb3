"""The similarity towers answer for clips of any length, one frame included."""

import warnings

import pytest
import torch

from foleykit.encoders.similarity import AvSimilarity, AvSimilarityConfig


@pytest.mark.parametrize("length", [1, 2, 75])
def test_embeddings_have_length_one_and_no_warning(length: int) -> None:
    torch.manual_seed(0)
    towers = AvSimilarity(AvSimilarityConfig(video_width=8, latent_width=4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = towers.embed_video(torch.randn(3, length, 8))
        sound = towers.embed_audio(torch.randn(3, 4, length))
    torch.testing.assert_close(picture.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(sound.norm(dim=1), torch.ones(3))
