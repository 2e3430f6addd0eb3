"""Training FoleyGen as published: VGGSound, or any prepared corpus, coded once and read from shards.

The clips come from `foley data prepare` with `--clip-seconds` of the model's window. Codes and visual vectors are
stored beside them, 4 kB and some more a clip, so that training reads no video.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foleykit.codecs import TokenCodec, build_token_codec
from foleykit.codecs.encodec import EncodecConfig
from foleykit.core.checkpoint import files_digest, frozen, save_weights, with_weights
from foleykit.core.config import load_config, save_config, to_dict
from foleykit.core.errors import InputError, ModelError, UsageError
from foleykit.core.progress import Report, no_report
from foleykit.core.types import CodesBatch
from foleykit.data.shards import ClipShards
from foleykit.encoders.visual import load_visual_encoder
from foleykit.models.foleygen.config import FoleyGenConfig
from foleykit.models.foleygen.network import LanguageModel
from foleykit.models.foleygen.objective import LanguageObjective
from foleykit.models.foleygen.presets import foleygen
from foleykit.recipes.avldm_batches import step_rng
from foleykit.recipes.run_args import ShardRunArgs
from foleykit.recipes.stored_clips import store_together
from foleykit.training.loop import Run, TrainingConfig, fit, write_settings


def paper_training() -> TrainingConfig:
    """Return the paper's optimiser and warm-up, then AudioCraft's cosine: the paper leaves open what follows."""
    return TrainingConfig(
        num_steps=20_000,
        learning_rate=1e-4,
        warmup_steps=4000,
        schedule="cosine",
        weight_decay=0.1,
        second_beta=0.95,
        ema_decay=0.99,
        bf16=True,
    )


@dataclass(frozen=True, kw_only=True)
class ShardTrainArgs(ShardRunArgs):
    """One run; `parts` lacks only its language model."""

    training: TrainingConfig = field(default_factory=paper_training)
    batch_size: int = 256


def assemble(codec: Path, video: Path, output: Path) -> FoleyGenConfig:
    """Write a folder for training `foleygen`: a converted codec, a CLIP folder of the hub's layout, and their config.

    Raises UsageError when `output` exists and ModelError when a part is missing or of other sizes than the preset.
    """
    if output.exists():
        raise UsageError(f"{output} exists; choose another folder")
    config = replace(foleygen(), codec=load_config(EncodecConfig, codec / "config.json"))
    with_weights(build_token_codec(config.codec), codec / "model.safetensors")
    if not video.is_dir():
        raise ModelError(f"there is no folder {video} with a video encoder")
    output.mkdir(parents=True)
    shutil.copy(codec / "model.safetensors", output / "codec.safetensors")
    shutil.copytree(video, output / "video")
    save_config(config, output / "config.json")
    load_visual_encoder(config.video, output)
    return config


@dataclass(frozen=True, kw_only=True)
class CodedShards:
    """The codes and visual vectors that are stored beside the clips of one folder."""

    shards: ClipShards
    digest: str
    """Of everything that the stored values depend on; part of their names."""

    def batch(self, positions: Sequence[int], device: str) -> CodesBatch:
        """Return what is stored for the clips at `positions`."""
        codes, video = (
            np.stack([self.shards.cached(position, f"{name}-{self.digest}") for position in positions])
            for name in ("codes", "visual")
        )
        return CodesBatch(
            codes=torch.from_numpy(codes.astype(np.int64)).to(device),
            video=torch.from_numpy(video.astype(np.float32)).to(device),
        )


@dataclass(frozen=True, kw_only=True)
class ShardBatches:
    """Clips drawn anew in every step."""

    coded: CodedShards
    batch_size: int
    device: str
    seed: int

    def __call__(self, step: int) -> CodesBatch:
        drawn = step_rng(self.seed, step).integers(len(self.coded.shards), size=self.batch_size)
        return self.coded.batch(drawn.tolist(), self.device)


def code_shards(folder: Path, parts: Path, *, device: str = "cpu", report: Report = no_report) -> CodedShards:
    """Store codes and visual vectors of every clip in `folder` that has none, and return them.

    A clip is cut or, with silence and its last picture, continued to the model's window. A killed call goes on at the
    shard it was at. Raises InputError when the clips are at another sample rate or of another picture size.
    """
    config = load_config(FoleyGenConfig, parts / "config.json")
    shards = ClipShards(folder)
    coded = CodedShards(shards=shards, digest=digest_of(config, parts))
    codec = frozen(with_weights(build_token_codec(config.codec), parts / "codec.safetensors"), device)
    video = frozen(load_visual_encoder(config.video, parts), device)

    def codes(shards: ClipShards, positions: Sequence[int]) -> Iterator[NDArray[np.int16]]:
        for position in positions:
            yield clip_codes(*shards.waveform(position), codec, config, device)

    def visual(shards: ClipShards, positions: Sequence[int]) -> Iterator[NDArray[np.float16]]:
        for position in positions:
            yield clip_visual(shards, position, video, config, device)

    store_together(shards, f"codes-{coded.digest}", codes, device, report)
    store_together(shards, f"visual-{coded.digest}", visual, device, report)
    return coded


@torch.inference_mode()
def clip_codes(
    waveform: NDArray[np.float32], sample_rate: int, codec: TokenCodec, config: FoleyGenConfig, device: str
) -> NDArray[np.int16]:
    """Return codes (K, L) of a whole window from a clip's `waveform` (S,)."""
    if sample_rate != config.sample_rate:
        raise InputError(f"clips are at {sample_rate} Hz, the codec at {config.sample_rate} Hz; prepare them anew")
    num_samples = config.window_frames * config.hop_length
    window = np.zeros(num_samples, np.float32)
    window[: len(waveform)] = waveform[:num_samples]
    codes: Tensor = codec.encode(torch.from_numpy(window)[None, None].to(device))
    return codes[0].cpu().numpy().astype(np.int16)


