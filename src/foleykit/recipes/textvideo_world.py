"""Training tiny-textvideo on the world: a codec of 48 kHz sound, a reader of the world's words, and the network itself.

Pictures are seen by the frozen video encoder of an AV-LDM. The first stage settles what latents mean; then the others
can run side by side, `generator` after `text`. Every stage can be killed and resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, assert_never

import torch
from torch import nn

from foleykit.codecs.hifigan_discriminators import HifiGanDiscriminatorsConfig, small_discriminators
from foleykit.codecs.wave_vae import WaveVae, WaveVaeConfig
from foleykit.core.checkpoint import frozen, load_weights, save_weights, weights_digest, with_weights
from foleykit.core.config import load_config, save_config
from foleykit.core.errors import ModelError, UsageError
from foleykit.core.types import Batch, BatchSource, Objective
from foleykit.encoders.text.words import WordEncoder
from foleykit.encoders.visual.steering import load_steering
from foleykit.encoders.visual.two_rate import TwoRateConfig, TwoRateEncoder
from foleykit.models.avldm.config import AvLdmConfig
from foleykit.models.events import load_events
from foleykit.models.textvideo.config import TextVideoConfig
from foleykit.models.textvideo.network import Network
from foleykit.models.textvideo.objective import (
    DropoutConfig,
    SupervisedReader,
    TextObjective,
    TextVideoObjective,
)
from foleykit.models.textvideo.presets import debug_tiny, tiny_textvideo
from foleykit.recipes import wave_vae_world
from foleykit.recipes.ambient_library import write_library
from foleykit.recipes.run_args import RunArgs
from foleykit.recipes.stage_defaults import StageDefaults
from foleykit.recipes.textvideo_batches import EncodedVideo, TextVideoBatches, describe_voices, encode_voices
from foleykit.recipes.textvideo_text import TextBatches, reader_of, score_reader
from foleykit.recipes.textvideo_validation import condition_losses
from foleykit.recipes.wave_vae import Stage as CodecStage
from foleykit.recipes.wave_vae_world import WaveVaeTrainArgs, train_wave_vae
from foleykit.recipes.world_data import once_per_video, open_world
from foleykit.training.loop import Run, TrainingConfig, fit, write_settings
from foleykit.world.types import Split

Stage = Literal["codec", "decoder", "text", "generator"]
STAGES: tuple[Stage, ...] = ("codec", "decoder", "text", "generator")

DEFAULTS: Mapping[Stage, StageDefaults] = {
    "codec": wave_vae_world.DEFAULTS["codec"],
    "decoder": wave_vae_world.DEFAULTS["decoder"],
    "text": StageDefaults(num_steps=2500, batch_size=128, learning_rate=2e-3),
    "generator": StageDefaults(num_steps=10_000, batch_size=32, learning_rate=1e-3),
}
VALIDATION_BATCHES = 2
LIBRARY_SECONDS = 2.0
"""Of an ambient clip, mirrored to a window when it is heard; longer ones would not leave the whole at 16 MB."""


@dataclass(frozen=True, kw_only=True)
class TextVideoTrainArgs(RunArgs):
    """One stage of one model."""

    preset: Literal["tiny-textvideo", "debug"] = "tiny-textvideo"
    stage: Stage
    base: Path
    """Model folder of a trained AV-LDM, whose video encoder sees the pictures."""
    start: Path | None = None
    """Run folder from whose weights `text` or `generator` starts, instead of from random ones."""
    bf16: bool = False
    """Compute text and generator in bfloat16 where that is safe."""
    dropout: DropoutConfig = field(default_factory=lambda: DropoutConfig(video=0.15, text=0.0, ambient=0.15))
    """Of the generator's conditions; which clips have a text is the batches' choice."""
    discriminators: HifiGanDiscriminatorsConfig = field(default_factory=small_discriminators)
    """Of the codec."""

    @property
    def defaults(self) -> StageDefaults:
        return DEFAULTS[self.stage]

    @property
    def folder(self) -> Path:
        return self.output / self.stage

    @property
    def clips_per_step(self) -> int:
        return self.batch_size or self.defaults.batch_size


def config_of(args: TextVideoTrainArgs) -> TextVideoConfig:
    """Return the model that is trained."""
    match args.preset:
        case "tiny-textvideo":
            return tiny_textvideo()
        case "debug":
            return debug_tiny()
        case _:
            assert_never(args.preset)


def train(args: TextVideoTrainArgs, *, on_step: Callable[[int, float], None] | None = None) -> Path:
    """Train `args.stage` and return its folder.

    Raises ModelError when a stage it builds on has not been trained or `args.base` is of another size.
    """
    match args.stage:
        case "codec" | "decoder":
            if args.start is not None:
                raise UsageError("codec and decoder start from nothing; start text or generator from another run")
            return train_codec(args, args.stage, on_step)
        case "text":
            return train_text(args, on_step)
        case "generator":
            return train_generator(args, on_step)
        case _:
            assert_never(args.stage)


def train_codec(args: TextVideoTrainArgs, stage: CodecStage, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the autoencoder of waveforms, or its decoder once more."""
    run = WaveVaeTrainArgs(
        stage=stage,
        codec=codec_config(config_of(args)),
        data=args.data,
        output=args.output,
        num_steps=args.num_steps,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        seed=args.seed,
        device=args.device,
        resume=args.resume,
        checkpoint_every=args.checkpoint_every,
        discriminators=args.discriminators,
    )
    return train_wave_vae(run, on_step=on_step)


