"""The table of prompts: which are written for a clip, how votes are counted, and all of it on a rendered world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foleykit.evaluation.clips import ClipEvent, ClipInfo
from foleykit.evaluation.material_classifier import MaterialClassifier
from foleykit.recipes.textvideo_table import PromptClip, TextVideoTableArgs, prompt_clip, share_heard, votes_won
from foleykit.recipes.world_data import WorldDataArgs
from foleykit.world.captions import ADJECTIVES
from foleykit.world.config import WorldConfig
from foleykit.world.prompts import SUBSTANCES, words_of
from foleykit.world.types import MATERIALS, Action, Material
from recipes.test_avldm_world import renders  # noqa: F401


def event(time: float, action: Action, material: Material, *, on_screen: bool = True) -> ClipEvent:
    return ClipEvent(
        time=time, duration=0.0, kind="impact", action=action, material=material, strength=1.0, on_screen=on_screen
    )


def clip_of(*events: ClipEvent, seed: int = 0) -> PromptClip:
    info = ClipInfo(
        clip_id="a",
        video_id="a",
        start=0.0,
        seconds=3.0,
        neighbour_start=6.0,
        ambience=("rain",),
        ambient_level_db=-40.0,
        events=events,
    )
    return prompt_clip(info, None, None, np.zeros(3, np.float32), np.random.default_rng(seed))  # type: ignore[arg-type]


def named(text: str) -> set[str]:
    """Return the materials that a text names without doubt."""
    words = set(words_of(text))
    return {
        material
        for material in MATERIALS
        if words & {word for name in (*SUBSTANCES[material], *ADJECTIVES[material]) for word in words_of(name)}
    }


def test_one_prompt_names_what_is_seen_and_the_other_what_is_nowhere() -> None:
    wooden = [event(time, "hammer", "wood") for time in (0.5, 1.0, 1.5)]
    for seed in range(40):
        clip = clip_of(*wooden, event(2.0, "drop", "glass", on_screen=False), seed=seed)
        assert clip.seen == "wood" and clip.other not in ("wood", "glass")
        assert named(clip.prompt) == {"wood"}
        assert clip.other in named(clip.other_prompt) and "wood" not in named(clip.other_prompt)
    assert len({clip_of(*wooden, seed=seed).other for seed in range(60)}) == len(MATERIALS) - 1


def test_votes_are_won_by_the_most_and_shared_by_as_many() -> None:
    counts = np.array([[2, 1, 0], [1, 1, 0], [0, 3, 0], [0, 0, 1]])
    material = np.array([0, 0, 0, 2])
    assert votes_won(counts, material).value == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert share_heard(counts, material).value == pytest.approx((2 + 1 + 0 + 1) / 9)


@pytest.mark.slow
def test_the_whole_table_of_a_rendered_world(tmp_path: Path, renders: None) -> None:  # noqa: F811
    from foleykit.jobs.load import load
    from foleykit.models.avldm.pipeline import AvLdmPipeline
    from foleykit.models.textvideo.pipeline import TextVideoPipeline
    from foleykit.recipes.textvideo_table import textvideo_table

    model, baseline = load("tiny-textvideo").model, load("tiny-avldm").model
    assert isinstance(model, TextVideoPipeline) and isinstance(baseline, AvLdmPipeline)
    for one in (model, baseline):
        one.config = replace(one.config, sampling=replace(one.config.sampling, num_steps=1))  # type: ignore[assignment, type-var]
    torch.manual_seed(0)
    MaterialClassifier().save(tmp_path / "classifier")
    args = TextVideoTableArgs(
        data=WorldDataArgs(
            cache=tmp_path / "cache",
            num_videos=4,
            workers=1,
            world=WorldConfig(seconds=12.0, frame_size=(96, 96), video_fps=25.0),
            sample_rate=48_000,
        ),
        output=tmp_path / "table",
        classifier=tmp_path / "classifier",
        num_clips=6,
        num_dial_clips=2,
        num_takes=2,
        command="test",
    )
    first = textvideo_table(args, model, baseline, lambda stage, share: None)
    first.save(args.output)
    written = json.loads((args.output / "table.json").read_text())
    rows = {row["name"]: row for row in written["world"]["rows"]}
    assert rows["true mix"]["onset_f1"]["value"] > rows["shuffled pairs"]["onset_f1"]["value"]
    assert {"no prompt", "contradicting prompt", "tiny-avldm"} <= rows.keys()
    assert written["take_diversity_db"]["value"] > 0
    assert "seen wins" in (args.output / "table.md").read_text()
    assert textvideo_table(args, model, baseline, lambda stage, share: None).to_json() == first.to_json()
