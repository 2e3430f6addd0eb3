from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from foleykit.world.ambience import ambience
from foleykit.world.types import AMBIENCE_KINDS, AmbienceKind, Place

RATE = 16_000


def render(kind: AmbienceKind, *, seed: int = 3, level_db: float = -35.0, moment: int = 0) -> np.ndarray:
    place = Place(name="a test", seed=seed, split="train", ambience=(kind,), ambient_level_db=level_db)
    return ambience(place, num_samples=12 * RATE, sample_rate=RATE, rng=np.random.default_rng(moment))


def level(sound: np.ndarray) -> float:
    return float(10 * np.log10(np.square(sound, dtype=np.float64).mean()))


def band_levels(sound: np.ndarray) -> np.ndarray:
    power = np.abs(np.fft.rfft(sound)) ** 2
    edges = np.geomspace(0.005, 1, 25) * (power.size - 1)
    return 10 * np.log10([power[int(a) : int(b) + 1].mean() for a, b in pairwise(edges)])


@pytest.mark.parametrize("kind", AMBIENCE_KINDS)
@pytest.mark.parametrize("level_db", [-80.0, -45.0, -18.0])
def test_the_level_is_the_one_asked_for_and_nothing_clips(kind, level_db):
    sound = render(kind, level_db=level_db)
    assert level(sound) == pytest.approx(level_db, abs=0.1)
    assert np.abs(sound).max() < 1
    assert abs(sound.mean()) < 0.02 * 10 ** (level_db / 20)


@pytest.mark.parametrize("kind", AMBIENCE_KINDS)
def test_it_is_stationary_over_three_second_windows(kind):
    for seed in range(4):
        sound = render(kind, seed=seed)
        levels = [level(window) for window in sound.reshape(4, -1)]
        assert np.std(levels) < 2.5, (kind, levels)


@pytest.mark.parametrize("kind", AMBIENCE_KINDS)
def test_two_moments_of_a_place_share_a_spectrum_but_not_samples(kind):
    first, second = (render(kind, moment=moment) for moment in (1, 2))
    # Steady tones of random phase may agree by chance, noise may not.
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.6
    same = np.abs(band_levels(first) - band_levels(second)).mean()
    others = [np.abs(band_levels(first) - band_levels(render(kind, seed=seed))).mean() for seed in range(10, 16)]
    assert same < np.median(others)


def test_layers_add_up_and_rates_agree(make_place):
    place = make_place(4, ("hum", "rain"), -30)
    low, high = (
        ambience(place, num_samples=4 * rate, sample_rate=rate, rng=np.random.default_rng(0)) for rate in (RATE, 48_000)
    )
    assert level(low) == pytest.approx(level(high), abs=0.1)
    only_hum = ambience(
        make_place(4, ("hum",), -30), num_samples=4 * RATE, sample_rate=RATE, rng=np.random.default_rng(0)
    )
    assert band_levels(low)[-6:].mean() > band_levels(only_hum)[-6:].mean() + 3
