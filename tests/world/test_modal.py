from __future__ import annotations

import numpy as np
import pytest

from foleykit.world.modal import Modes, body_modes, contact_seconds, impact, impact_level_db, ring
from foleykit.world.types import MATERIALS, SHAPES, Material

RATE = 16_000


def strike(material: Material, body_seed: int, strike_seed: int, striker: Material = "wood", strength: float = 0.3):
    return impact(
        material=material,
        striker=striker,
        shape="soft" if material == "cloth" else SHAPES[body_seed % 4],
        size=0.05 * 16 ** ((body_seed % 97) / 97),
        strength=strength,
        body_seed=body_seed,
        sample_rate=RATE,
        rng=np.random.default_rng(strike_seed),
    )


def spectrum(sound: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.rfft(sound, 2 * RATE))


def centroid_hz(sound: np.ndarray) -> float:
    power = spectrum(sound) ** 2
    return float((power * np.arange(power.size) / 2).sum() / power.sum())


def features(sound: np.ndarray) -> np.ndarray:
    """Levels of 20 bands in four stretches of the first 0.4 s."""
    sound = np.pad(sound, (0, RATE))[:RATE]
    edges = np.geomspace(60, 7900, 21) / RATE * 8192
    parts = [sound[round(a * RATE) : round(b * RATE)] for a, b in ((0, 0.02), (0.02, 0.06), (0.06, 0.15), (0.15, 0.4))]
    power = [np.abs(np.fft.rfft(part, 8192)) ** 2 / part.size for part in parts]
    bands = zip(edges[:-1].astype(int), edges[1:].astype(int) + 1, strict=True)
    return np.array([10 * np.log10(p[low:high].mean() + 1e-6) for low, high in bands for p in power])


def test_ring_is_the_sum_of_damped_sinusoids():
    modes = Modes(frequencies=np.array([440.0, 1234.5]), decays=np.array([5.0, 40.0]), gains=np.array([1.0, 0.5]))
    time = np.arange(5000) / RATE
    expected = sum(
        g * np.exp(-d * time) * np.sin(2 * np.pi * f * time + np.pi / 16)
        for f, d, g in zip(modes.frequencies, modes.decays, modes.gains, strict=True)
    )
    np.testing.assert_allclose(ring(modes, modes.gains, 5000, RATE), expected, atol=1e-4)


def test_one_body_has_one_set_of_modes_and_another_body_another():
    first, again, other = (body_modes("glass", "vessel", 0.1, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.frequencies, again.frequencies)
    assert abs(first.frequencies[0] / other.frequencies[0] - 1) > 0.01


def test_two_blows_on_one_body_ring_at_the_same_peaks():
    soft, hard = (strike("metal", 11, seed, striker, 0.3) for seed, striker in ((1, "cloth"), (2, "metal")))
    lowest = body_modes("metal", SHAPES[3], 0.05 * 16 ** (11 / 97), 11).frequencies
    for sound in (soft, hard):
        peak_hz = spectrum(sound).argmax() / 2
        assert np.abs(lowest - peak_hz).min() < 3


def test_a_larger_body_rings_lower():
    small, large = (body_modes("wood", "bar", size, 7).frequencies[0] for size in (0.05, 0.8))
    assert large < 0.6 * small


def test_a_harder_striker_sounds_brighter():
    for material in ("wood", "metal", "ceramic"):
        soft = np.median([centroid_hz(strike(material, seed, seed, "cloth")) for seed in range(12)])
        hard = np.median([centroid_hz(strike(material, seed, seed, "metal")) for seed in range(12)])
        assert hard > 1.1 * soft, material


def test_a_harder_blow_touches_for_less_time_and_is_louder():
    assert contact_seconds("wood", "wood", 1.0) < contact_seconds("wood", "wood", 0.01)
    levels = [impact_level_db(strength, "wood") for strength in (1e-4, 0.01, 0.1, 1.0, 100.0)]
    assert levels == sorted(levels)
    assert levels[0] == -60 and levels[-1] == -3
    assert levels[2] - levels[1] == pytest.approx(20)


@pytest.mark.parametrize("material", MATERIALS)
def test_an_impact_starts_at_its_first_sample_and_peaks_at_one_soon_after(material):
    sound = strike(material, 21, 1)
    assert sound[0] != 0
    assert np.abs(sound).max() == pytest.approx(1)
    assert np.abs(sound).argmax() < 0.03 * RATE
    assert np.abs(sound[-RATE // 100 :]).max() < 0.01


def test_metal_rings_longest_and_stone_and_plastic_are_dead():
    def length_s(material: Material) -> float:
        sounds = [strike(material, seed, seed) for seed in range(20)]
        return float(np.median([np.flatnonzero(np.abs(sound) > 0.05)[-1] / RATE for sound in sounds]))

    lengths = {material: length_s(material) for material in MATERIALS}
    assert lengths["metal"] > 2 * lengths["glass"] > 2 * lengths["ceramic"]
    assert max(lengths["plastic"], lengths["stone"]) < 0.06


def test_materials_of_unknown_bodies_are_told_apart_by_nearest_centroid():
    strikers: tuple[Material, ...] = ("wood", "metal", "stone", "plastic")

    def examples(seeds: range, material: Material) -> np.ndarray:
        rng = np.random.default_rng(seeds.start)
        return np.stack(
            [features(strike(material, s, s, strikers[s % 4], float(np.exp(rng.uniform(-5, 0.7))))) for s in seeds]
        )

    known = {material: examples(range(40), material) for material in MATERIALS}
    everything = np.concatenate(list(known.values()))
    scale = everything.std(0) + 1e-6
    centroids = np.stack([known[material].mean(0) for material in MATERIALS])
    correct = []
    for position, material in enumerate(MATERIALS):
        distance = np.square((examples(range(1000, 1025), material)[:, None] - centroids) / scale).sum(-1)
        correct += list(distance.argmin(1) == position)
    assert np.mean(correct) > 0.85
