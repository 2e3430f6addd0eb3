"""The ablation table of Action2Sound with tiny-avldm: on unseen places of the world, and on real videos apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foleykit.audio.files import read_waveform
from foleykit.audio.spectral_gate import spectral_gate
from foleykit.core.checkpoint import sha256, weights_digest
from foleykit.core.errors import UsageError
from foleykit.core.progress import Report as Progress
from foleykit.evaluation import metrics
from foleykit.evaluation.media import SHIFTED, SHUFFLED, evaluate_media
from foleykit.evaluation.metrics.intervals import Estimate, bootstrap_percentile
from foleykit.evaluation.metrics.quietest_window import quietest_window
from foleykit.evaluation.networks import MaterialNetwork, NetworkName, PairNetwork, SoundNetwork
from foleykit.evaluation.protocols import MediaProtocol
from foleykit.evaluation.report import Report, Row
from foleykit.evaluation.sync_network import SyncNetwork
from foleykit.evaluation.world import SHUFFLED as SHUFFLED_PAIRS
from foleykit.evaluation.world import TRUE_MIX, evaluate_world
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.recipes.action2sound_report import Table, WorldPart
from foleykit.recipes.avldm_evaluation import Dial, DialPoint, WorldSetArgs, read_dial, with_denoiser, without_vocoder
from foleykit.recipes.table_clips import (
    ClipSet,
    Make,
    Pool,
    TableClip,
    held_frames,
    open_pool,
    real_clips,
    resynthesised,
    world_clips,
    write_row,
)
from foleykit.recipes.world_data import WorldDataArgs, open_world

QUIET_SECONDS = 0.5
POOL_SIZES = (100, 300, 1000, 3000)
FRAME_RATES = (5.0, 8.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class TableArgs:
    """What the table is made from."""

    data: WorldDataArgs
    """Cache of the world; the test split is scored, the training split is the pool."""
    output: Path
    """Receives the clips, every row's sounds, table.json and table.md."""
    num_clips: int = 96
    pool_videos: int = 200
    """Long videos of the training split that clips are retrieved from."""
    videos: Path | None = None
    """Folder of real videos with their recorded sound."""
    clips_per_video: int = 4
    classifier: Path | None = None
    """Folder of a material classifier, whose embedding the distances of sets are formed on."""
    without_neighbour: Path | None = None
    """Weights of a generator trained without its neighbour."""
    behind_denoiser: Path | None = None
    """Weights of a generator trained without its neighbour on denoised sound."""
    num_dial_clips: int = 16
    command: str = ""
    """The command line, for the record."""


def action2sound_table(args: TableArgs, pipeline: AvLdmPipeline, progress: Progress) -> Table:
    """Return the table after making every row's sounds; what a killed run has made is used again.

    A row whose weights are not given is left out and named.
    """
    judge = SyncNetwork.load()
    pool = open_pool(open_world(replace(args.data, num_videos=args.pool_videos), "train"), pipeline, progress)
    sounds = args.output / f"sounds-{_key(args, pipeline, pool)}"
    maker = Maker(
        pipeline=pipeline,
        pool=pool,
        without_neighbour=args.without_neighbour,
        behind_denoiser=args.behind_denoiser,
    )
    clips = WorldSetArgs(data=args.data, folder=args.output / "world", num_clips=args.num_clips)
    world = world_part(args, clips, maker, judge, sounds, progress)
    real: Report | None = None
    left_out: dict[str, str] = {}
    if args.videos is not None:
        real, left_out = real_part(args, args.videos, maker, judge, sounds / "real", progress)
    return Table(
        world=world,
        real=real,
        real_left_out=left_out,
        rows_left_out=maker.left_out,
        model={"weights": _model_digest(pipeline), "judge": judge.identity, "pool_clips": len(pool)},
        settings={
            "classifier": None if args.classifier is None else sha256(args.classifier / "model.safetensors"),
            "ablations": {name: sha256(path) for name, path in maker.ablated.items()},
            "num_clips": args.num_clips,
            "pool_videos": args.pool_videos,
            "clips_per_video": args.clips_per_video,
            "num_dial_clips": args.num_dial_clips,
            "world_seed": args.data.seed,
            "seeds": "clip number",
        },
        command=args.command,
    )


