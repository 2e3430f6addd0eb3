from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foleykit.core.errors import InputError, MediaError
from foleykit.data.manifest import ClipRecord, read_manifest, safe_id, unique_records, write_manifest

text = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)
records = st.builds(
    ClipRecord,
    clip_id=st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True),
    video_id=st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True),
    path=st.just("a/b c.mp4"),
    start=st.floats(0, 1e4),
    end=st.floats(1.1e4, 1e5),
    split=st.sampled_from(["train", "valid", "test"]),
    caption=text,
    sound=text,
    transcript=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), text), max_size=2).map(tuple),
    tags=st.dictionaries(text, st.floats(0, 1), max_size=3),
    ambient_db=st.none() | st.floats(-80, 0),
)


@given(rows=st.lists(records, max_size=5, unique_by=lambda record: record.clip_id))
def test_reading_gives_what_was_written(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("manifest") / "clips.csv"
    write_manifest(path, rows)
    manifest = read_manifest(path)
    assert list(manifest.records) == rows
    assert manifest.rejected == () and manifest.unknown_columns == ()
    assert [ClipRecord.from_dict(record.to_dict()) for record in rows] == rows


def test_bad_rows_are_listed_and_good_ones_kept(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text(
        "clip_id,video_id,path,start,end,mood\n"
        "a,v,v.mp4,0,3,happy\n"
        "b,v,v.mp4,3,1,sad\n"
        "c,v,v.mp4,nan,3,sad\n"
        "d,v,v.mp4,x,3,sad\n"
        "a,v,v.mp4,5,8,sad\n"
        "e,v,v.mp4,5,8,sad,too much\n"
        "f/../g,v,v.mp4,5,8,sad\n"
    )
    manifest = read_manifest(path)
    assert [record.clip_id for record in manifest.records] == ["a"]
    assert manifest.counts() == {"unknown-column": 1, "bad-value": 4, "duplicate": 1}
    assert manifest.unknown_columns == ("mood",)
    assert manifest.rejected[0].name == "clips.csv:3"


def test_what_is_no_manifest_is_refused(tmp_path):
    with pytest.raises(MediaError, match="no such manifest"):
        read_manifest(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("file,class\n1,2\n")
    with pytest.raises(InputError, match="no column clip_id, video_id, path, start, end"):
        read_manifest(tmp_path / "other.csv")


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (float("nan"), 3), (0, float("inf"))])
def test_a_record_has_a_time_span(start, end):
    with pytest.raises(InputError, match="no time span"):
        ClipRecord(clip_id="a", video_id="v", path="v.mp4", start=start, end=end)


def test_ids_are_made_safe_and_stay_unique(make_record):
    assert safe_id("P01/a b.c") == "P01_a_b_c"
    kept, rejected = unique_records([make_record("a", 0), make_record("b", 0), make_record("a", 9)])
    assert [(record.clip_id, record.start) for record in kept] == [("a", 0), ("b", 0)]
    assert [item.reason for item in rejected] == ["duplicate"]


def test_overlap_needs_the_same_video(make_record):
    first = make_record("a", 0)
    assert first.overlaps(make_record("b", 2.9))
    assert not first.overlaps(make_record("b", 3.0))
    assert not first.overlaps(make_record("b", 0, video="other"))
