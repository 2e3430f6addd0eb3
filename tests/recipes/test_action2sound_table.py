"""The ablation table: what it rests on, how it goes on, and what it says of the paper's orderings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foleykit.evaluation import metrics
from foleykit.evaluation.metrics.intervals import Estimate
from foleykit.evaluation.report import Report, Row
from foleykit.recipes.action2sound_report import Table, WorldPart
from foleykit.recipes.avldm_evaluation import Dial, DialPoint
from foleykit.recipes.table_clips import Pool, TableClip, held_frames, write_row
from foleykit.recipes.world_data import WorldDataArgs
from foleykit.world.config import WorldConfig
from recipes.test_avldm_world import renders  # noqa: F401


def estimate(value: float, reach: float = 0.1) -> Estimate:
    return Estimate(value=value, low=value - reach, high=value + reach, num_clips=9)


def report(**rows: dict[str, float]) -> Report:
    return Report(
        title="table",
        metrics=(metrics.FRECHET_MIX, metrics.AV_SYNC, metrics.AMBIENT_LEVEL),
        rows=tuple(
            Row(name=name.replace("_", " "), estimates={key: estimate(value) for key, value in values.items()})
            for name, values in rows.items()
        ),
        protocol={"num_clips": 9, "num_videos": 3, "manifest_sha256": "ab" * 32},
    )


def table(world: Report, pools: Report) -> Table:
    dial = Dial(
        points=(DialPoint(level_db=-40.0, gap_level_db=-41.0),), spearman=0.9, pooled_spearman=0.8, share_rising=1.0
    )
    return Table(
        world=WorldPart(main=world, pools=pools, frame_rates=pools, dial=dial),
        real=None,
        real_left_out={},
        rows_left_out={"without neighbour": "needs its weights"},
        model={"weights": "w", "pool_clips": 400},
        settings={},
        command="foley reproduce action2sound-table",
    )


def test_orderings_name_both_figures_and_say_when_intervals_overlap(tmp_path: Path) -> None:
    world = report(
        random_condition={"frechet_mix": 9.0, "av_sync": 0.55},
        retrieved_condition={"frechet_mix": 8.0, "av_sync": 0.5},
        oracle_condition={"frechet_mix": 7.0},
    )
    made = table(world, report(pool_of_100={"frechet_mix": 8.9}))
    said = dict(made.orderings())
    assert said["a retrieved condition is no farther than a random one"] == "holds: 8.00 and 9.00"
    late = said["a retrieved condition is in time at least as often as a random one"]
    assert late == "does not hold: 0.500 and 0.550, intervals overlap"
    assert said["a pool of 100 is nearly as good as all"].startswith("holds: 8.90 and 8.00")
    assert said["with the neighbour's condition the distance is smaller than without"] == "not measured"
    made.save(tmp_path)
    text = (tmp_path / "table.md").read_text()
    assert "Left out: without neighbour, needs its weights." in text and "Another data set" in text
    assert json.loads((tmp_path / "table.json").read_text())["world"]["rows"][0]["frechet_mix"]["value"] == 9.0


def test_slower_pictures_are_held() -> None:
    frames = np.arange(25, dtype=np.uint8).reshape(25, 1, 1, 1)
    assert held_frames(frames, 25.0, 5.0).ravel().tolist() == [5 * (index // 5) for index in range(25)]
    assert held_frames(frames, 25.0, 25.0).ravel().tolist() == list(range(25))
    assert len(set(held_frames(frames, 25.0, 8.0).ravel().tolist())) == 8


def test_a_pool_is_searched_in_one_order_for_all_sizes() -> None:
    embeddings = np.eye(50, dtype=np.float32)
    pool = Pool(videos=(), spans=[(0, slice(0))] * 50, embeddings=embeddings)
    assert all(pool.nearest(embeddings[index], 50) == index for index in range(50))
    small = {pool.nearest(embeddings[index], 10) for index in range(50)}
    assert len(small) <= 11 and {pool.nearest(embeddings[index], 10) for index in small} == small


def test_what_a_killed_run_has_made_is_kept(tmp_path: Path) -> None:
    clips = [
        TableClip(clip_id=name, frames=None, features=None, recorded=np.ones(160, np.float32), neighbour=None)  # type: ignore[arg-type]
        for name in ("a", "b")
    ]
    made: list[int] = []

    def make(number: int, clip: TableClip) -> np.ndarray:
        made.append(number)
        if number == 1 and len(made) == 2:
            raise KeyboardInterrupt
        return clip.recorded

    with pytest.raises(KeyboardInterrupt):
        write_row(clips, tmp_path / "row", make, 16_000, lambda stage, share: None)
    write_row(clips, tmp_path / "row", make, 16_000, lambda stage, share: None)
    assert made == [0, 1, 1] and len(list((tmp_path / "row").iterdir())) == 2


@pytest.mark.slow
def test_the_whole_table_of_a_rendered_world(tmp_path: Path, renders: None) -> None:  # noqa: F811
    from foleykit.jobs.load import load
    from foleykit.models.avldm.pipeline import AvLdmPipeline
    from foleykit.recipes.action2sound_table import TableArgs, action2sound_table

    model = load("tiny-avldm").model
    assert isinstance(model, AvLdmPipeline)
    model.config = replace(model.config, sampling=replace(model.config.sampling, num_steps=1))
    args = TableArgs(
        data=WorldDataArgs(cache=tmp_path / "cache", num_videos=4, workers=1, world=WorldConfig(seconds=12.0)),
        output=tmp_path / "table",
        num_clips=6,
        pool_videos=4,
        num_dial_clips=2,
        command="test",
    )
    first = action2sound_table(args, model, lambda stage, share: None)
    first.save(args.output)
    rows = {row["name"]: row for row in json.loads((args.output / "table.json").read_text())["world"]["rows"]}
    assert rows["true mix"]["av_sync"]["value"] > rows["shuffled pairs"]["av_sync"]["value"]
    assert rows["action-focused"]["ambient_level_db"]["value"] < rows["oracle condition"]["ambient_level_db"]["value"]
    again = action2sound_table(args, model, lambda stage, share: None)
    assert again.to_json() == first.to_json()
