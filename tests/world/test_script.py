"""Laws of hand movements."""

from __future__ import annotations

import numpy as np
import pytest

from foleykit.world.script import hermite, minimum_jerk


def test_minimum_jerk_starts_and_ends_at_rest():
    path = minimum_jerk(np.zeros(3), np.ones(3), 500)
    speed = np.diff(np.concatenate([np.zeros((1, 3)), path]), axis=0)
    assert path[-1] == pytest.approx(np.ones(3))
    assert speed[0].max() < 1e-5
    assert speed[-1].max() < 1e-5
    assert speed.argmax(axis=0) == pytest.approx(250, abs=2)


def test_hermite_meets_its_values_and_speeds():
    step, count = 0.002, 200
    path = hermite(0.2, -0.01, 0.0, -1.5, count, step)
    assert path[-1] == pytest.approx(-0.01)
    assert (path[-1] - path[-2]) / step == pytest.approx(-1.5, rel=0.02)
    assert (path[1] - path[0]) / step == pytest.approx(0.0, abs=0.05)
