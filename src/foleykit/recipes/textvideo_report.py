"""What the table of prompts says: our figures, with what they rest on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from foleykit import __version__
from foleykit.evaluation.metrics.intervals import Estimate
from foleykit.evaluation.report import Report
from foleykit.recipes.action2sound_report import hardware
from foleykit.recipes.avldm_evaluation import Dial


@dataclass(frozen=True, kw_only=True)
class TextVideoTable:
    """Everything that the command says."""

    world: Report
    prompts: Report
    dial: Dial
    diversity: Estimate
    """Of takes that differ in their seed alone, dB."""
    model: Mapping[str, Any]
    command: str

    def to_json(self) -> dict[str, Any]:
        """Return all figures, unrounded, with what they rest on."""
        return {
            "command": self.command,
            "date": datetime.now(UTC).date().isoformat(),
            "versions": {"foleykit": __version__, "torch": torch.__version__},
            "hardware": hardware(),
            "model": dict(self.model),
            "world": self.world.to_json(),
            "prompts": self.prompts.to_json(),
            "dial": asdict(self.dial),
            "take_diversity_db": asdict(self.diversity),
        }

    def to_markdown(self) -> str:
        """Return the tables with their explanations."""
        protocol, dial, takes = self.world.protocol, self.dial, self.diversity
        levels = " | ".join(f"{point.level_db:.0f}" for point in dial.points)
        heard = " | ".join(f"{point.gap_level_db:.1f}" for point in dial.points)
        return "\n".join(
            [
                "# Pictures, prompts and ambience with tiny-textvideo\n",
                f"`{self.command}`\n",
                f"{protocol['num_clips']} clips of 3 s from {protocol['num_videos']} unseen places of the world; 95 % "
                f"intervals over clips. {hardware()}. Weights {self.model['weights']}, guidance "
                f"{self.model['guidance_scale']:g}, with a prompt {self.model['prompted_guidance_scale']:g}; "
                f"manifest {str(protocol['manifest_sha256'])[:12]}.\n",
                "## Timing, ambience and distance\n",
                "FD is Fréchet distance on the embedding of our material classifier, which hears up to 8 kHz. Rows are "
                "under the quiet condition unless they name the neighbour, another moment of the same place.\n",
                self.world.to_markdown() + "\n",
                "## Prompts\n",
                "A classifier that was trained apart names the material of every clean impact. Seen is the material of "
                "most visible impacts of a clip, other one that occurs nowhere in it and that the contradicting prompt "
                "gives to every action. A clip's vote goes to the material that most of its impacts sound like, a tie "
                "in equal parts. The true action stems are the ceiling for seen; rows that do not name it are chance "
                "for other.\n",
                self.prompts.to_markdown() + "\n",
                "## Level of the condition\n",
                f"| asked, dBFS | {levels} |",
                "|---" * (len(dial.points) + 1) + "|",
                f"| heard, dBFS | {heard} |\n",
                f"{dial.in_words()}\n",
                f"Takes of one clip differ by {takes.value:.1f} dB [{takes.low:.1f}, {takes.high:.1f}] (log-spectral "
                f"distance over all pairs, {takes.num_clips} clips).\n",
            ]
        )

    def save(self, folder: Path) -> None:
        """Write table.json and table.md."""
        text = json.dumps(self.to_json(), indent=2, allow_nan=False)
        (folder / "table.json").write_text(text + "\n", encoding="utf-8")
        (folder / "table.md").write_text(self.to_markdown(), encoding="utf-8")
