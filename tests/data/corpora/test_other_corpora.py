from __future__ import annotations

import shutil

import pytest

from foleykit.core.errors import InputError, MediaError
from foleykit.data.corpora import epic_kitchens, folder, vggsound
from foleykit.data.corpora.windows import windows_of

EPIC_HEADER = ",".join(epic_kitchens.COLUMNS)


def epic_row(name: str, start: str, stop: str, video: str = "P01_01") -> str:
    return f"{name},P01,{video},00:00:01.1,{start},{stop},8,202,open door,open,3,door,3,\"['door']\",[3]"


def test_epic_actions_become_clips_around_their_middle(tmp_path, long_video):
    (tmp_path / "P01" / "videos").mkdir(parents=True)
    shutil.copy(long_video, tmp_path / "P01" / "videos" / "P01_01.MP4")
    rows = [
        epic_row("P01_01_0", "00:00:04.00", "00:00:06.00"),
        epic_row("P01_01_1", "00:00:08.00", "00:00:07.00"),
        epic_row("P01_01_2", "00:01:08.00", "00:01:09.00"),
        epic_row("P01_02_0", "00:00:08.00", "00:00:09.00", video="P01_02"),
        epic_row("P01_01_3", "8 s", "00:00:09.00"),
    ]
    (tmp_path / "train.csv").write_text("\n".join((EPIC_HEADER, *rows)) + "\n")
    manifest = epic_kitchens.scan(tmp_path / "train.csv", tmp_path, split="train")
    (clip,) = manifest.records
    assert (clip.start, clip.end, clip.caption, clip.tags) == (3.5, 6.5, "open door", {"open": 1.0, "door": 1.0})
    assert manifest.counts() == {"bad-value": 2, "bad-time": 1, "missing-file": 1}


def test_vggsound_clips_of_one_video_do_not_overlap(tmp_path, make_long_video):
    make_long_video(tmp_path / "abc-_1_000030.mp4", seconds=10.0)
    (tmp_path / "vggsound.csv").write_text(
        'abc-_1,30,"playing marimba, xylophone",test\ngone,5,dog barking,train\nabc-_1,x,dog,train\nq,1,dog,dev\n'
    )
    manifest = vggsound.scan(tmp_path / "vggsound.csv", tmp_path)
    assert [(clip.start, clip.end) for clip in manifest.records] == [(0.0, 3.0), (3.5, 6.5), (7.0, 10.0)]
    assert manifest.records[0].clip_id == "abc-_1_000030_0"
    assert (manifest.records[0].sound, manifest.records[0].split) == ("playing marimba, xylophone", "test")
    assert manifest.counts() == {"bad-value": 2, "missing-file": 1}


def test_a_folder_is_covered_by_windows(tmp_path, long_video, make_long_video):
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.copy(long_video, tmp_path / "a" / "b" / "one.two.mp4")
    make_long_video(tmp_path / "short.mp4", seconds=2.0)
    (tmp_path / "broken.mkv").write_bytes(b"0" * 1000)
    (tmp_path / "notes.txt").write_text("no video")
    manifest = folder.scan(tmp_path)
    assert [clip.clip_id for clip in manifest.records] == [f"a_b_one_two_{index:05d}" for index in range(4)]
    assert manifest.counts() == {"bad-time": 1, "corrupt-video": 1}
    assert len(folder.scan(tmp_path, stride_seconds=1.0).records) == 10


def test_windows_end_inside_the_video():
    assert windows_of(2.99, 3.0, 3.0) == []
    assert windows_of(3.0, 3.0, 3.0) == [(0.0, 3.0)]
    assert windows_of(9.5, 3.0, 3.5) == [(0.0, 3.0), (3.5, 6.5)]


def test_an_empty_corpus_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text(EPIC_HEADER + "\n")
    with pytest.raises(InputError, match="not one row"):
        epic_kitchens.scan(tmp_path / "t.csv", tmp_path)
    with pytest.raises(InputError, match="holds no video"):
        folder.scan(tmp_path)
    with pytest.raises(MediaError, match="no such folder"):
        vggsound.scan(tmp_path / "t.csv", tmp_path / "none")
