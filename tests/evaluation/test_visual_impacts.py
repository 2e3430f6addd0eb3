"""Motion that halts is an impact, motion of the whole picture is the camera's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from foleykit.core.errors import ConfigError
from foleykit.evaluation.visual_impacts import VisualImpactConfig, envelope_peaks, impact_envelope

pytest.importorskip("cv2", reason="optical flow needs OpenCV: pip install 'foleykit[flow]'")

FPS = 25
CONFIG = VisualImpactConfig()


def textured(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return smooth random texture (H, W, 3), which flow can hold on to."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (height // 4 + 2, width // 4 + 2))
    rows, columns = np.arange(height) / 4, np.arange(width) / 4
    r, c = rows.astype(int)[:, None], columns.astype(int)[None]
    u, v = (rows % 1)[:, None], (columns % 1)[None]
    smooth = (1 - u) * ((1 - v) * coarse[r, c] + v * coarse[r, c + 1])
    smooth += u * ((1 - v) * coarse[r + 1, c] + v * coarse[r + 1, c + 1])
    return np.repeat(smooth[..., None], 3, 2).astype(np.uint8)


def falling(stops: list[int], *, pan: int, num_frames: int = 75) -> NDArray[np.uint8]:
    """Return frames (T, 96, 160, 3): a block falls for six frames and halts at each of `stops`; the camera pans."""
    background, block = textured(96, 160 + 3 * num_frames, 1), textured(24, 24, 2)
    frames = np.empty((num_frames, 96, 160, 3), np.uint8)
    for index in range(num_frames):
        left = pan * index
        frames[index] = background[:, left : left + 160]
        nearest = min(stops, key=lambda stop: abs(stop - index))
        height = max(0, min(nearest - index, 6))
        frames[index, 60 - 6 * height : 84 - 6 * height, 60:84] = block
    return frames


@pytest.mark.parametrize("pan", [0, 2])
def test_a_block_that_lands_is_an_impact_whatever_the_camera_does(pan: int) -> None:
    stops = [20, 50]
    envelope = impact_envelope([falling(stops, pan=pan)], CONFIG)
    times = envelope_peaks(envelope, FPS, VisualImpactConfig(threshold=2.0))
    for stop in stops:
        assert np.abs(times - (stop + 1) / FPS).min() <= 1.01 / FPS
    assert len(times) <= 4


def test_chunks_do_not_matter() -> None:
    frames = falling([20, 50], pan=1)
    whole = impact_envelope([frames], CONFIG)
    assert whole.shape == (75,)
    np.testing.assert_array_equal(whole, impact_envelope([frames[:7], frames[7:30], frames[30:]], CONFIG))


def test_stillness_holds_no_impact() -> None:
    assert not len(envelope_peaks(np.zeros(50), FPS, CONFIG))
    assert not len(envelope_peaks(np.zeros(2), FPS, CONFIG))


def test_of_two_peaks_within_reach_only_the_higher_counts() -> None:
    envelope = np.zeros(100)
    envelope[[10, 12, 60]] = 1.0, 2.0, 1.5
    assert envelope_peaks(envelope, FPS, CONFIG) == pytest.approx([12 / FPS, 60 / FPS])


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError):
        VisualImpactConfig(num_directions=1)