def train_text(args: TextVideoTrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the reader on prompts alone; only its encoder goes into the model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        reader = reader_of(word_encoder(config_of(args))).to(args.device)
    batches = TextBatches(encoder=reader.encoder, batch_size=args.clips_per_step, device=args.device, seed=args.seed)
    fixed = [replace(batches, seed=args.seed + 1, unknown_share=0.0, batch_size=128)(step) for step in range(4)]

    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, SupervisedReader)
        return score_reader(model, fixed)

    fit_stage(args, TextObjective(reader), batches, validate, on_step)
    return args.folder


def train_generator(args: TextVideoTrainArgs, on_step: Callable[[int, float], None] | None) -> Path:
    """Train the network on mixtures, with pictures, prompts and a neighbour as conditions."""
    config = config_of(args)
    reader = trained_reader(args)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(args.seed)
        network = Network(config.network).to(args.device)
    with torch.no_grad():
        network.null_text.copy_(reader.read(""))
    batches = TextVideoBatches(
        videos=voiced_videos(args, "train"),
        reader=reader,
        window_frames=config.sequence_lengths(config.window_seconds).latents,
        frame_rate=config.frame_rate,
        picture_stride=round(config.frame_rate / config.picture_fps),
        batch_size=args.clips_per_step,
        device=args.device,
        seed=args.seed,
    )
    held_out = replace(batches, videos=voiced_videos(args, "valid"), seed=args.seed + 1, batch_size=32, text_share=1.0)
    true, revoiced = (
        [replace(held_out, revoiced_share=share)(step) for step in range(VALIDATION_BATCHES)] for share in (0.0, 1.0)
    )

    def validate(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, Network)
        return condition_losses(model, true) | {
            f"revoiced/{name}": value for name, value in condition_losses(model, revoiced).items()
        }

    fit_stage(args, TextVideoObjective(network, args.dropout), batches, validate, on_step)
    return args.folder


