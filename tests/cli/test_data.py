from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from foleykit.cli.data import FilterArgs, PrepareArgs, run_filter, run_prepare
from foleykit.core.errors import UsageError
from foleykit.data.corpora.ego4d_sounds import SCORES, NarratedRow, write_metadata
from foleykit.data.shards import ClipShards
from foleykit.video.encode import write_video


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Return a folder with an Ego4D-Sounds list of one video that is there and one that is not."""
    folder = tmp_path_factory.mktemp("ego4d")
    (folder / "videos").mkdir()
    rng = np.random.default_rng(0)
    sound = 1e-3 * rng.standard_normal((1, 8 * 16_000)).astype(np.float32)
    for second in range(4):
        sound[0, second * 16_000 : second * 16_000 + 400] += 0.5 * rng.standard_normal(400).astype(np.float32)
    frames = (np.full((48, 64, 3), 3 * index, np.uint8) for index in range(80))
    write_video(folder / "videos" / "uid.mp4", frames, 10, sound.clip(-1, 1), 16_000)
    rows = [
        NarratedRow(
            video_uid=uid,
            video_dur=-1.0,
            narration_source="narration_pass_1",
            narration_ind=index,
            narration_time=time,
            clip_text="#C C knocks",
            clip_file=f"{uid}/{uid}_narration_pass_1_{index}.mp4",
            scores=dict.fromkeys(SCORES, 0.0),
        )
        for uid, index, time in (("uid", 0, 1.0), ("uid", 1, 6.4), ("gone", 0, 1.0))
    ]
    write_metadata(folder / "metadata.csv", rows)
    return folder


def test_prepare_says_what_it_made_and_left_out(corpus, tmp_path, capsys):
    args = PrepareArgs(
        corpus="ego4d-sounds",
        output=tmp_path / "out",
        videos=corpus / "videos",
        metadata=corpus / "metadata.csv",
        size=32,
        workers=0,
        quiet=True,
    )
    run_prepare(args)
    assert capsys.readouterr().out == ""
    assert len(ClipShards(tmp_path / "out")) == 2
    run_prepare(PrepareArgs(**{**vars(args), "json": True}))
    told = json.loads(capsys.readouterr().out)
    assert (told["num_clips"], told["num_resumed"], told["rejected"]) == (2, 1, {"missing-file": 1})
    run_prepare(PrepareArgs(**{**vars(args), "quiet": False}))
    assert "1 left out: missing-file" in capsys.readouterr().out


def test_filter_hands_its_manifest_to_prepare(corpus, tmp_path, capsys):
    run_filter(
        FilterArgs(
            corpus="ego4d-sounds",
            output=tmp_path / "filter",
            videos=corpus / "videos",
            metadata=corpus / "metadata.csv",
            workers=0,
            json=True,
            quiet=True,
        )
    )
    told = json.loads(capsys.readouterr().out)
    assert told["num_judged"] == 2
    assert told["dropped"]["low-energy"] == 1 and told["num_kept"] == 1
    run_prepare(
        PrepareArgs(
            corpus="manifest",
            output=tmp_path / "out",
            videos=corpus / "videos",
            metadata=tmp_path / "filter" / "kept.csv",
            size=32,
            workers=0,
            quiet=True,
        )
    )
    (clip,) = ClipShards(tmp_path / "out")
    assert clip.record.clip_id == "uid_narration_pass_1_0"


def test_a_request_that_makes_no_sense_is_one_line(corpus, tmp_path):
    with pytest.raises(UsageError, match="needs its table"):
        run_prepare(PrepareArgs(corpus="vggsound", output=tmp_path, videos=corpus / "videos", quiet=True))
    with pytest.raises(UsageError, match="has no table"):
        run_prepare(
            PrepareArgs(
                corpus="folder",
                output=tmp_path,
                videos=corpus / "videos",
                metadata=corpus / "metadata.csv",
                quiet=True,
            )
        )
