"""Every material has its own family of looks."""

from __future__ import annotations

import numpy as np
import pytest

from foleykit.world.textures import finish_of, fractal_noise
from foleykit.world.types import MATERIALS


@pytest.mark.parametrize("material", MATERIALS)
def test_a_look_follows_its_seed(material):
    first = finish_of(material, np.random.default_rng(1))
    again = finish_of(material, np.random.default_rng(1))
    other = finish_of(material, np.random.default_rng(2))
    assert first.picture.shape == (64, 64, 3)
    assert first.picture.dtype == np.uint8
    assert np.array_equal(first.picture, again.picture)
    assert not np.array_equal(first.picture, other.picture)


def test_only_glass_lets_light_through():
    for material in MATERIALS:
        alpha = finish_of(material, np.random.default_rng(3)).alpha
        assert (alpha < 1) == (material == "glass")


def test_noise_tiles():
    """Across the seam neighbours differ no more than inside."""
    noise = fractal_noise(np.random.default_rng(0), 64, 4)
    inside = np.abs(np.diff(noise, axis=0)).mean()
    seam = np.abs(noise[0] - noise[-1]).mean()
    assert seam < 2 * inside
