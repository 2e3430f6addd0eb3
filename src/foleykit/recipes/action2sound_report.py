"""What the ablation table says: our figures, which of the paper's orderings hold, and the paper's table beside them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from foleykit import __version__
from foleykit.evaluation import metrics
from foleykit.evaluation.metrics import Metric
from foleykit.evaluation.report import Report
from foleykit.recipes.avldm_evaluation import Dial

PUBLISHED = """\
| published (Action2Sound, Ego4D-Sounds test) | FAD ↓ | AV-Sync % ↑ | CLAP ↑ |
|---|---|---|---|
| ground truth | 0 | 77.69 | 0.2698 |
| retrieval | 1.8353 | 11.84 | 0.0335 |
| AV-LDM without the neighbour | 1.4681 | | |
| AV-LDM, random condition | 1.0635 | 28.74 | |
| AV-LDM | 0.9999 | 45.74 | 0.1435 |
| AV-LDM, pool of 100 | 1.12 | | |
| a denoiser in front instead | | 1.09 | near 0 |
| Griffin-Lim instead of the vocoder | 4.9282 | | |
"""


@dataclass(frozen=True, kw_only=True)
class WorldPart:
    """The tables of the world's unseen places."""

    main: Report
    pools: Report
    """By the number of clips that the condition is retrieved from."""
    frame_rates: Report
    """By the rate of the pictures, each held until the next; the model was trained at one rate."""
    dial: Dial


@dataclass(frozen=True, kw_only=True)
class Ordering:
    """One of the paper's orderings, and whether it holds here."""

    claim: str
    better: str
    """Row that should score better."""
    worse: str
    metric: Metric
    slack: float = 0.0
    """By how much, as a share of the other's figure, the better row may score worse: "nearly as good"."""


