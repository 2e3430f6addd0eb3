"""What counts as the right ambience, and how picks are counted."""

import numpy as np
import pytest

from foleykit.recipes.ambience_retrieval import fitting_ambiences, retrieval_of, retrieval_table
from foleykit.recipes.avldm_batches import Backgrounds, SimilarityBatches, SurveyedVideo
from foleykit.world.types import AmbienceKind, Place

LIBRARY = ("quiet", "room", "hum", "wind", "rain")


def place(*ambience: AmbienceKind, level_db: float = -40.0) -> Place:
    return Place(name="a place", seed=1, split="test", ambience=ambience, ambient_level_db=level_db)


def test_what_is_heard_and_seen_fits_and_something_soft_where_nothing_is() -> None:
    assert fitting_ambiences(place("wind", "rain", "room")) == {"wind", "rain"}
    assert fitting_ambiences(place("room")) == fitting_ambiences(place("wind", level_db=-70)) == {"room", "quiet"}


def test_picks_are_counted_by_what_is_in_sight() -> None:
    places = [place("wind", "rain"), place("wind"), place("room"), place("hum", level_db=-65.0)]
    result = retrieval_of(places, ["rain", "hum", "quiet", "hum"], LIBRARY)
    assert (result.num_right, result.num_scenes, result.accuracy) == (2, 4, 0.5)
    assert result.chance == pytest.approx((2 + 1 + 2 + 2) / 4 / 5) and result.always_quiet == 0.5
    assert result.interval == pytest.approx((0.150, 0.850), abs=0.001)
    by_source = {part.source: (part.num_right, part.num_scenes, dict(part.wrong)) for part in result.by_source}
    assert by_source == {"wind": (1, 2, {"hum": 1}), "rain": (1, 1, {}), "none": (1, 2, {"hum": 1})}
    assert "| wind | 1 of 2 | hum 1 |" in retrieval_table(result)


def test_pictures_and_sound_of_a_pair_are_of_one_place_and_half_are_mirrored() -> None:
    """Every map states its place in one cell of its left half."""

    def video(number: int) -> SurveyedVideo:
        maps = np.zeros((12, 1, 2, 2), np.float16)
        maps[:, 0, 0, 0] = number
        return SurveyedVideo(
            maps=maps, latents=np.full((2, 1, 90), number, np.float16), seen=np.array([number], np.float32)
        )

    numbers = np.arange(5)
    backgrounds = Backgrounds(latents=np.ones((5, 1, 75), np.float16) * numbers[:, None, None], kinds=numbers)
    batches = SimilarityBatches(
        videos=[video(number) for number in range(1, 41)],
        backgrounds=backgrounds,
        window_frames=75,
        batch_size=40,
        device="cpu",
    )
    batch = batches(3)
    assert batch.maps.shape == (40, 3, 1, 2, 2) and batch.latents.shape == (40, 1, 75)
    assert sorted(batch.seen[:, 0].tolist()) == list(range(1, 41))
    assert batch.maps.amax(dim=(1, 2, 3, 4)).tolist() == batch.latents[:, 0, 0].tolist() == batch.seen[:, 0].tolist()
    assert 8 <= (batch.maps[:, 0, 0, 0, 1] > 0).sum() <= 32
    assert (batch.maps[:, :, 0, 1] == 0).all()
    assert (batches(3).maps == batch.maps).all()
    assert batch.alone[:, 0, 0].tolist() == batch.alone_kinds.tolist() and set(batch.alone_kinds.tolist()) == {
        *range(5)
    }
