from __future__ import annotations

import numpy as np
import pytest

from foleykit.world.types import MATERIALS
from foleykit.world.voice import ambient_variants, event_level_db, revoiced, variant_places, voice, voice_events


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("material", MATERIALS)
def test_the_onset_is_exactly_at_the_sample_of_the_contact(material, rate, make_event, make_take):
    take = make_take(make_event(0.73219, material=material, shape="soft" if material == "cloth" else "plate"))
    action = voice(take, sample_rate=rate, seed=1).action
    onset = round(0.73219 * rate)
    # What an FFT convolution leaves before the onset is rounding error, far below one 16-bit step.
    assert np.abs(action[:onset]).max() < 1e-6
    assert np.abs(action[onset]) > 1e-6
    assert np.abs(action[onset : onset + rate // 25]).max() > 0.5 * np.abs(action).max()


@pytest.mark.parametrize("kind", ["scrape", "roll", "pour"])
@pytest.mark.parametrize("material", ["wood", "metal", "cloth"])
def test_a_sustained_sound_lasts_as_long_as_its_cause_and_follows_its_profile(kind, material, make_event, make_take):
    take = make_take(make_event(0.5, kind=kind, duration=1.5, material=material, strength=2.0))
    action = voice(take, sample_rate=16_000, seed=1).action

    def loud(low: float, high: float) -> float:
        return float(np.sqrt(np.square(action[round(low * 16_000) : round(high * 16_000)]).mean()))

    assert loud(0, 0.49) < 1e-6
    assert loud(1.1, 1.4) > 2 * loud(0.5, 0.6)
    assert loud(1.1, 1.4) > 5 * loud(2.5, 2.9)


def test_peaks_span_the_documented_levels(make_event, make_take):
    quiet, loud = (make_event(0.5, strength=strength) for strength in (0.0002, 20.0))
    assert event_level_db(quiet) == -60 and event_level_db(loud) == -3
    for event in (quiet, loud):
        peak = np.abs(voice(make_take(event), sample_rate=16_000, seed=1).action).max()
        assert 20 * np.log10(peak) == pytest.approx(event_level_db(event), abs=4)


def test_stems_are_long_enough_separate_and_sum_to_the_mix(make_event, make_take):
    take = make_take(make_event(0.5), make_event(1.2, on_screen=False), seconds=2.345)
    stems = voice(take, sample_rate=44_100, seed=9)
    assert stems.action.shape == stems.off_screen.shape == stems.ambient.shape == (round(2.345 * 44_100),)
    assert np.abs(stems.off_screen[: round(1.2 * 44_100)]).max() < 1e-6
    np.testing.assert_array_equal(stems.mix, stems.action + stems.off_screen + stems.ambient)


def test_what_is_off_screen_is_softer_and_duller(make_event, make_take):
    action = voice_events(make_take(make_event(0.5)), sample_rate=16_000, seed=2, on_screen=True)
    hidden = voice_events(make_take(make_event(0.5, on_screen=False)), sample_rate=16_000, seed=2, on_screen=False)
    power = [np.abs(np.fft.rfft(sound)) ** 2 for sound in (action, hidden)]
    centroid = [float((p * np.arange(p.size)).sum() / p.sum()) for p in power]
    assert np.abs(hidden).max() < 0.7 * np.abs(action).max()
    assert centroid[1] < centroid[0]


def test_equal_seeds_give_equal_samples_and_other_seeds_other_ones(make_event, make_take):
    take = make_take(make_event(0.2), make_event(0.9, kind="scrape", duration=0.5))
    first, again, other = (voice(take, sample_rate=16_000, seed=seed).mix for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_many_loud_events_do_not_clip(make_event, make_take):
    take = make_take(*[make_event(0.2 + 0.001 * step, strength=50) for step in range(40)])
    assert np.abs(voice(take, sample_rate=16_000, seed=0).action).max() <= 0.9001


def test_variants_are_the_own_background_a_quiet_one_and_others(make_event, make_place, make_take):
    place = make_place(ambience=("rain",), ambient_level_db=-30)
    take = make_take(make_event(0.5), place=place)
    places = variant_places(place, seed=6, count=4)
    sounds = ambient_variants(take, sample_rate=16_000, seed=6, count=4)
    assert places[0] == place
    np.testing.assert_array_equal(sounds[0], voice(take, sample_rate=16_000, seed=6).ambient)
    levels = 20 * np.log10(np.sqrt(np.square(sounds).mean(1)))
    assert levels == pytest.approx([place.ambient_level_db for place in places], abs=0.1)
    assert levels[1] < -55
    assert all("rain" not in other.ambience for other in places[1:])


def test_revoiced_bodies_keep_their_moments_and_take_one_other_material_each(make_event, make_take):
    events = [make_event(0.2 * (1 + i), material="wood", body_seed=i % 2, on_screen=i < 4) for i in range(6)]
    take = make_take(*events)
    again = revoiced(take, seed=1, number=0)
    assert [event.time for event in again.events] == [event.time for event in take.events]
    for body in (0, 1):
        materials = {event.material for event in again.events if event.body_seed == body and event.on_screen}
        assert len(materials) == 1 and "wood" not in materials
    assert again.events[4:] == take.events[4:]
    several = {revoiced(take, seed=1, number=number).events[0].material for number in range(20)}
    assert len(several) > 3


def test_something_soft_made_hard_rings(make_event, make_take):
    take = make_take(make_event(0.1, material="cloth", shape="soft"))
    hard = next(
        again for number in range(50) if (again := revoiced(take, seed=1, number=number)).events[0].material == "metal"
    )
    stem, soft = (voice_events(one, sample_rate=16_000, seed=3, on_screen=True) for one in (hard, take))
    # Metal still rings half a second later, where a cushion has long been still.
    late = slice(int(0.6 * 16_000), int(0.8 * 16_000))
    assert np.square(stem[late]).mean() > 100 * np.square(soft[late]).mean()
