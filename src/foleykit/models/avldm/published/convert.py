"""Published files to the parts of a saved model: every name and shape is checked before anything is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from foleykit.codecs.hifigan import HifiGan, HifiGanConfig, fold_weight_norm
from foleykit.core.checkpoint import check_entries
from foleykit.core.errors import ConfigError, ModelError
from foleykit.encoders.visual.timesformer import TimeSformer
from foleykit.models.avldm.published.config import Action2SoundConfig
from foleykit.models.avldm.published.layout import (
    CONDITIONER_NAMES,
    UNET_PREFIX,
    VIDEO_PREFIX,
    published_shape,
    schedule_entries,
    unet_names,
    vae_names,
)
from foleykit.models.avldm.published.network import Conditioner, Denoiser, PictureVae

Tensors = dict[str, Tensor]
SCHEDULE_TOLERANCE = 1e-5
NAMES_SHOWN = 3
"""Of the names that do not fit, so that a message stays one line."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an entry of a published checkpoint belongs."""

    part: str
    """Name of a file of the saved model."""
    name: str
    """Our name of the tensor."""
    shape: tuple[int, ...]
    """Our shape."""
    published_shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Parts of a saved model by file name, with what was found on the way."""

    parts: Mapping[str, Tensors]
    num_ignored: int = 0
    """Entries that are known and not wanted: copies by exponential average, the text encoder, other branches."""
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=4)
def places(config: Action2SoundConfig) -> Mapping[str, Place]:
    """Return where each weight of a published checkpoint belongs, without its schedule."""
    with torch.device("meta"):
        denoiser, vae, conditioner = Denoiser(config.unet), PictureVae(config.vae), Conditioner(config)
    found: dict[str, Place] = {}
    for part, prefix, state, names in (
        ("denoiser", "unet.", denoiser.unet.state_dict(), unet_names(denoiser.unet.state_dict(), config.unet)),
        ("vae", "vae.", vae.vae.state_dict(), vae_names(vae.vae.state_dict(), config.vae)),
        ("conditioner", "", conditioner.state_dict(), CONDITIONER_NAMES),
    ):
        for name, published in names.items():
            shape = tuple(state[name].shape)
            found[published] = Place(
                part=part, name=prefix + name, shape=shape, published_shape=published_shape(published, shape)
            )
    return found


def averaged_names(config: Action2SoundConfig) -> set[str]:
    """Return the names under which a checkpoint keeps exponential averages: those of the U-Net without their dots."""
    names = {name.removeprefix("model.") for name in places(config) if name.startswith(UNET_PREFIX)}
    return {f"model_ema.{name.replace('.', '')}" for name in names} | {"model_ema.decay", "model_ema.num_updates"}


def from_latent_model(entries: Mapping[str, Tensor], config: Action2SoundConfig, *, source: str) -> Converted:
    """Return denoiser, autoencoder and conditioner of a trained AV-LDM checkpoint; `source` names it in errors.

    Raises ModelError when a name is missing or unknown, a shape differs, or the schedule is another one.
    """
    wanted = places(config)
    schedule = schedule_entries(config.schedule)
    shapes = {name: place.published_shape for name, place in wanted.items()}
    shapes |= {name: tuple(values.shape) for name, values in schedule.items()}
    averaged = averaged_names(config) & entries.keys()
    check_entries(entries, shapes, source=source, ignored=averaged)
    for name, values in schedule.items():
        if not torch.allclose(entries[name].float(), values, atol=SCHEDULE_TOLERANCE, rtol=SCHEDULE_TOLERANCE):
            raise ModelError(f"{source} was trained with another noise schedule: {name} differs")
    parts = _taken(entries, wanted)
    trained = is_ambient_encoder_trained(parts["conditioner"])
    note = (
        "the ambient encoder of this checkpoint was trained"
        if trained
        else "the ambient encoder of this checkpoint is at its random start, as the released code leaves it"
    )
    notes = [note]
    if parts["conditioner"]["no_ambient"].any():
        notes.append("the embedding of an unknown ambience is not zero, as it is in the release")
    return Converted(parts=parts, num_ignored=len(averaged), notes=tuple(notes))


def from_picture_model(
    entries: Mapping[str, Tensor], config: Action2SoundConfig, *, source: str, seed: int = 0
) -> Converted:
    """Return the start of a training: denoiser and autoencoder of Stable Diffusion v1, a random conditioner.

    The raw weights are taken, not their averages. Raises ModelError when one is missing or of another shape.
    """
    wanted = {name: place for name, place in places(config).items() if place.part != "conditioner"}
    shapes = {name: place.published_shape for name, place in wanted.items()}
    check_entries(entries, shapes, source=source, ignored=entries.keys() - wanted.keys())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        conditioner = Conditioner(config).state_dict()
    return Converted(
        parts={**_taken(entries, wanted), "conditioner": conditioner},
        num_ignored=len(entries.keys() - wanted.keys()),
        notes=("video projection and ambient encoder are random: this model is a start for training",),
    )


def from_video_model(entries: Mapping[str, Tensor], config: Action2SoundConfig, *, source: str) -> Converted:
    """Return the video encoder of `av.pth` or of an EgoVLP checkpoint; its other branches are left out.

    A longer table of times is cut to the model's frames, a shorter one continued with zeros. Raises ModelError when
    nothing in the file is a video encoder, or not all of it fits.
    """
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in TimeSformer(config.video).state_dict().items()}
    own = {name.removeprefix(VIDEO_PREFIX): tensor for name, tensor in entries.items() if name.startswith(VIDEO_PREFIX)}
    if not own.keys() & shapes.keys():
        raise ModelError(
            f"{source} holds no video encoder: none of its {len(entries)} entries is one of a TimeSformer after "
            f"{VIDEO_PREFIX}; give av.pth or egovlp.pth"
        )
    notes = []
    times, num_frames = own.get("temporal_embed"), config.video.num_frames
    if times is not None and times.ndim == 3 and times.shape[1] != num_frames:
        notes.append(f"its table of times has {times.shape[1]} entries for {num_frames} frames")
        own["temporal_embed"] = torch.nn.functional.pad(
            times[:, :num_frames], (0, 0, 0, max(0, num_frames - times.shape[1]))
        )
    heads = {name for name in own if name.startswith(("head.", "pre_logits."))}
    check_entries(own, shapes, source=source, ignored=heads)
    return Converted(
        parts={"video": {name: own[name].float() for name in shapes}},
        num_ignored=len(entries) - len(shapes),
        notes=tuple(notes),
    )


def from_vocoder(entries: Mapping[str, Tensor], config: HifiGanConfig, *, source: str) -> Converted:
    """Return a HiFi-GAN generator, its weight normalisation folded in; raises ModelError when it does not fit."""
    folded = fold_weight_norm(entries)
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in HifiGan(config).state_dict().items()}
    check_entries(folded, shapes, source=source)
    return Converted(parts={"vocoder": {name: tensor.float() for name, tensor in folded.items()}})


def vocoder_config(
    entries: Mapping[str, Tensor], stated: Mapping[str, object] | None, config: Action2SoundConfig, *, source: str
) -> HifiGanConfig:
    """Return a vocoder's sizes from its published JSON, `stated`, or without one from its tensors.

    From tensors, a kernel of an upsampling stage is taken to be twice its rate and dilations to be V1's. Raises
    ModelError when sizes cannot be told or the vocoder inverts another mel.
    """
    try:
        found = _stated_sizes(stated) if stated is not None else _sizes_of(fold_weight_norm(entries))
    except (KeyError, TypeError, ValueError, IndexError, ConfigError) as error:
        raise ModelError(f"{source} does not describe a HiFi-GAN generator: {type(error).__name__} {error}") from error
    mel = config.mel
    if stated is not None and stated.get("sampling_rate", mel.sample_rate) != mel.sample_rate:
        raise ModelError(f"{source} makes sound at {stated['sampling_rate']} Hz, the model at {mel.sample_rate} Hz")
    if found.num_mels != mel.num_mels or found.hop_length != mel.hop_length:
        raise ModelError(
            f"{source} takes {found.num_mels} mel bins at a hop of {found.hop_length} samples; the model makes "
            f"{mel.num_mels} bins at {mel.hop_length}"
        )
    return found


def _stated_sizes(stated: Mapping[str, object]) -> HifiGanConfig:
    def row(value: object) -> tuple[int, ...]:
        assert isinstance(value, list)
        return tuple(int(item) for item in value)

    dilations = stated["resblock_dilation_sizes"]
    if not isinstance(dilations, list):
        raise TypeError("resblock_dilation_sizes is not a list")
    return HifiGanConfig(
        num_mels=int(str(stated.get("num_mels", stated.get("conv_pre_size", 80)))),
        width=int(str(stated["upsample_initial_channel"])),
        upsample_rates=row(stated["upsample_rates"]),
        upsample_kernels=row(stated["upsample_kernel_sizes"]),
        resblock="2" if str(stated["resblock"]) == "2" else "1",
        resblock_kernels=row(stated["resblock_kernel_sizes"]),
        resblock_dilations=tuple(row(item) for item in dilations),
    )


def _sizes_of(folded: Mapping[str, Tensor]) -> HifiGanConfig:
    first = folded["conv_pre.weight"]
    kernels = tuple(
        folded[f"ups.{stage}.weight"].shape[2] for stage in range(sum(name.startswith("ups.") for name in folded) // 2)
    )
    is_double = "resblocks.0.convs1.0.weight" in folded
    layer = "convs1" if is_double else "convs"
    num_blocks = len({name.split(".")[1] for name in folded if name.startswith("resblocks.")}) // len(kernels)
    default = HifiGanConfig()
    return HifiGanConfig(
        num_mels=first.shape[1],
        width=first.shape[0],
        upsample_rates=tuple(kernel // 2 for kernel in kernels),
        upsample_kernels=kernels,
        resblock="1" if is_double else "2",
        resblock_kernels=tuple(folded[f"resblocks.{block}.{layer}.0.weight"].shape[2] for block in range(num_blocks)),
        resblock_dilations=(default.resblock_dilations[0] if is_double else (1, 3),) * num_blocks,
    )


def is_ambient_encoder_trained(conditioner: Mapping[str, Tensor]) -> bool:
    """Return whether the ambient encoder has moved from its random start.

    Linear layers start uniform within 1 / sqrt(inputs), positions standard normal; training leaves either.
    """
    for layer in ("ambient.0.weight", "ambient.2.weight"):
        weight = conditioner[layer]
        if weight.abs().max() > 1 / math.sqrt(weight.shape[1]) + 1e-6:
            return True
    positions = conditioner["ambient_positions"]
    # Five standard errors of a standard deviation.
    return bool((positions.std() - 1).abs() > 5 / math.sqrt(2 * positions.numel()))


def largest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Return the largest absolute difference between tensors of the same names."""
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def _taken(entries: Mapping[str, Tensor], wanted: Mapping[str, Place]) -> dict[str, Tensors]:
    """Return the wanted entries by part, under our names and in our shapes; float32 ones are not copied."""
    parts: dict[str, Tensors] = {}
    for name, place in wanted.items():
        parts.setdefault(place.part, {})[place.name] = entries[name].reshape(place.shape).float()
    return parts
