"""What a textvideo model makes of pictures, prompts and ambience on unseen places, beside tiny-avldm on the same clips.

Prompts are written as its training's are: the true one names the materials that are seen, the contradicting one gives
every action another material, the negative one names the material that is seen most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from foleykit.audio.ambient import AmbientClip
from foleykit.audio.resample import resample
from foleykit.core.checkpoint import weights_digest
from foleykit.core.progress import Report as Progress
from foleykit.core.types import VideoFeatures
from foleykit.evaluation import metrics
from foleykit.evaluation.clips import ClipInfo, read_clip, read_generated
from foleykit.evaluation.material_classifier import MaterialClassifier
from foleykit.evaluation.measure import measure_clip
from foleykit.evaluation.metrics.diversity import take_diversity
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_percentile
from foleykit.evaluation.onsets import OnsetConfig
from foleykit.evaluation.report import Report, Row
from foleykit.evaluation.truth import clip_truth
from foleykit.evaluation.world import SHUFFLED, TRUE_ACTION, TRUE_MIX, evaluate_world
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.events import SeenEvent
from foleykit.models.textvideo.config import TextVideoConfig
from foleykit.models.textvideo.pipeline import TextVideoPipeline
from foleykit.models.textvideo.pipeline import VideoFeatures as TextVideoFeatures
from foleykit.recipes.avldm_batches import step_rng
from foleykit.recipes.avldm_evaluation import WorldSetArgs, clip_frames, read_dial, true_events, write_world_reference
from foleykit.recipes.table_clips import Make, write_row
from foleykit.recipes.textvideo_report import TextVideoTable
from foleykit.recipes.world_data import WorldDataArgs
from foleykit.world.prompts import MOST_NAMED, SUBSTANCES, Claim, phrase
from foleykit.world.types import MATERIALS, Material

WORLD_COLUMNS = (
    metrics.ONSET_F1,
    metrics.ONSET_F1_SHUFFLED,
    metrics.ENVELOPE,
    metrics.GAP_REDUCTION,
    metrics.GAP_MEDIAN_ABSOLUTE,
    metrics.MATERIAL,
    metrics.FRECHET_MIX,
    metrics.FRECHET_ACTION,
)
NO_PROMPT, TRUE_PROMPT, CONTRADICTING, NEGATIVE = "no prompt", "true prompt", "contradicting prompt", "negative prompt"


@dataclass(frozen=True, kw_only=True)
class Unprompted:
    """A textvideo model as one that hears of pictures and ambience alone."""

    model: TextVideoPipeline

    @property
    def config(self) -> TextVideoConfig:
        return self.model.config

    def encode(self, chunks: Iterable[NDArray[np.uint8]]) -> TextVideoFeatures:
        """Return what is seen in chunks of frames (t, H, W, 3)."""
        frames = list(chunks)
        return self.model.encode(frames, seconds=sum(map(len, frames)) / self.config.video_fps)

    def quiet(self) -> AmbientClip:
        return self.model.quiet()

    def generate(
        self,
        features: TextVideoFeatures,
        *,
        num_samples: int,
        ambient: NDArray[np.float32],
        seed: int = 0,
        guidance_scale: float | None = None,
    ) -> NDArray[np.float32]:
        """Return a waveform (1, `num_samples`)."""
        return self.model.generate(
            features, num_samples=num_samples, ambient=ambient, seed=seed, guidance_scale=guidance_scale
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptClip:
    """One clip of an unseen place and what may be written about it."""

    info: ClipInfo
    features: TextVideoFeatures
    baseline_features: VideoFeatures
    neighbour: NDArray[np.float32]
    """(S,)"""
    prompt: str
    """Names what is seen and heard."""
    other_prompt: str
    """Names the same actions in another material."""
    other: Material
    """Which occurs nowhere in the clip."""
    seen: Material
    """Of most of the visible impacts."""

    @property
    def clip_id(self) -> str:
        return self.info.clip_id


def prompt_clip(
    info: ClipInfo,
    features: TextVideoFeatures,
    baseline_features: VideoFeatures,
    neighbour: NDArray[np.float32],
    rng: np.random.Generator,
) -> PromptClip:
    """Return a clip with prompts drawn for it; of its materials the one that is named against the picture is none."""
    visible = [event for event in info.events if event.on_screen and event.time >= 0]
    counts = Counter(Claim(action=event.action, material=event.material) for event in visible)
    claims = [claim for claim, _ in counts.most_common(MOST_NAMED)]
    materials = Counter(event.material for event in visible)
    absent = [material for material in MATERIALS if material not in {event.material for event in info.events}]
    other = absent[int(rng.integers(len(absent)))]
    actions = list(dict.fromkeys(claim.action for claim in claims))
    return PromptClip(
        info=info,
        features=features,
        baseline_features=baseline_features,
        neighbour=neighbour,
        prompt=" and ".join(phrase(claim, rng) for claim in claims),
        other_prompt=" and ".join(phrase(Claim(action=action, material=other), rng) for action in actions),
        other=other,
        seen=materials.most_common(1)[0][0],
    )


@dataclass(frozen=True, kw_only=True)
class TextVideoTableArgs:
    """What the table is made from."""

    data: WorldDataArgs
    """Cache of the world at the model's rate; its test split is scored."""
    output: Path
    """Receives the clips, every row's sounds, table.json and table.md."""
    classifier: Path
    """Folder of a material classifier, whose votes say whether a prompt is obeyed."""
    num_clips: int = 96
    num_dial_clips: int = 16
    num_takes: int = 4
    guidance_scale: float | None = None
    """Of the textvideo model; None is its own."""
    command: str = ""
    """The command line, for the record."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextVideoTableMaker:
    """How rows are made and heard."""

    args: TextVideoTableArgs
    model: TextVideoPipeline
    baseline: AvLdmPipeline

    @property
    def clip_set(self) -> WorldSetArgs:
        return WorldSetArgs(data=self.args.data, folder=self.args.output, num_clips=self.args.num_clips)

    @property
    def reference(self) -> Path:
        return self.args.output / "reference"

    @cached_property
    def clips(self) -> Sequence[PromptClip]:
        """Return every clip, seen by both models."""
        write_world_reference(self.clip_set)
        blind = Unprompted(model=self.model)
        return [
            prompt_clip(
                info,
                blind.encode([np.array(frames)]),
                self.baseline.encode([np.array(frames)]),
                read_clip(self.reference, info).neighbour,
                step_rng(0, number),
            )
            for number, (info, frames) in enumerate(clip_frames(self.clip_set, self.model.config.video_fps))
        ]

    def rows(self) -> dict[str, Make[PromptClip]]:
        """Return how the sound of every row of `model` is made, by name."""
        quiet = self.model.quiet().waveform

        def heard(clip: PromptClip) -> NDArray[np.float32]:
            return clip.neighbour[None]

        def true(clip: PromptClip) -> tuple[SeenEvent, ...]:
            return true_events(clip.info, read_clip(self.reference, clip.info))

        told: dict[str, Make[PromptClip]] = {
            "no prompt, told the true events": lambda number, clip: self.sound(number, clip, quiet, events=true(clip))
        }
        return {
            NO_PROMPT: lambda number, clip: self.sound(number, clip, quiet),
            TRUE_PROMPT: lambda number, clip: self.sound(number, clip, quiet, clip.prompt),
            CONTRADICTING: lambda number, clip: self.sound(number, clip, quiet, clip.other_prompt),
            NEGATIVE: lambda number, clip: self.sound(number, clip, quiet, negative=SUBSTANCES[clip.seen][0]),
            "no prompt, neighbour": lambda number, clip: self.sound(number, clip, heard(clip)),
            "true prompt, neighbour": lambda number, clip: self.sound(number, clip, heard(clip), clip.prompt),
        } | (told if self.model.takes_events else {})

    def sound(
        self,
        seed: int,
        clip: PromptClip,
        ambient: NDArray[np.float32],
        prompt: str = "",
        *,
        negative: str = "",
        events: Sequence[SeenEvent] | None = None,
    ) -> NDArray[np.float32]:
        versions = self.model.versions(
            clip.features,
            num_samples=round(clip.info.seconds * self.model.config.sample_rate),
            prompt=prompt,
            negative_prompt=negative,
            ambient=ambient,
            seed=seed,
            guidance_scale=self.args.guidance_scale,
            events=events,
        )
        return next(versions)[:, :][0]

    def baseline_rows(self) -> dict[str, Make[PromptClip]]:
        """Return the rows of the model without text."""
        model, rate = self.baseline, self.baseline.config.sample_rate

        def sound(number: int, clip: PromptClip, ambient: NDArray[np.float32]) -> NDArray[np.float32]:
            num_samples = round(clip.info.seconds * rate)
            return model.generate(clip.baseline_features, num_samples=num_samples, ambient=ambient, seed=number)[0]

        def heard(clip: PromptClip) -> NDArray[np.float32]:
            return resample(clip.neighbour[None], self.model.config.sample_rate, rate)

        return {
            "tiny-avldm": lambda number, clip: sound(number, clip, model.quiet().waveform),
            "tiny-avldm, neighbour": lambda number, clip: sound(number, clip, heard(clip)),
        }

    def prompt_report(self, folders: Mapping[str, Path], classifier: MaterialClassifier) -> Report:
        """Return how often the seen and the other material are heard under each prompt."""
        votes: dict[str, list[NDArray[np.int64]]] = {name: [] for name in (TRUE_ACTION, *folders)}
        judged = []
        for clip in self.clips:
            audio = read_clip(self.reference, clip.info)
            truth = clip_truth(clip.info, audio)
            if not truth.impacts:
                continue
            judged.append(clip)
            sounds = {name: read_generated(folder, clip.info, audio.sample_rate) for name, folder in folders.items()}
            for name, sound in {TRUE_ACTION: audio.action, **sounds}.items():
                measured = measure_clip(sound, audio.sample_rate, truth, classifier=classifier, onsets=OnsetConfig())
                votes[name].append(np.bincount(measured.materials, minlength=len(MATERIALS)))
        seen, other = (
            np.array([MATERIALS.index(getattr(clip, name)) for clip in judged]) for name in ("seen", "other")
        )
        rows = []
        for name, counts in votes.items():
            table = np.array(counts)
            rows.append(
                Row(
                    name=name,
                    estimates={
                        metrics.SEEN_WINS.key: votes_won(table, seen),
                        metrics.SEEN_SHARE.key: share_heard(table, seen),
                        metrics.OTHER_WINS.key: votes_won(table, other),
                        metrics.OTHER_SHARE.key: share_heard(table, other),
                    },
                )
            )
        return Report(
            title="Materials that are heard", metrics=metrics.PROMPT_METRICS, rows=tuple(rows), protocol={"seed": 0}
        )

    def diversity(self) -> Estimate:
        """Return how much takes of one clip differ, over the clips of the dial."""
        quiet, values = self.model.quiet().waveform, []
        for clip in self.clips[: self.args.num_dial_clips]:
            takes = [torch.from_numpy(self.sound(seed, clip, quiet)) for seed in range(self.args.num_takes)]
            values.append(take_diversity(takes))
        table = np.array(values)
        return bootstrap_percentile(lambda clips: float(table[clips].mean()), len(table))


def votes_won(counts: NDArray[np.int64], material: NDArray[np.int64]) -> Estimate:
    """Return the share of clips won by `material` (N,), of whose impacts `counts` (N, M) are each; a tie is shared."""
    is_top = counts == counts.max(axis=1, keepdims=True)
    won = is_top[np.arange(len(counts)), material] / is_top.sum(axis=1)
    return bootstrap_percentile(lambda clips: float(won[clips].mean()), len(won))


def share_heard(counts: NDArray[np.int64], material: NDArray[np.int64]) -> Estimate:
    """Return the share of all impacts in `counts` (N, M) that sound like their clip's `material` (N,)."""
    named, total = counts[np.arange(len(counts)), material], counts.sum(axis=1)
    return bootstrap_percentile(lambda clips: float(named[clips].sum() / total[clips].sum()), len(total))


