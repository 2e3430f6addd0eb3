"""The video encoder keeps the frame rate, sees motion locally and refuses other sizes."""

import pytest
import torch

from foleykit.core.errors import InputError
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder

CONFIG = TwoRateConfig(
    size=32, width=32, motion_width=8, num_motion_blocks=2, appearance_width=8, num_temporal_blocks=2
)


@pytest.mark.parametrize("num_frames", [1, 3, 11, 25])
def test_one_feature_per_frame(num_frames: int) -> None:
    assert TwoRateEncoder(CONFIG)(torch.rand(2, num_frames, 3, 32, 32)).shape == (2, num_frames, 32)


def test_a_still_picture_has_the_same_motion_whatever_it_shows() -> None:
    encoder = TwoRateEncoder(CONFIG)
    stills = torch.rand(2, 1, 3, 32, 32).expand(-1, 6, -1, -1, -1)
    motion, energy = encoder.eval()._motion(stills)
    torch.testing.assert_close(motion[0], motion[1], atol=1e-5, rtol=1e-4)
    assert energy.abs().max() < 1e-5


def test_the_cell_that_moves_stands_out_and_a_moving_camera_does_not() -> None:
    encoder = TwoRateEncoder(CONFIG).eval()
    frames = torch.full((1, 3, 3, 32, 32), 0.5)
    frames[0, 1, :, :16, :16] += 0.3
    _, energy = encoder._motion(frames)
    row, column = divmod(int(energy[0, 1, 0].flatten().argmax()), CONFIG.num_cells)
    assert row < 2 and column < 2
    flicker = torch.full((1, 3, 3, 32, 32), 0.5)
    flicker[0, 1] += 0.3
    assert encoder._motion(flicker)[1].abs().max() < 0.5


def test_a_change_is_not_felt_beyond_the_context() -> None:
    torch.manual_seed(0)
    encoder = TwoRateEncoder(CONFIG).eval()
    frames = torch.rand(1, 60, 3, 32, 32)
    changed = frames.clone()
    changed[:, 30] = 0
    difference = (encoder(frames) - encoder(changed)).abs().amax(dim=(0, 2))
    far = torch.arange(60).sub(30).abs() > CONFIG.context_frames
    assert difference[far].max() == 0 and difference[30] > 0


def test_another_size_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="32 x 32 frames, not 16 x 16"):
        TwoRateEncoder(CONFIG)(torch.rand(1, 5, 3, 16, 16))
