"""The similarity towers answer for clips of any length, one frame included, and see what stands anywhere."""

import warnings

import pytest
import torch

from foleykit.encoders.similarity import AvSimilarity, AvSimilarityConfig


def towers() -> AvSimilarity:
    return AvSimilarity(AvSimilarityConfig(map_width=8, surroundings_width=16, latent_width=4))


@pytest.mark.parametrize("length", [1, 2, 75])
def test_embeddings_have_length_one_and_no_warning(length: int) -> None:
    model = towers()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = model.embed_video(model.survey(torch.randn(3, length, 8, 4, 4)))
        sound = model.embed_audio(torch.randn(3, 4, length))
    torch.testing.assert_close(picture.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(sound.norm(dim=1), torch.ones(3))


def test_a_source_leaves_the_same_trace_wherever_it_stands() -> None:
    maps = torch.zeros(2, 1, 8, 12, 12)
    source = torch.randn(8, 2, 2)
    maps[0, 0, :, 3:5, 3:5] = source
    maps[1, 0, :, 7:9, 6:8] = source
    model = towers()
    here, there = model.survey(maps)[:, 0]
    nothing = model.survey(torch.zeros(1, 1, 8, 12, 12))[0, 0]
    torch.testing.assert_close(here, there)
    assert (here - nothing).abs().max() > 0.01
