"""Training textvideo at its published size on prepared clips: encoded once, with texts, transcripts and neighbours.

The clips come from `foley data prepare` with `--clip-seconds` of the model's window, and its codec from
`wave_vae_shards`. What the frozen parts make of sound and pictures is stored beside them, half a megabyte a clip.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.core.checkpoint import save_weights, with_weights
from foleykit.core.config import load_config, save_config
from foleykit.core.errors import ModelError, UsageError
from foleykit.data.neighbours import Apart, NeighbourRule
from foleykit.encoders.text.readers import MERGES_NAME, Reader
from foleykit.models.textvideo.config import NetworkConfig, TextVideoConfig
from foleykit.models.textvideo.network import Network
from foleykit.models.textvideo.objective import DropoutConfig, TextVideoBatch, TextVideoObjective
from foleykit.models.textvideo.presets import textvideo
from foleykit.recipes.ambient_library import write_library
from foleykit.recipes.avldm_batches import step_rng
from foleykit.recipes.run_args import ShardRunArgs
from foleykit.recipes.textvideo_clips import ClipBatches, FrozenParts, StoredClips
from foleykit.recipes.textvideo_validation import condition_losses
from foleykit.training.loop import Run, TrainingConfig, fit, write_settings

BORROWED = ("image.safetensors", "text.safetensors", "sync.safetensors", MERGES_NAME)
"""What `assemble` takes from a converted MMAudio folder."""
HELD_OUT_BATCHES = 4
HELD_OUT_CLIPS = 16
"""Of each of them."""


def published_training() -> TrainingConfig:
    """Return MMAudio's optimiser and length; its two falls of the rate, over the last fifth, become a line to zero."""
    return TrainingConfig(
        num_steps=300_000,
        learning_rate=1e-4,
        warmup_steps=1000,
        decay_fraction=0.2,
        weight_decay=1e-6,
        second_beta=0.95,
        ema_decay=0.9999,
        checkpoint_every=1000,
        validate_every=1000,
        bf16=True,
    )


@dataclass(frozen=True, kw_only=True)
class ShardTrainArgs(ShardRunArgs):
    """One run; `parts` lacks only its network."""

    training: TrainingConfig = field(default_factory=published_training)
    batch_size: int = 64
    """Of each process; eight of them make MMAudio's 512."""
    dropout: DropoutConfig = field(default_factory=DropoutConfig)
    """Shares of clips that are shown without a condition which they have."""
    neighbours: NeighbourRule = field(default_factory=Apart)
    """Who lends a clip its ambience; where nobody does, it is shown without."""
    dtype: torch.dtype = torch.float32
    """Of the weights of CLIP and Synchformer; bfloat16 is several times as fast on a GPU."""


def assemble(encoders: Path, codec: Path, output: Path, config: TextVideoConfig | None = None) -> TextVideoConfig:
    """Write a folder for training `config`, by default `textvideo`: all its parts except the network, and a library.

    `encoders` is a converted MMAudio folder, of which CLIP and Synchformer are taken; `codec` the trained weights of
    the waveform codec. Raises UsageError when `output` exists and ModelError when a part is missing or of other sizes.
    """
    if output.exists():
        raise UsageError(f"{output} exists; choose another folder")
    config = config or textvideo()
    source = load_config(TextVideoConfig, encoders / "config.json")
    if (source.clip, source.sync) != (config.clip, config.sync):
        raise ModelError(f"{encoders} has other encoders than the model; give a converted MMAudio folder")
    if missing := [name for name in BORROWED if not (encoders / name).is_file()]:
        raise ModelError(f"{encoders} lacks {missing[0]}; convert the model again")
    if not isinstance(config.codec, WaveVaeConfig):
        raise ModelError("the model's codec must be one of waveforms")
    with_weights(WaveVae(config.codec), codec)
    output.mkdir(parents=True)
    for name in BORROWED:
        shutil.copy(encoders / name, output / name)
    shutil.copy(codec, output / "codec.safetensors")
    write_library(output / "ambient", sample_rate=config.sample_rate, seconds=config.window_seconds)
    save_config(config, output / "config.json")
    return config


def train_textvideo(args: ShardTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train the network on stored clips, put it into `args.parts`, and return that folder, now a whole model."""
    parts = FrozenParts(args.parts, device=args.device, dtype=args.dtype)
    clips, held_out = (StoredClips.of(folder, parts, args.neighbours) for folder in (args.shards, args.held_out))
    fixed = fixed_batches(held_out)

    @torch.no_grad()
    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, Network)
        return condition_losses(model, fixed)

    write_settings(args.output, args.training, args.batch_size)
    network = start_network(parts.config.network, parts.reader, args.training.seed).to(args.device)
    run = Run(
        objective=TextVideoObjective(network, args.dropout),
        batches=ClipBatches(clips=clips, batch_size=args.batch_size, seed=args.training.seed),
        config=args.training,
        output=args.output,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    save_weights(fit(run, resume=args.resume), args.parts / "network.safetensors")
    return args.parts


@torch.no_grad()
def start_network(config: NetworkConfig, reader: Reader, seed: int) -> Network:
    """Return a network of random weights that knows what an empty prompt reads like."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(config)
    network.null_text.copy_(reader.read(""))
    return network


def fixed_batches(clips: StoredClips) -> list[TextVideoBatch]:
    """Return batches to validate on, in an order of chance: clips of one long video would differ too little."""
    rng = step_rng(1, 0)
    order = rng.permutation(len(clips.shards))[: HELD_OUT_BATCHES * HELD_OUT_CLIPS].tolist()
    return [clips.batch(order[start : start + HELD_OUT_CLIPS], rng) for start in range(0, len(order), HELD_OUT_CLIPS)]
