"""Splits, neighbours and clip windows of Ego4D-Sounds against what the public dataset code serves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from foleykit.data.corpora.ego4d_sounds import read_metadata, reference_order, reference_rows
from foleykit.data.corpora.videos import clip_around
from foleykit.data.neighbours import NearestRows, nearest_rows
from parity.fixtures import root


def recorded(name: str) -> Path:
    return root() / "avldm" / name


def test_splits_and_neighbours() -> None:
    stored = json.loads(recorded("neighbors.json").read_text())
    rows = read_metadata(recorded("metadata.csv")).rows
    assert stored["results"]
    for key, expected in stored["results"].items():
        match = re.fullmatch(r"(\w+)_k(\d+)_(\d+)", key)
        assert match is not None, key
        table = [
            rows[index] for index in reference_rows([row.video_uid for row in rows], match[1], seed=stored["seed"])
        ]
        found = nearest_rows([row.video_uid for row in table], NearestRows(left=int(match[2]), right=int(match[3])))
        assert expected == [
            {
                "clip_file": table[index].clip_file,
                "clip_id": table[index].narration_id,
                "candidates": [table[other].clip_file for other in found[index]],
            }
            for index in reference_order(len(table), match[1], seed=stored["seed"])
        ], key


def test_clip_windows() -> None:
    for case in json.loads(recorded("sampling_rules.json").read_text())["clip_window"]:
        window = clip_around(case["narration_time"], case["video_duration"])
        assert window == pytest.approx((case["start"], case["end"]), abs=1e-9)
