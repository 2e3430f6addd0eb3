"""The classifier that judges generated impacts, trained apart from every generator on true stems."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foleykit.core.progress import Report, no_report
from foleykit.evaluation.impact_examples import collect_examples, with_new_bodies
from foleykit.evaluation.material_classifier import train_classifier
from foleykit.recipes.world_data import WorldDataArgs, open_world
from foleykit.world.types import LongVideo

NUM_STEPS = 2000
BODIES_PER_EVENT = 4
"""How often each simulated impact is struck again on another body of the same material."""


def train_material_classifier(
    data: WorldDataArgs, folder: Path, *, num_steps: int = NUM_STEPS, seed: int = 0, report: Report = no_report
) -> Path:
    """Train on the training split's impacts, each on new bodies that no generator has heard, and return `folder`."""

    def videos() -> Iterator[LongVideo]:
        for video in open_world(data, "train"):
            for body in range(BODIES_PER_EVENT):
                yield with_new_bodies(video.long_video(), seed=seed * BODIES_PER_EVENT + body + 1)

    classifier = train_classifier(collect_examples(videos()), num_steps=num_steps, seed=seed, report=report)
    folder.mkdir(parents=True, exist_ok=True)
    classifier.save(folder)
    return folder
