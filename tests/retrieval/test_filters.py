"""A filter says which clips pass, and its text form means the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.core.errors import UsageError
from foleykit.retrieval.filters import EVERYTHING, RowFilter, parse_filter

levels = st.floats(-120, 0)
names = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), max_size=12)
filters = st.builds(
    lambda low, high, scenes, licences: RowFilter(
        min_ambient_db=min(low, high), max_ambient_db=max(low, high), scenes=scenes, licences=licences
    ),
    st.just(float("-inf")) | levels,
    st.just(float("inf")) | levels,
    st.lists(names, max_size=3, unique=True).map(tuple),
    st.lists(names, max_size=3, unique=True).map(tuple),
)


@given(filters)
def test_parsing_what_a_filter_prints_gives_it_back(where: RowFilter) -> None:
    assert parse_filter(str(where)) == where


@given(filters)
def test_and_is_neutral_with_everything_and_idempotent(where: RowFilter) -> None:
    assert where & EVERYTHING == EVERYTHING & where == where & where == where


@pytest.mark.parametrize("text", ["ambient_db < -50", "ambient_db<-50", "  ambient_db   <  -50.0 "])
def test_less_leaves_the_bound_out(text: str) -> None:
    where = parse_filter(text)
    assert -50.0 > where.max_ambient_db > -50.000001 and where.min_ambient_db == float("-inf")


def test_bounds_words_and_lists() -> None:
    where = parse_filter(
        'ambient_db >= -70 and ambient_db <= -40 and scene = kitchen AND licence in (CC0-1.0, "CC BY")'
    )
    assert where == RowFilter(
        min_ambient_db=-70, max_ambient_db=-40, scenes=("kitchen",), licences=("CC0-1.0", "CC BY")
    )
    assert parse_filter('scene = "wood shop"').scenes == ("wood shop",)
    assert parse_filter("") == parse_filter("  ") == EVERYTHING


def test_terms_narrow_each_other() -> None:
    assert parse_filter("scene in (a, b) and scene in (b, c)").scenes == ("b",)
    where = parse_filter("ambient_db < -30 and ambient_db <= -50")
    assert where.max_ambient_db == -50


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ambient_db < loud", "not a level"),
        ("ambient_db < nan", "not a level"),
        ("ambient_db = -50", "compared by"),
        ("ambient_db <", "ends too early"),
        ("level < -50", '"level" is not a property'),
        ("scene = ", "ends too early"),
        ("scene < kitchen", "compared by"),
        ("scene in (a, b", "ends too early"),
        ("scene in ()", "value should be"),
        ("scene = a b", "joined by"),
        ("scene = a and", "joined by"),
        ('scene = "a', "something wrong"),
        ("scene = a and scene = b", "both a and b"),
        ("ambient_db < -50 and ambient_db > -50", "no clip has a level"),
    ],
)
def test_nonsense_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_filter(text)