@torch.inference_mode()
def clip_visual(
    shards: ClipShards, position: int, video: nn.Module, config: FoleyGenConfig, device: str
) -> NDArray[np.float16]:
    """Return the visual vectors (N, D) of a whole window, of the start of each interval; the last picture is held."""
    times = np.arange(round(config.window_seconds * config.video_fps)) / config.video_fps
    frames = torch.from_numpy(shards.frames_at(position, shards[position].shown_at(times))).to(device)
    pixels = frames.permute(0, 3, 1, 2).float() / 255
    if min(pixels.shape[-2:]) != config.video.size:
        raise InputError(
            f"clips are of {tuple(pixels.shape[-2:])} pixels, the encoder sees {config.video.size}; prepare them anew "
            f"with --size {config.video.size}"
        )
    features = video(pixels[None])[0, :: config.feature_stride]
    return features.cpu().numpy().astype(np.float16)


def digest_of(config: FoleyGenConfig, parts: Path) -> str:
    """Return a short hash of codec, video encoder and window, so that stale values are never reused."""
    values = to_dict(config)
    kept = [values["codec"], values["video"], values["lm"]["visual"]["rate"], values["window_seconds"]]
    weights = (
        parts / "codec.safetensors",
        parts / "video.safetensors",
        *sorted((parts / "video").glob("*.safetensors")),
    )
    return files_digest([path for path in weights if path.is_file()], kept)


def train_foleygen(args: ShardTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train the language model on coded clips, put it into `args.parts`, and return that folder, now a whole model."""
    config = load_config(FoleyGenConfig, args.parts / "config.json")
    coded, held_out = (code_shards(folder, args.parts, device=args.device) for folder in (args.shards, args.held_out))
    fixed = [
        held_out.batch(range(start, min(start + 16, len(held_out.shards))), args.device)
        for start in range(0, min(64, len(held_out.shards)), 16)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.training.seed)
        model = LanguageModel(config.lm).to(args.device)

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, LanguageModel)
        return held_out_losses(model, fixed)

    write_settings(args.output, args.training, args.batch_size)
    run = Run(
        objective=LanguageObjective(model),
        batches=ShardBatches(coded=coded, batch_size=args.batch_size, device=args.device, seed=args.training.seed),
        config=args.training,
        output=args.output,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    save_weights(fit(run, resume=args.resume), args.parts / "lm.safetensors")
    return args.parts


def held_out_losses(model: LanguageModel, batches: Sequence[CodesBatch]) -> dict[str, float]:
    """Return loss, loss with the video of another clip, and each codebook's cross-entropy and perplexity."""
    objective = LanguageObjective(model, video_dropout=0.0)
    # No video is dropped, so nothing that is drawn counts.
    generator = torch.Generator().manual_seed(0)
    losses = [objective(batch, generator) for batch in batches]
    others = [objective(replace(batch, video=batch.video.roll(1, 0)), generator).total for batch in batches]
    entropies = {
        name: float(np.mean([loss.parts[name].item() for loss in losses]))
        for name in losses[0].parts
        if name.startswith("cross_entropy")
    }
    perplexities = {
        name.replace("cross_entropy", "perplexity"): float(np.exp(value)) for name, value in entropies.items()
    }
    return {
        "loss": float(np.mean(list(entropies.values()))),
        "loss_other_video": torch.stack(others).mean().item(),
        **entropies,
        **perplexities,
    }