def fit_stage(
    args: TextVideoTrainArgs,
    objective: Objective[Batch],
    batches: BatchSource[Batch],
    validate: Callable[[nn.Module], Mapping[str, float]],
    on_step: Callable[[int, float], None] | None,
) -> nn.Module:
    """Fit one stage with its defaults, leaving the settings beside the weights, and return the averaged model."""
    training = TrainingConfig(
        num_steps=args.num_steps or args.defaults.num_steps,
        learning_rate=args.learning_rate or args.defaults.learning_rate,
        checkpoint_every=args.checkpoint_every,
        validate_every=args.checkpoint_every,
        bf16=args.bf16,
        seed=args.seed,
    )
    write_settings(args.folder, training, args.clips_per_step)
    if args.start is not None:
        load_weights(objective.model, args.start / args.stage / "model.safetensors")
    run = Run(
        objective=objective,
        batches=batches,
        config=training,
        output=args.folder,
        device=args.device,
        validate=validate,
        on_step=on_step,
    )
    return fit(run, resume=args.resume)


def codec_config(config: TextVideoConfig) -> WaveVaeConfig:
    assert isinstance(config.codec, WaveVaeConfig)
    return config.codec


def word_encoder(config: TextVideoConfig) -> WordEncoder:
    assert config.words is not None
    return WordEncoder(config.words)


def trained_codec(args: TextVideoTrainArgs, stage: CodecStage = "codec") -> WaveVae:
    """Return the codec of this run as `stage` left it, frozen; raises ModelError when that has not been trained."""
    codec = WaveVae(codec_config(config_of(args)))
    return frozen(with_weights(codec, args.output / stage / "model.safetensors"), args.device)


def trained_reader(args: TextVideoTrainArgs) -> WordEncoder:
    """Return the word encoder of this run, frozen; raises ModelError when it has not been trained."""
    reader = reader_of(word_encoder(config_of(args)))
    return frozen(with_weights(reader, args.output / "text" / "model.safetensors").encoder, args.device)


def base_encoder(args: TextVideoTrainArgs) -> TwoRateEncoder:
    """Return the base model's video encoder, frozen; raises ModelError when it is of another size than the preset's."""
    video = config_of(args).sync
    if not isinstance(video, TwoRateConfig) or load_config(AvLdmConfig, args.base / "config.json").video != video:
        raise ModelError(f"the video encoder of {args.base} is of another size than that of {args.preset}")
    return frozen(with_weights(TwoRateEncoder(video), args.base / "video.safetensors"), args.device)


def voiced_videos(args: TextVideoTrainArgs, split: Split) -> Sequence[EncodedVideo]:
    """Return every long video encoded, in all its voices, computed once per pair of codec and encoder weights."""
    codec, encoder = trained_codec(args), base_encoder(args)
    videos = open_world(args.data, split)
    # Told apart from what runs stored before there was an event track.
    folder = args.output / "encoded" / f"{args.data.name_of(split)}-{weights_digest(codec, encoder)}.track"
    stored = once_per_video(
        videos, lambda video: encode_voices(video, codec, encoder, args.device), folder, args.device
    )
    return [describe_voices(video, arrays) for video, arrays in zip(videos, stored, strict=True)]


def bundle(args: TextVideoTrainArgs, destination: Path) -> None:
    """Write the trained stages as one model folder: config.json, one fp16 file per part, a library of clips.

    The base's steering goes with its encoder: on 25 real videos sound is in time at F1 .434 with it, .401 without.

    Raises UsageError when `destination` already holds a model.
    """
    if (destination / "config.json").exists():
        raise UsageError(f"{destination} already holds a model; choose another folder or remove it first")
    config = config_of(args)
    parts: dict[str, nn.Module] = {
        "codec": trained_codec(args, "decoder"),
        "video": base_encoder(args),
        "text": trained_reader(args),
        "network": with_weights(Network(config.network), args.output / "generator" / "model.safetensors"),
        "events": load_events(args.base, config.network.sync_width),
    }
    steering = load_steering(args.base, config.network.sync_width)
    if steering is not None:
        parts["steering"] = steering
    destination.mkdir(parents=True, exist_ok=True)
    for name, module in parts.items():
        save_weights(module, destination / f"{name}.safetensors", half=True)
    seconds = min(LIBRARY_SECONDS, config.window_seconds)
    write_library(destination / "ambient", sample_rate=config.sample_rate, seconds=seconds)
    save_config(config, destination / "config.json")
