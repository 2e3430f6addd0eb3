"""Training the audio-visual towers of published size on prepared clips, pictures and sound read as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from foleykit.core.checkpoint import load_weights, save_weights
from foleykit.core.config import save_config
from foleykit.core.errors import InputError
from foleykit.data.manifest import ManifestSplit
from foleykit.data.shards import ClipShards
from foleykit.models.avsync.pipeline import heard_part
from foleykit.models.contrastive.network import AudioVisualTowers, ContrastiveConfig, av_sim
from foleykit.models.contrastive.objective import InfoNceObjective, PairBatch
from foleykit.recipes.avldm_batches import step_rng
from foleykit.training.loop import Run, TrainingConfig, fit, write_settings

HELD_OUT_CLIPS = 64


@dataclass(frozen=True, kw_only=True)
class ContrastiveTrainArgs:
    """One run. The release leaves batch and schedule open: these are ours."""

    shards: Path
    """Prepared clips; the tower hears the middle of each, where it was narrated."""
    output: Path
    """Run folder: checkpoints, log, and at last config.json and model.safetensors."""
    config: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            num_steps=20_000, learning_rate=3e-5, warmup_steps=1000, schedule="cosine", second_beta=0.98, bf16=True
        )
    )
    batch_size: int = 128
    """Of each process; more clips make the choice harder and the embeddings better."""
    video: Path | None = None
    """`video.safetensors` of a converted model, to start the video tower from; the paper starts from EgoVLP."""
    device: str = "cpu"
    resume: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class PairBatches:
    """Clips of one split drawn anew in every step, each long video once where there are enough."""

    shards: ClipShards
    positions: Sequence[int]
    num_frames: int
    batch_size: int
    device: str
    seed: int

    def __call__(self, step: int) -> PairBatch:
        rng = step_rng(self.seed, step)
        by_video: dict[str, list[int]] = {}
        for position in rng.permutation(self.positions).tolist():
            by_video.setdefault(self.shards[position].record.video_id, []).append(position)
        # Clips of one video share their background: they would be taken for one another.
        turns = (
            videos[turn] for turn in range(len(self.positions)) for videos in by_video.values() if turn < len(videos)
        )
        drawn = [position for position, _ in zip(turns, range(self.batch_size), strict=False)]
        return self.pairs(drawn)

    def pairs(self, positions: Sequence[int]) -> PairBatch:
        """Return pictures and sound of the clips at `positions`; raises InputError where they are of several rates."""
        frames = np.stack([self.shards.frames(position, self.num_frames) for position in positions])
        sounds, rates = zip(*(self.shards.waveform(position) for position in positions), strict=True)
        if len(set(rates)) > 1:
            raise InputError(f"clips are at several sample rates, {sorted(set(rates))}; prepare them anew")
        length = min(len(sound) for sound in sounds)
        waveform = torch.from_numpy(np.stack([sound[:length] for sound in sounds]))
        return PairBatch(
            frames=torch.from_numpy(frames).to(self.device).permute(0, 1, 4, 2, 3).float() / 255,
            waveform=heard_part(waveform, rates[0]).to(self.device),
        )


def pair_batches(args: ContrastiveTrainArgs, split: ManifestSplit, *, seed: int) -> PairBatches:
    """Return the clips of a split; raises InputError where it has fewer than two, which leaves nothing to choose."""
    shards = ClipShards(args.shards)
    positions = [index for index, clip in enumerate(shards) if clip.record.split == split]
    if len(positions) < 2:
        raise InputError(f"{args.shards} holds {len(positions)} clips of the split {split}; two at least are compared")
    return PairBatches(
        shards=shards,
        positions=positions,
        num_frames=args.config.video.num_frames,
        batch_size=args.batch_size,
        device=args.device,
        seed=seed,
    )


def train_contrastive(args: ContrastiveTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train both towers and return the run folder, which then holds them."""
    batches = pair_batches(args, "train", seed=args.training.seed)
    held_out = pair_batches(args, "valid", seed=1)
    fixed = held_out.pairs(held_out.positions[:HELD_OUT_CLIPS])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.training.seed)
        towers = AudioVisualTowers(args.config).to(args.device)
    if args.video is not None:
        load_weights(towers.video_model, args.video)

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, AudioVisualTowers)
        sounds, pictures = model.embed_audio(fixed.waveform), model.embed_video(fixed.frames)
        nearest = (sounds @ pictures.T).argmax(dim=1).cpu() == torch.arange(len(sounds))
        return {
            "av_sim": av_sim(sounds, pictures),
            "av_sim_other": av_sim(sounds, pictures.roll(1, 0)),
            "nearest_is_own": nearest.double().mean().item(),
        }

    write_settings(args.output, args.training, args.batch_size)
    run = Run(
        objective=InfoNceObjective(towers),
        batches=batches,
        config=args.training,
        output=args.output,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    save_weights(fit(run, resume=args.resume), args.output / "model.safetensors")
    save_config(args.config, args.output / "config.json")
    return args.output
