"""Both stores keep one contract: exact matches, whole appends, and no mixing of what cannot be compared."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foleykit.core.errors import InputError, MediaError, UsageError
from foleykit.retrieval import Backend, create_index, open_index
from foleykit.retrieval.filters import EVERYTHING, RowFilter, parse_filter
from foleykit.retrieval.types import EmbeddingSpace, LibraryClip, LibraryRow, VectorIndex

SPACE = EmbeddingSpace(model_id="towers:1", num_dimensions=16)
SCENES = ("kitchen", "street", "painter's shop")
LICENCES = ("CC0-1.0", "CC BY 4.0")


def make_rows(num: int, *, seed: int = 0, space: EmbeddingSpace = SPACE) -> list[LibraryRow]:
    rng = np.random.default_rng(seed)
    return [
        LibraryRow(
            clip=LibraryClip(
                key=f"{seed}/{number}.wav#0",
                ambient_db=float(rng.uniform(-80, -20)),
                scene=SCENES[rng.integers(3)],
                captions=("a knife on a board", f"take {number}"),
                licence=LICENCES[rng.integers(2)],
                source=f"{seed}/{number}.wav",
                start=1.5,
                seconds=3.0,
            ),
            embedding=rng.standard_normal(space.num_dimensions).astype(np.float32),
            model_id=space.model_id,
            audio=bytes(rng.integers(0, 256, 40, np.uint8)) if number % 2 else None,
        )
        for number in range(num)
    ]


@pytest.fixture
def index(backend: Backend, tmp_path: Path) -> VectorIndex:
    return create_index(tmp_path / "library", SPACE, backend=backend)


def brute_force(rows: list[LibraryRow], query: np.ndarray, where: RowFilter, num_matches: int) -> list[str]:
    passing = [
        row
        for row in rows
        if where.min_ambient_db <= row.clip.ambient_db <= where.max_ambient_db
        and (not where.scenes or row.clip.scene in where.scenes)
        and (not where.licences or row.clip.licence in where.licences)
    ]
    cosine = [float(row.embedding @ query / np.linalg.norm(row.embedding)) for row in passing]
    return [passing[position].clip.key for position in np.argsort(cosine)[::-1][:num_matches]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ambient_db < -70",
        "ambient_db > -70",
        'scene = "painter\'s shop"',
        'scene in (kitchen, street) and licence = "CC BY 4.0" and ambient_db <= -30',
        "scene = nowhere",
    ],
)
def test_matches_are_those_of_brute_force(index: VectorIndex, text: str) -> None:
    rows = make_rows(300)
    for start in range(0, 300, 64):
        index.append(rows[start : start + 64])
    where = parse_filter(text)
    for query in np.random.default_rng(1).standard_normal((5, 16)).astype(np.float32):
        matches = index.search(query, num_matches=7, where=where)
        assert [match.clip.key for match in matches] == brute_force(rows, query, where, 7)
        assert all(-1.00001 <= match.score <= 1.00001 for match in matches)


def test_a_clip_finds_itself_with_everything_known_about_it(index: VectorIndex) -> None:
    rows = make_rows(50)
    assert index.append(rows) == len(index) == 50
    for row in rows[::7]:
        # The length of a query and of what is stored does not matter.
        match = index.search(3 * row.embedding, num_matches=1)[0]
        assert match.clip == row.clip == index.find(row.clip.key)
        assert match.score == pytest.approx(1, abs=1e-5)
        assert index.read_audio(row.clip.key) == row.audio


def test_open_index_sees_what_another_handle_appends(index: VectorIndex) -> None:
    rows = make_rows(400)
    index.append(rows[:10])
    other = open_index(index.location, SPACE)
    assert len(other.search(rows[0].embedding, num_matches=1000)) == 10
    for start in range(10, 400, 130):
        index.append(rows[start : start + 130])
        assert len(other) == len(index)
        newest = rows[len(index) - 1]
        assert other.search(newest.embedding, num_matches=1)[0].clip == newest.clip


def test_appending_a_key_again_changes_nothing(index: VectorIndex) -> None:
    rows = make_rows(5)
    assert index.append([*rows, rows[0]]) == 5
    changed = replace(rows[2], clip=replace(rows[2].clip, scene="elsewhere"))
    assert index.append([changed, *make_rows(1, seed=1)]) == 1
    assert len(index) == 6 and index.find(rows[2].clip.key) == rows[2].clip
    assert index.known([rows[0].clip.key, "x"]) == {rows[0].clip.key}
    assert index.append([]) == index.append(rows) == 0
    assert index.find("x") is None and index.read_audio("x") is None


def test_an_empty_index_has_no_matches(index: VectorIndex) -> None:
    assert index.search(np.ones(16, np.float32)) == []
    stats = index.stats()
    assert (stats.num_clips, stats.ambient_db, stats.scenes) == (0, None, {})


def test_numbers_of_an_index(index: VectorIndex, backend: Backend) -> None:
    rows = make_rows(41)
    index.append(rows)
    stats = index.stats()
    levels = sorted(row.clip.ambient_db for row in rows)
    assert (stats.num_clips, stats.num_with_audio, stats.backend, stats.space) == (41, 20, backend, SPACE)
    assert stats.ambient_db == (levels[0], levels[20], levels[-1])
    assert sum(stats.scenes.values()) == sum(stats.licences.values()) == 41
    assert stats.scenes["kitchen"] == sum(row.clip.scene == "kitchen" for row in rows)
    assert stats.num_bytes is not None and stats.num_bytes > 41 * 16 * 4


def test_optimising_changes_no_answer(index: VectorIndex) -> None:
    rows = make_rows(200)
    index.append(rows)
    where = parse_filter("ambient_db < -50 and scene = kitchen")
    query = np.linspace(-1, 1, 16, dtype=np.float32)
    before = [index.search(query, where=where), index.search(query)]
    index.optimise()
    after = [index.search(query, where=where), index.search(query)]
    assert [[m.clip for m in part] for part in before] == [[m.clip for m in part] for part in after]
    index.append(make_rows(1, seed=1))
    assert len(index) == 201


@pytest.mark.parametrize(
    "other", [EmbeddingSpace(model_id="towers:2", num_dimensions=16), replace(SPACE, num_dimensions=8)]
)
def test_another_space_is_refused_by_name(index: VectorIndex, other: EmbeddingSpace) -> None:
    both = f'"towers:1" with 16 dimensions, not of "{other.model_id}" with {other.num_dimensions} dimensions'
    index.append(make_rows(3))
    with pytest.raises(UsageError, match=both):
        open_index(index.location, other)
    with pytest.raises(UsageError, match=both):
        index.append([*make_rows(3, seed=2), *make_rows(1, seed=3, space=other)])
    assert len(index) == 3
    if other.num_dimensions != 16:
        with pytest.raises(UsageError, match="16 dimensions"):
            index.search(np.ones(other.num_dimensions, np.float32))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_vectors_without_a_direction_are_refused_whole(index: VectorIndex, value: float) -> None:
    rows = make_rows(3)
    rows[1].embedding[:] = value
    with pytest.raises(InputError, match="embedding 1 of 3 is zero or not finite"):
        index.append(rows)
    with pytest.raises(InputError, match="no direction"):
        index.search(rows[1].embedding)
    assert len(index) == 0


def test_an_index_is_not_made_over_another(index: VectorIndex, backend: Backend) -> None:
    index.append(make_rows(2))
    with pytest.raises(UsageError, match="exists"):
        create_index(index.location, SPACE, backend=backend)
    assert len(open_index(index.location)) == 2


def test_what_is_no_index_is_refused(tmp_path: Path, backend: Backend) -> None:
    with pytest.raises(UsageError, match="there is no index"):
        open_index(tmp_path / "none")
    with pytest.raises(UsageError, match="does not exist; create it first"):
        create_index(tmp_path / "none" / "library", SPACE, backend=backend)
    (tmp_path / "notes.txt").write_text("not an index at all, only some words\n" * 50)
    (tmp_path / "folder").mkdir()
    for name in ("notes.txt", "folder"):
        with pytest.raises(MediaError, match=name):
            open_index(tmp_path / name)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE meta (name TEXT, value TEXT)")
    other.close()
    with pytest.raises(MediaError, match="not an index of this version"):
        open_index(tmp_path / "other.db")
    for name in ("notes.txt", "other.db"):
        with pytest.raises((UsageError, MediaError), match=name):
            create_index(tmp_path / name, SPACE, backend=backend)
    assert (tmp_path / "notes.txt").read_text().startswith("not an index")


def test_a_creation_that_was_cut_off_can_be_made_again(tmp_path: Path, backend: Backend) -> None:
    """Killed between the first byte and the tables: nothing was promised, so nothing stands in the way."""
    path = tmp_path / "library"
    path.touch() if backend == "sqlite" else path.mkdir()
    with pytest.raises(MediaError, match="library"):
        open_index(path)
    assert len(create_index(path, SPACE, backend=backend)) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
def test_any_text_survives_as_a_tag_and_filters(index: VectorIndex, text: str) -> None:
    row = make_rows(1, seed=len(index) + 1)[0]
    clip = replace(row.clip, key=f"{len(index)}{text}", scene=text, licence=text, captions=(text, ""))
    index.append([replace(row, clip=clip)])
    assert index.find(clip.key) == clip
    matches = index.search(row.embedding, where=RowFilter(scenes=(text,), licences=(text,)))
    assert clip in [match.clip for match in matches] and all(match.clip.scene == text for match in matches)
    assert len(index.search(row.embedding, num_matches=1, where=EVERYTHING)) == 1


def test_the_vector_index_finds_nearly_what_brute_force_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lancedb", reason="LanceDB is not installed: pip install 'foleykit[index]'")
    monkeypatch.setattr("foleykit.retrieval.lance.MIN_INDEXED", 1000)
    index = create_index(tmp_path / "library", SPACE, backend="lancedb")
    rows = make_rows(3000)
    index.append(rows)
    index.optimise()
    late = make_rows(1, seed=1)
    index.append(late)
    index.optimise()
    assert index.search(late[0].embedding, num_matches=1)[0].clip == late[0].clip
    for text, least in (("", 0.7), ("scene = kitchen and ambient_db < -60", 0.9)):
        where, hits = parse_filter(text), 0
        for query in np.random.default_rng(2).standard_normal((20, 16)).astype(np.float32):
            truth = set(brute_force([*rows, *late], query, where, 10))
            hits += len(truth & {match.clip.key for match in index.search(query, where=where)})
        assert hits / 200 >= least


def test_without_lancedb_its_index_asks_for_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(UsageError, match=r"pip install 'foleykit\[index\]'"):
        create_index(tmp_path / "library", SPACE, backend="lancedb")
