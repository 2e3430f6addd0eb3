"""Training Action2Sound as published: Ego4D-Sounds, or any prepared corpus of long videos, encoded once.

The clips come from `foley data prepare`, filtered as one likes. Latents and video features are stored beside them, 28
kB a clip at published size, so that training reads neither sound nor pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.audio.unit_mel import UnitMel
from foleykit.core.checkpoint import frozen, save_weights, weights_digest, with_weights
from foleykit.core.config import load_config
from foleykit.core.errors import InputError
from foleykit.core.progress import Report, no_report
from foleykit.data.manifest import ManifestSplit
from foleykit.data.neighbours import AmbientCondition, AmbientPlan, plan_ambient
from foleykit.data.shards import ClipShards
from foleykit.encoders.visual.timesformer import TimeSformer
from foleykit.models.avldm.published.config import Action2SoundConfig
from foleykit.models.avldm.published.network import PictureVae
from foleykit.models.avldm.published.objective import Action2SoundBatch, NoiseObjective, TrainedParts
from foleykit.models.avldm.published.windows import window_mel
from foleykit.recipes.stored_clips import store_together
from foleykit.training.loop import Run, TrainingConfig, fit, step_generator, write_settings

PAPER_EPOCHS, PAPER_BATCH, PAPER_SEED = 8, 720, 72
"""The batch is that of all processes: eight of 90."""
HELD_OUT_BATCHES = 4


def paper_training(num_clips: int, *, num_epochs: int = PAPER_EPOCHS, batch_size: int = PAPER_BATCH) -> TrainingConfig:
    """Return the paper's optimiser for `num_clips`: warm-up, then a constant rate; no clipping, no average, fp32."""
    return TrainingConfig(
        num_steps=max(1, -(-num_epochs * num_clips // batch_size)),
        learning_rate=1e-4,
        warmup_steps=1000,
        decay_fraction=0.0,
        weight_decay=0.01,
        second_beta=0.999,
        max_gradient_norm=1e9,
        ema_decay=0.0,
        checkpoint_every=500,
        validate_every=500,
        seed=PAPER_SEED,
    )


@dataclass(frozen=True, kw_only=True)
class Action2SoundTrainArgs:
    """One run."""

    parts: Path
    """Converted model folder to start from, such as `foley models convert action2sound --sd` makes; never changed."""
    shards: Path
    """Prepared clips."""
    ambient: AmbientCondition
    """Who lends a clip its ambience. It has no default: training with and without it are both spelled out."""
    output: Path
    """Run folder: checkpoints, log, and `denoiser.safetensors` and `conditioner.safetensors` of the trained model."""
    training: TrainingConfig | None = None
    """None is the paper's, for the clips that there are."""
    batch_size: int = PAPER_BATCH
    """Of each process."""
    trains_ambient: bool = True
    """False leaves the ambience's encoder at its start, as the released code does."""
    checkpoints_gradients: bool = False
    """Compute activations of the U-Net again when going back: less memory, a third more time."""
    device: str = "cpu"
    resume: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedClips:
    """The clips of one split with what is stored beside them."""

    shards: ClipShards
    positions: Sequence[int]
    """Of the split's clips in `shards`."""
    plan: AmbientPlan
    digest: str
    """Of the weights that made the stored values; part of their names."""
    silence: NDArray[np.float16]
    """(4, rows, L) latents of no sound at all."""
    device: str
    seed: int

    def __len__(self) -> int:
        return len(self.plan.usable)

    def batch(self, indices: Sequence[int], epoch: int) -> Action2SoundBatch:
        """Return the usable clips `indices` with the ambience that `epoch` draws for each."""
        rows = [self.plan.usable[index] for index in indices]
        choices = [self.plan.draw(row, np.random.default_rng((self.seed, epoch, row))) for row in rows]
        ambient = [
            self.silence if choice.index is None else self._stored("latents", choice.index) for choice in choices
        ]
        return Action2SoundBatch(
            latents=self._tensor([self._stored("latents", row) for row in rows]),
            video=self._tensor([self._stored("features", row) for row in rows]),
            ambient=self._tensor(ambient),
            has_ambient=torch.tensor([choice.kind != "none" for choice in choices], device=self.device),
        )

    def _stored(self, name: str, row: int) -> NDArray[np.float16]:
        return self.shards.cached(self.positions[row], f"{name}-{self.digest}")

    def _tensor(self, arrays: Sequence[NDArray[np.float16]]) -> Tensor:
        return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(self.device)


@dataclass(frozen=True, kw_only=True)
class EpochBatches:
    """Every clip once an epoch, in an order of its own."""

    clips: EncodedClips
    batch_size: int

    def __call__(self, step: int) -> Action2SoundBatch:
        count = len(self.clips)
        places = range(step * self.batch_size, (step + 1) * self.batch_size)
        orders = {
            epoch: np.random.default_rng((self.clips.seed, epoch)).permutation(count)
            for epoch in range(places.start // count, places[-1] // count + 1)
        }
        return self.clips.batch([int(orders[place // count][place % count]) for place in places], places[0] // count)


class Encoder:
    """The parts of a model that are never trained, and what they make of prepared clips."""

    def __init__(self, parts: Path, device: str) -> None:
        self.config = load_config(Action2SoundConfig, parts / "config.json")
        self.device = device
        self.mel = UnitMel(self.config.mel).to(device)
        self.vae = frozen(with_weights(PictureVae(self.config.vae), parts / "vae.safetensors"), device)
        self.video = frozen(with_weights(TimeSformer(self.config.video), parts / "video.safetensors"), device)

    @cached_property
    def digest(self) -> str:
        return weights_digest(self.vae, self.video)

    @torch.inference_mode()
    def latents(self, waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float16]:
        """Return scaled mean latents (4, rows, L) of a window of `waveform` (S,); raises InputError for its rate."""
        if sample_rate != self.config.mel.sample_rate:
            raise InputError(
                f"clips are at {sample_rate} Hz, the model at {self.config.mel.sample_rate} Hz; prepare them anew"
            )
        window = np.zeros(self.config.window_samples, np.float32)
        window[: len(waveform)] = waveform[: len(window)]
        mel = window_mel(self.mel, torch.from_numpy(window)[None].to(self.device), self.config)
        return self.vae.encode(mel)[0].cpu().numpy().astype(np.float16)

    @torch.inference_mode()
    def features(self, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Return features (T, W) of a clip's frames (T, H, W, 3); raises InputError where they are of another size."""
        size = self.config.video.size
        if frames.shape[1:3] != (size, size):
            raise InputError(f"clips are of {frames.shape[1:3]} pixels, the encoder sees {size}; prepare them anew")
        pixels = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2).float() / 255
        return self.video(pixels[None])[0].cpu().numpy().astype(np.float16)

    def store(self, shards: ClipShards, report: Report = no_report) -> None:
        """Store latents and features of every clip that has none; a killed call goes on at the shard it was at."""

        def latents(shards: ClipShards, positions: Sequence[int]) -> Iterator[NDArray[np.float16]]:
            for position in positions:
                yield self.latents(*shards.waveform(position))

        def features(shards: ClipShards, positions: Sequence[int]) -> Iterator[NDArray[np.float16]]:
            for position in positions:
                yield self.features(shards.frames(position, self.config.video.num_frames))

        store_together(shards, f"latents-{self.digest}", latents, self.device, report)
        store_together(shards, f"features-{self.digest}", features, self.device, report)

    def clips(self, shards: ClipShards, ambient: AmbientCondition, split: ManifestSplit, *, seed: int) -> EncodedClips:
        """Return the stored clips of a split; raises InputError where it has none to train on."""
        positions = [index for index, clip in enumerate(shards) if clip.record.split == split]
        if not positions:
            raise InputError(f"{shards.folder} holds no clip of the split {split}")
        return EncodedClips(
            shards=shards,
            positions=positions,
            plan=plan_ambient(
                [shards[index].record for index in positions], ambient, [shards[index].level_db for index in positions]
            ),
            digest=self.digest,
            silence=self.latents(np.zeros(self.config.window_samples, np.float32), self.config.mel.sample_rate),
            device=self.device,
            seed=seed,
        )


def train_action2sound(args: Action2SoundTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train U-Net and conditioner, and return the run folder with their weights."""
    encoder, shards = Encoder(args.parts, args.device), ClipShards(args.shards)
    encoder.store(shards)
    seed = PAPER_SEED if args.training is None else args.training.seed
    clips = encoder.clips(shards, args.ambient, "train", seed=seed)
    training = args.training or paper_training(len(clips), batch_size=args.batch_size)
    held_out = encoder.clips(shards, args.ambient, "valid", seed=1)
    fixed = [
        held_out.batch(range(start, min(start + 16, len(held_out))), 0)
        for start in range(0, min(16 * HELD_OUT_BATCHES, len(held_out)), 16)
    ]
    model = TrainedParts(encoder.config).to(args.device)
    for name in ("denoiser", "conditioner"):
        with_weights(getattr(model, name), args.parts / f"{name}.safetensors")
    if not args.trains_ambient:
        model.conditioner.ambient.requires_grad_(False)
        model.conditioner.ambient_positions.requires_grad_(False)
    if args.checkpoints_gradients:
        model.denoiser.unet.enable_gradient_checkpointing()

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, TrainedParts)
        return held_out_losses(model, encoder.config, fixed)

    write_settings(args.output, training, args.batch_size)
    run = Run(
        objective=NoiseObjective(model, encoder.config),
        batches=EpochBatches(clips=clips, batch_size=args.batch_size),
        config=training,
        output=args.output,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    trained = fit(run, resume=args.resume)
    assert isinstance(trained, TrainedParts)
    for name in ("denoiser", "conditioner"):
        save_weights(getattr(trained, name), args.output / f"{name}.safetensors")
    return args.output


def held_out_losses(
    model: TrainedParts, config: Action2SoundConfig, batches: Sequence[Action2SoundBatch]
) -> dict[str, float]:
    """Return the loss, and the loss when clips are shown the video or the ambience of another."""
    objective = NoiseObjective(model, config, video_dropout=0.0)

    def loss(shown: Callable[[Action2SoundBatch], tuple[Tensor, Tensor]]) -> float:
        values = []
        for step, batch in enumerate(batches):
            video, ambient = shown(batch)
            told = Action2SoundBatch(latents=batch.latents, video=video, ambient=ambient, has_ambient=batch.has_ambient)
            values.append(objective(told, step_generator(1, step)).total.item())
        return float(np.mean(values))

    return {
        "loss": loss(lambda batch: (batch.video, batch.ambient)),
        "loss_other_video": loss(lambda batch: (batch.video.roll(1, 0), batch.ambient)),
        "loss_other_ambience": loss(lambda batch: (batch.video, batch.ambient.roll(1, 0))),
    }