ORDERINGS = (
    Ordering(
        claim="with the neighbour's condition the distance is smaller than without",
        better="oracle condition",
        worse="without neighbour",
        metric=metrics.FRECHET_MIX,
    ),
    Ordering(
        claim="a retrieved condition is no farther than a random one",
        better="retrieved condition",
        worse="random condition",
        metric=metrics.FRECHET_MIX,
    ),
    Ordering(
        claim="a retrieved condition is in time at least as often as a random one",
        better="retrieved condition",
        worse="random condition",
        metric=metrics.AV_SYNC,
    ),
    Ordering(
        claim="the vocoder is nearer than Griffin-Lim",
        better="retrieved condition",
        worse="retrieved, Griffin-Lim",
        metric=metrics.FRECHET_MIX,
    ),
    Ordering(
        claim="generated sound is in time more often than retrieved sound",
        better="retrieved condition",
        worse="retrieval",
        metric=metrics.AV_SYNC,
    ),
    Ordering(
        claim="a denoiser in front instead of the condition costs synchronisation",
        better="retrieved condition",
        worse="denoiser in front",
        metric=metrics.AV_SYNC,
    ),
    Ordering(
        claim="action-focused sound has the lowest ambience",
        better="action-focused",
        worse="retrieved, denoiser behind",
        metric=metrics.AMBIENT_LEVEL,
    ),
    Ordering(
        claim="a pool of 100 is nearly as good as all",
        better="pool of 100",
        worse="retrieved condition",
        metric=metrics.FRECHET_MIX,
        slack=0.15,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Everything that the command says."""

    world: WorldPart
    real: Report | None
    real_left_out: Mapping[str, str]
    """Real videos without a clip, and why."""
    rows_left_out: Mapping[str, str]
    model: Mapping[str, Any]
    """Hashes of the weights, size of the pool."""
    settings: Mapping[str, Any]
    command: str

    def orderings(self) -> list[tuple[str, str]]:
        """Return every ordering of the paper with a verdict that names both figures."""
        rows = {row.name: row for part in (self.world.main, self.world.pools) for row in part.rows}
        verdicts = []
        for entry in ORDERINGS:
            pair = [
                rows[name].estimates.get(entry.metric.key) if name in rows else None
                for name in (entry.better, entry.worse)
            ]
            better, worse = pair
            if better is None or worse is None:
                verdicts.append((entry.claim, "not measured"))
                continue
            is_lower = entry.metric.better == "lower" or entry.metric is metrics.AMBIENT_LEVEL
            gain = worse.value - better.value if is_lower else better.value - worse.value
            holds = gain >= -entry.slack * abs(worse.value)
            is_clear = better.high < worse.low or worse.high < better.low
            digits = entry.metric.decimals
            verdicts.append(
                (
                    entry.claim,
                    f"{'holds' if holds else 'does not hold'}: {better.value:.{digits}f} and {worse.value:.{digits}f}"
                    f"{'' if is_clear else ', intervals overlap'}",
                )
            )
        return verdicts

    def to_json(self) -> dict[str, Any]:
        """Return all figures, unrounded, with what they rest on."""
        return {
            "command": self.command,
            "date": datetime.now(UTC).date().isoformat(),
            "versions": {"foleykit": __version__, "torch": torch.__version__, "python": platform.python_version()},
            "hardware": hardware(),
            "model": dict(self.model),
            "settings": dict(self.settings),
            "world": self.world.main.to_json(),
            "pool_sizes": self.world.pools.to_json()["rows"],
            "frame_rates": self.world.frame_rates.to_json()["rows"],
            "dial": asdict(self.world.dial),
            "real": None if self.real is None else self.real.to_json(),
            "real_left_out": dict(self.real_left_out),
            "rows_left_out": dict(self.rows_left_out),
            "orderings": [{"claim": claim, "verdict": verdict} for claim, verdict in self.orderings()],
        }

    def to_markdown(self) -> str:
        """Return the tables with their explanations."""
        world, dial = self.world, self.world.dial
        protocol = world.main.protocol
        levels = " | ".join(f"{point.level_db:.0f}" for point in dial.points)
        heard = " | ".join(f"{point.gap_level_db:.1f}" for point in dial.points)
        parts = [
            "# Action2Sound's ablations with tiny-avldm\n",
            f"`{self.command}`\n",
            f"{protocol['num_clips']} clips of 3 s from {protocol['num_videos']} unseen places of the world; "
            f"conditions and retrieved sound from {self.model['pool_clips']} clips of the training split; "
            f"95 % intervals over clips. {hardware()}. Weights {self.model['weights']}, "
            f"manifest {str(protocol['manifest_sha256'])[:12]}.\n",
            "FD is Fréchet distance on the embedding of our material classifier, not FAD. AV-Sync is the mean "
            "probability of our sync classifier: the true mix shows what true sound gets, the shuffled row is chance. "
            "It sees through this model's own encoder, so that generated sound can get more than true sound; onset F1 "
            "rests on what really happened. AV-Sim, in the place of a CLAP score, is the cosine of our own "
            "audio-visual similarity, which retrieval maximises. Definitions: docs/metrics.md.\n",
            "## Unseen places of the world\n",
            world.main.to_markdown() + "\n",
            *(f"Left out: {name}, {why}." for name, why in self.rows_left_out.items()),
            "\n## Which of the paper's orderings hold here\n",
            *(f"- {claim}: {verdict}" for claim, verdict in self.orderings()),
            "\n## Size of the retrieval pool\n",
            f"The last row, the retrieved condition of the main table, has all {self.model['pool_clips']}.\n",
            world.pools.to_markdown() + "\n",
            "## Rate of the pictures\n",
            "Slower pictures are held, by a model trained at 25 frames/s. The condition is the retrieved one.\n",
            world.frame_rates.to_markdown() + "\n",
            "## Level of the condition\n",
            f"| asked, dBFS | {levels} |",
            "|---" * (len(dial.points) + 1) + "|",
            f"| heard, dBFS | {heard} |\n",
            f"{dial.in_words()}\n",
        ]
        if self.real is not None:
            parts += [
                "## Real videos\n",
                f"{self.real.protocol['num_clips']} clips of 3 s; the recorded sound is the only witness.\n",
                self.real.to_markdown() + "\n",
                *(f"Left out: {name}, {why}." for name, why in self.real_left_out.items()),
            ]
        parts += [
            "\n## The published table\n",
            "Another data set and other networks: orderings may be compared, figures not.\n",
            PUBLISHED,
        ]
        return "\n".join(parts)

    def save(self, folder: Path) -> None:
        """Write table.json and table.md."""
        text = json.dumps(self.to_json(), indent=2, allow_nan=False)
        (folder / "table.json").write_text(text + "\n", encoding="utf-8")
        (folder / "table.md").write_text(self.to_markdown(), encoding="utf-8")


def hardware() -> str:
    """Return processor, cores and threads in words."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads used"