@dataclass(frozen=True, kw_only=True)
class Maker:
    """How the sound of every row is made."""

    pipeline: AvLdmPipeline
    pool: Pool
    without_neighbour: Path | None
    behind_denoiser: Path | None

    @property
    def ablated(self) -> dict[str, Path]:
        """Return the weights of rows that need their own, by name."""
        given = {"without neighbour": self.without_neighbour, "denoiser in front": self.behind_denoiser}
        return {name: path for name, path in given.items() if path is not None}

    @property
    def left_out(self) -> dict[str, str]:
        """Return the rows that cannot be made, and why."""
        needs = {
            "without neighbour": "needs a generator trained with --no-ambient (--without-neighbour FILE)",
            "denoiser in front": "needs a generator trained with --no-ambient --denoise (--behind-denoiser FILE); "
            'the row "truth, denoiser" is what it would be taught',
        }
        return {name: why for name, why in needs.items() if name not in self.ablated}

    def rows(self) -> dict[str, Make[TableClip]]:
        """Return the rows of the main table, by name."""
        pipeline, pool = self.pipeline, self.pool
        rows: dict[str, Make[TableClip]] = {
            "truth, codec and vocoder": lambda number, clip: resynthesised(pipeline, clip.recorded, number),
            "truth, denoiser": lambda number, clip: spectral_gate(clip.recorded),
            "retrieval": lambda number, clip: pool.sound(self.nearest(clip)),
        }
        for name, weights in self.ablated.items():
            rows[name] = self.without_condition(with_denoiser(pipeline, weights, uses_ambient=False))
        griffin_lim = without_vocoder(pipeline)
        return rows | {
            "random condition": lambda number, clip: generated(pipeline, number, clip, self.drawn(number)),
            "retrieved condition": lambda number, clip: generated(pipeline, number, clip, self.retrieved(clip)),
            "shipped library": lambda number, clip: generated(
                pipeline, number, clip, pipeline.retrieve(clip.features).waveform
            ),
            "oracle condition": lambda number, clip: generated(pipeline, number, clip, clip.neighbour[None]),
            "retrieved, denoiser behind": lambda number, clip: spectral_gate(
                generated(pipeline, number, clip, self.retrieved(clip))
            ),
            "retrieved, Griffin-Lim": lambda number, clip: generated(griffin_lim, number, clip, self.retrieved(clip)),
            "action-focused": lambda number, clip: generated(pipeline, number, clip, pipeline.quiet().waveform),
        }

    def without_condition(self, ablated: AvLdmPipeline) -> Make[TableClip]:
        """Return how a generator without condition makes a sound; the clip that it is handed has no effect."""
        return lambda number, clip: generated(ablated, number, clip, self.pipeline.quiet().waveform)

    def pool_rows(self) -> dict[str, Make[TableClip]]:
        """Return a row for every pool that is smaller than all there is."""

        def make(size: int) -> Make[TableClip]:
            return lambda number, clip: generated(self.pipeline, number, clip, self.retrieved(clip, size))

        return {f"pool of {size}": make(size) for size in POOL_SIZES if size < len(self.pool)}

    def frame_rate_rows(self) -> dict[str, Make[TableClip]]:
        """Return a row for every slower rate of the pictures."""
        pipeline = self.pipeline

        def make(rate: float) -> Make[TableClip]:
            def slower(number: int, clip: TableClip) -> NDArray[np.float32]:
                frames = held_frames(np.asarray(clip.frames), pipeline.config.video_fps, rate)
                seen = replace(clip, frames=frames, features=pipeline.encode([frames]))
                return generated(pipeline, number, seen, self.retrieved(clip))

            return slower

        return {f"{rate:g} frames/s": make(rate) for rate in FRAME_RATES}

    def nearest(self, clip: TableClip, size: int | None = None) -> int:
        return self.pool.nearest(self.pipeline.embed_video(clip.features), size or len(self.pool))

    def retrieved(self, clip: TableClip, size: int | None = None) -> NDArray[np.float32]:
        """Return the sound (1, S) of the pool's clip nearest to the pictures."""
        return self.pool.sound(self.nearest(clip, size))[None]

    def drawn(self, number: int) -> NDArray[np.float32]:
        """Return the sound (1, S) of any clip of the pool."""
        return self.pool.sound(int(np.random.default_rng((1, number)).integers(len(self.pool))))[None]


