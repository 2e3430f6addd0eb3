"""How loud a reconstruction is, by the clips that can be heard."""

import pytest
import torch

from foleykit.evaluation.vocoder import level_error_db


def test_the_level_error_is_that_of_what_can_be_heard() -> None:
    sound = 0.1 * torch.randn(3, 8000, generator=torch.Generator().manual_seed(0))
    assert level_error_db(sound, sound / 2) == pytest.approx(-6.02, abs=0.01)
    sound[2] *= 1e-4
    louder = sound * torch.tensor([2.0, 2.0, 100.0])[:, None]
    assert level_error_db(sound, louder) == pytest.approx(6.02, abs=0.01)
    assert level_error_db(torch.zeros(1, 100), torch.ones(1, 100)) == 0