def textvideo_table(
    args: TextVideoTableArgs, model: TextVideoPipeline, baseline: AvLdmPipeline, progress: Progress
) -> TextVideoTable:
    """Return the table after making every row's sounds; what a killed run has made is used again."""
    maker = TextVideoTableMaker(args=args, model=model, baseline=baseline)
    digest = weights_digest(model.network, model.codec, *([model.events] if model.events is not None else []))
    sampling, asked = model.config.sampling, args.guidance_scale
    scales = (sampling.guidance_for(), sampling.guidance_for("any")) if asked is None else (asked, asked)
    home = args.output / f"sounds-{digest}-{scales[0]:g}-{scales[1]:g}"
    baseline_home = args.output / f"sounds-{weights_digest(baseline.denoiser, baseline.codec)}"

    def made(home: Path, rows: Mapping[str, Make[PromptClip]], sample_rate: int) -> dict[str, Path]:
        return {
            name: write_row(maker.clips, home / name.replace(" ", "-").replace(",", ""), make, sample_rate, progress)
            for name, make in rows.items()
        }

    folders = made(home, maker.rows(), model.config.sample_rate)
    classifier = MaterialClassifier.load(args.classifier)
    everything = folders | made(baseline_home, maker.baseline_rows(), baseline.config.sample_rate)
    world = evaluate_world(maker.reference, everything, classifier=classifier, progress=progress)
    shown = [TRUE_ACTION, TRUE_MIX, SHUFFLED, *everything]
    prompted = [NO_PROMPT, TRUE_PROMPT, CONTRADICTING, NEGATIVE]
    return TextVideoTable(
        world=replace(world, metrics=WORLD_COLUMNS, rows=tuple(world.row(name) for name in shown)),
        prompts=maker.prompt_report({name: folders[name] for name in prompted}, classifier),
        dial=read_dial(maker.clip_set, Unprompted(model=model), num_clips=args.num_dial_clips),
        diversity=maker.diversity(),
        model={"weights": digest, "guidance_scale": scales[0], "prompted_guidance_scale": scales[1]},
        command=args.command,
    )