def generated(
    pipeline: AvLdmPipeline, number: int, clip: TableClip, ambient: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the sound (S,) that a model makes for a clip, with the clip's number as seed."""
    return pipeline.generate(clip.features, num_samples=len(clip.recorded), ambient=ambient, seed=number)[0]


def world_part(
    args: TableArgs, clips: WorldSetArgs, maker: Maker, judge: SyncNetwork, sounds: Path, progress: Progress
) -> WorldPart:
    """Return all tables of the world's unseen places."""
    from foleykit.evaluation.material_classifier import MaterialClassifier

    found = world_clips(clips, maker.pipeline)
    main, pools, rates = maker.rows(), maker.pool_rows(), maker.frame_rate_rows()
    folders = _made(found, main | pools | rates, sounds / "world", maker.pipeline, progress)
    classifier = None if args.classifier is None else MaterialClassifier.load(args.classifier)
    report = evaluate_world(found.reference, folders, classifier=classifier, progress=progress)
    listener = Listener(found=found, pipeline=maker.pipeline, judge=judge)
    truth, other = listener.columns(found.reference), listener.columns(found.reference, is_shuffled=True)
    columns = {TRUE_MIX: truth, SHUFFLED_PAIRS: other} | {
        name: listener.columns(folder) for name, folder in folders.items()
    }
    rows = {row.name: replace(row, estimates={**row.estimates, **columns.get(row.name, {})}) for row in report.rows}

    def part(names: Sequence[str]) -> Report:
        return replace(report, metrics=WORLD_COLUMNS, rows=tuple(rows[name] for name in names))

    return WorldPart(
        main=part([TRUE_MIX, SHUFFLED_PAIRS, *main]),
        pools=part([*pools, "retrieved condition"]),
        frame_rates=part([*rates, "retrieved condition"]),
        dial=_dial(args, clips, maker.pipeline, sounds, progress),
    )


def real_part(
    args: TableArgs, videos: Path, maker: Maker, judge: SyncNetwork, sounds: Path, progress: Progress
) -> tuple[Report, dict[str, str]]:
    """Return the table of real videos, and the videos that are left out."""
    found = real_clips(
        videos, args.output / "real", maker.pipeline, clips_per_video=args.clips_per_video, progress=progress
    )
    folders = _made(found, maker.rows(), sounds, maker.pipeline, progress)
    networks: dict[NetworkName, SoundNetwork | PairNetwork] = {}
    if args.classifier is not None:
        networks["material"] = MaterialNetwork.load(args.classifier)
    listener = Listener(found=found, pipeline=maker.pipeline, judge=judge)
    protocol = MediaProtocol(name="action2sound")
    rows: dict[str, Row] = {}
    recorded: dict[str, object] = {}
    for name, folder in {"recorded sound": found.reference, **folders}.items():
        scored = evaluate_media(folder, found.reference, protocol=protocol, networks=networks)
        estimates = {**scored.table.rows[0].estimates, **listener.columns(folder)}
        rows[name] = Row(name=name, estimates=estimates)
        if name == "retrieved condition":
            chance = {row.name: row for row in scored.table.rows}
            rows["retrieved, of other clips"] = replace(chance[SHUFFLED], name="retrieved, of other clips")
            rows["retrieved, shifted in time"] = replace(chance[SHIFTED], name="retrieved, shifted in time")
            recorded = {"protocol_sha256": scored.protocol_sha256, **scored.data}
        progress("score real videos", len(rows) / len(folders))
    report = Report(
        title="Real videos against their recorded sound",
        metrics=REAL_COLUMNS,
        rows=tuple(rows.values()),
        protocol={"name": protocol.name, "num_clips": len(found.clips), "data": recorded},
    )
    return report, found.left_out


WORLD_COLUMNS = (
    metrics.FRECHET_MIX,
    metrics.AV_SYNC,
    metrics.AV_SIMILARITY,
    metrics.ONSET_F1,
    metrics.ENVELOPE,
    metrics.AMBIENT_LEVEL,
    metrics.GAP_MEDIAN_ABSOLUTE,
    metrics.GAP_REDUCTION,
    metrics.MATERIAL,
)
REAL_COLUMNS = (
    metrics.FRECHET_MATERIAL,
    metrics.AV_SYNC,
    metrics.AV_SIMILARITY,
    metrics.ONSET_F1,
    metrics.SYNC,
    metrics.ENVELOPE,
    metrics.AMBIENT_LEVEL,
    metrics.AMBIENT_ERROR,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Listener:
    """What is heard in one row's sounds by networks that also see: in time, fitting, and how loud the quietest part."""

    found: ClipSet
    pipeline: AvLdmPipeline
    judge: SyncNetwork

    @cached_property
    def seen(self) -> list[Tensor]:
        """Return what the judge sees in every clip."""
        return [self.judge.look(np.array(clip.frames)) for clip in self.found.clips]

    def columns(self, folder: Path, *, is_shuffled: bool = False) -> dict[str, Estimate]:
        """Return the figures of a folder of sounds; shuffled, every clip gets the sound of one half the set away."""
        clips, rate = self.found.clips, self.pipeline.config.sample_rate
        sync, fit, level = [], [], []
        for number, clip in enumerate(clips):
            heard = clips[(number + len(clips) // 2) % len(clips)] if is_shuffled else clip
            waveform, _ = read_waveform(folder / f"{heard.clip_id}.wav", sample_rate=rate, mono=True)
            sync.append(self.judge.classifier.probability(self.seen[number], torch.from_numpy(waveform[0])))
            fit.append(float(self.pipeline.embed_video(clip.features) @ self.pipeline.embed_audio([waveform])[0]))
            energy, _ = quietest_window(waveform[0], rate, seconds=QUIET_SECONDS)
            level.append(10 * np.log10(max(energy / (QUIET_SECONDS * rate), 1e-8)))

        def mean(values: Sequence[float]) -> Estimate:
            table = np.array(values)
            return bootstrap_percentile(lambda chosen: float(table[chosen].mean()), len(table))

        return {
            metrics.AV_SYNC.key: mean(sync),
            metrics.AV_SIMILARITY.key: mean(fit),
            metrics.AMBIENT_LEVEL.key: mean(level),
        }


def _made(
    found: ClipSet, rows: Mapping[str, Make[TableClip]], folder: Path, pipeline: AvLdmPipeline, progress: Progress
) -> dict[str, Path]:
    rate = pipeline.config.sample_rate
    return {
        name: write_row(
            found.clips, folder / name.replace(" ", "-").replace(",", "").replace("/", "-per-"), make, rate, progress
        )
        for name, make in rows.items()
    }


def _dial(args: TableArgs, clips: WorldSetArgs, pipeline: AvLdmPipeline, sounds: Path, progress: Progress) -> Dial:
    """Return the ambience dial; it is read once per model."""
    path = sounds / f"levels-{args.num_dial_clips}.json"
    if not path.is_file():
        progress("read the dial", 0)
        dial = read_dial(clips, pipeline, num_clips=args.num_dial_clips)
        path.write_text(json.dumps(asdict(dial), indent=2) + "\n")
    values = json.loads(path.read_text())
    points = tuple(DialPoint(**point) for point in values.pop("points"))
    return Dial(points=points, **values)


def _model_digest(pipeline: AvLdmPipeline) -> str:
    parts = (pipeline.codec, pipeline.vocoder, pipeline.video, pipeline.denoiser, pipeline.similarity)
    return weights_digest(*parts)


def _key(args: TableArgs, pipeline: AvLdmPipeline, pool: Pool) -> str:
    """Return a short hash of all that the rows' sounds depend on besides the clips."""
    parts = [_model_digest(pipeline), repr(pipeline.config), str(len(pool)), str(args.data.seed)]
    for weights in (args.without_neighbour, args.behind_denoiser):
        if weights is not None:
            if not weights.is_file():
                raise UsageError(f"{weights}: no such file; name the model.safetensors of the ablation")
            parts.append(sha256(weights))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
