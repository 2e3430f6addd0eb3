from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from foleykit.core.errors import InputError, MediaError
from foleykit.data.corpora.ego4d_sounds import (
    COLUMNS,
    NarratedRow,
    read_durations,
    read_metadata,
    reference_order,
    reference_rows,
    scan,
    write_metadata,
)
from foleykit.data.corpora.videos import clip_around
from foleykit.data.neighbours import NearestRows, nearest_rows

PARITY = os.environ.get("FOLEYKIT_PARITY")
needs_parity = pytest.mark.skipif(not PARITY, reason="FOLEYKIT_PARITY names no folder of parity fixtures")


def fixture(name: str) -> Path:
    folder = Path(str(PARITY))
    return next(path for path in (folder / "avldm" / name, folder / name) if path.exists())


@needs_parity
@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("sides", [(3, 3), (1, 2)])
def test_splits_and_neighbours_are_exactly_the_published_ones(split, sides):
    expected = json.loads(fixture("neighbors.json").read_text())
    rows = read_metadata(fixture("metadata.csv")).rows
    chosen = reference_rows([row.video_uid for row in rows], split, seed=expected["seed"])
    table = [rows[index] for index in chosen]
    found = nearest_rows([row.video_uid for row in table], NearestRows(left=sides[0], right=sides[1]))
    served = reference_order(len(table), split, seed=expected["seed"])
    got = [
        {
            "clip_file": table[index].clip_file,
            "clip_id": table[index].narration_id,
            "candidates": [table[other].clip_file for other in found[index]],
        }
        for index in served
    ]
    assert got == expected["results"][f"{split}_k{sides[0]}_{sides[1]}"]


@needs_parity
def test_clip_windows_are_exactly_the_published_ones():
    for case in json.loads(fixture("sampling_rules.json").read_text())["clip_window"]:
        window = clip_around(case["narration_time"], case["video_duration"])
        assert window == pytest.approx((case["start"], case["end"]), abs=1e-9)


@needs_parity
def test_a_whole_published_list_is_read():
    table = read_metadata(fixture("metadata.csv"))
    assert len(table.rows) == 87 and not table.rejected and not table.unknown_columns


def row(uid: str = "uid-1", index: int = 0, time: float = 5.0, **changes: object) -> NarratedRow:
    values = {
        "video_uid": uid,
        "video_dur": -1.0,
        "narration_source": "narration_pass_1",
        "narration_ind": index,
        "narration_time": time,
        "clip_text": "#C C taps",
        "clip_file": f"{uid}/{uid}_narration_pass_1_{index}.mp4",
        "scores": {"speech": 0.1, "background_music": 0.0, "traffic_noise": 0.0, "wind_noise": 0.0},
    }
    return NarratedRow(**{**values, **changes})  # type: ignore[arg-type]


def test_reading_gives_what_was_written(tmp_path):
    rows = (row(), row(index=1, time=7.25), row("uid-2", index=3, time=1e3, clip_text='says "a\tb"'))
    write_metadata(tmp_path / "rows.csv", rows)
    table = read_metadata(tmp_path / "rows.csv")
    assert table.rows == rows
    assert (tmp_path / "rows.csv").read_text().splitlines()[0].split("\t") == list(COLUMNS)


def test_clips_surround_their_narration_and_stay_inside_the_video(tmp_path, long_video):
    (tmp_path / "uid-1.mp4").symlink_to(long_video)
    write_metadata(tmp_path / "rows.csv", [row(time=time, index=i) for i, time in enumerate((0.2, 5.0, 11.9))])
    manifest = scan(tmp_path / "rows.csv", tmp_path, is_test_list=True)
    spans = [(record.start, record.end) for record in manifest.records]
    assert spans == [(0.0, 3.0), (3.5, 6.5), pytest.approx((9.0, 12.0), abs=0.05)]
    first = manifest.records[0]
    assert (first.split, first.caption, first.tags["speech"]) == ("test", "#C C taps", 0.1)
    assert first.clip_id == "uid-1_narration_pass_1_0"


def test_every_bad_row_is_counted_and_listed(tmp_path, long_video):
    (tmp_path / "uid-1.mp4").symlink_to(long_video)
    (tmp_path / "uid-3.mp4").write_bytes(b"not a video" * 100)
    write_metadata(
        tmp_path / "rows.csv",
        [row(), row("uid-2"), row("uid-3"), row(index=1, time=-2.0), row(index=2, time=99.0), row(time=7.0)],
    )
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    lines.append(lines[1].replace("5.0", "soon", 1))
    lines.append(lines[1] + "\tone more")
    lines.append(lines[1].replace("uid-1", "../../etc/uid-1"))
    lines.append(lines[1].replace("5.0", "nan", 1))
    lines = [f"{line}\tx" for line in lines]
    lines[0] = "\t".join((*COLUMNS, "mood"))
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    manifest = scan(tmp_path / "rows.csv", tmp_path)
    assert [record.clip_id for record in manifest.records] == ["uid-1_narration_pass_1_0"]
    assert manifest.unknown_columns == ("mood",)
    assert manifest.counts() == {
        "unknown-column": 1,
        "bad-value": 3,
        "bad-time": 2,
        "duplicate": 1,
        "missing-file": 1,
        "corrupt-video": 1,
    }
    assert len(manifest.rejected) + len(manifest.records) == 10


def test_the_length_may_come_from_the_corpus_own_list(tmp_path, long_video):
    (tmp_path / "uid-1.mp4").symlink_to(long_video)
    (tmp_path / "ego4d.json").write_text(json.dumps({"videos": [{"video_uid": "uid-1", "duration_sec": 8.0}]}))
    write_metadata(tmp_path / "rows.csv", [row(time=7.9)])
    manifest = scan(tmp_path / "rows.csv", tmp_path, durations=read_durations(tmp_path / "ego4d.json"))
    assert (manifest.records[0].start, manifest.records[0].end) == (5.0, 8.0)
    with pytest.raises(MediaError, match="not Ego4D's list"):
        read_durations(tmp_path / "rows.csv")


def test_other_files_are_refused(tmp_path, long_video):
    (tmp_path / "comma.csv").write_text("video_uid,clip_file\nx,y\n")
    with pytest.raises(InputError, match="expected tabs"):
        scan(tmp_path / "comma.csv", tmp_path)
    with pytest.raises(MediaError, match="no such table"):
        scan(tmp_path / "none.csv", tmp_path)
    write_metadata(tmp_path / "rows.csv", [row("elsewhere")])
    with pytest.raises(InputError, match="not one of 1 rows"):
        scan(tmp_path / "rows.csv", tmp_path)
    with pytest.raises(MediaError, match="no such folder"):
        scan(tmp_path / "rows.csv", tmp_path / "none")


def test_a_video_belongs_to_one_split_and_one_in_twenty_to_validation():
    videos = [f"v{index // 3}" for index in range(300)]
    train, valid = reference_rows(videos, "train"), reference_rows(videos, "validation")
    assert sorted(train + valid) == list(range(300))
    assert not {videos[row] for row in train} & {videos[row] for row in valid}
    assert len({videos[row] for row in valid}) == 5
