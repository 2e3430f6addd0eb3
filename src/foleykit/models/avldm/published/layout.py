"""Names and shapes of published checkpoints, and which of our tensors each entry is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from foleykit.diffusion.noise_schedule import NoiseSchedule
from foleykit.models.avldm.published.config import PictureVaeConfig, UnetConfig

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
VIDEO_PREFIX = "module.video_model."
"""Of the TimeSformer inside `av.pth`; the rest of a name is ours."""

CONDITIONER_NAMES = {
    "video.weight": "cond_stage_model.embedder.0.weight",
    "video.bias": "cond_stage_model.embedder.0.bias",
    "video_positions": "cond_stage_model.pos_emb.weight",
    "ambient.0.weight": "audio_cond_encoder.linear.0.weight",
    "ambient.0.bias": "audio_cond_encoder.linear.0.bias",
    "ambient.2.weight": "audio_cond_encoder.linear.2.weight",
    "ambient.2.bias": "audio_cond_encoder.linear.2.bias",
    "ambient_positions": "audio_cond_encoder.pos_emb.weight",
    "no_ambient": "audio_zero_embed",
}
"""Published names of a `Conditioner`'s tensors."""

_UNET_RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_RESIDUAL = {"conv_shortcut": "nin_shortcut"}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_names(ours: Iterable[str], config: UnetConfig) -> dict[str, str]:
    """Return the published name of each of `ours`, entries of a diffusers U-Net of that config."""
    modules = _unet_modules(config)
    return {name: UNET_PREFIX + _published(name, modules, {".resnets.": _UNET_RESIDUAL}) for name in ours}


def vae_names(ours: Iterable[str], config: PictureVaeConfig) -> dict[str, str]:
    """Return the published name of each of `ours`, entries of a diffusers autoencoder of that config."""
    modules = _vae_modules(config)
    layers = {".resnets.": _VAE_RESIDUAL, ".attentions.": _VAE_ATTENTION}
    return {name: VAE_PREFIX + _published(name, modules, layers) for name in ours}


def _published(name: str, modules: Mapping[str, str], layers: Mapping[str, Mapping[str, str]]) -> str:
    """Return a published name by its module's entry in `modules` and its layer's entry in the fitting table."""
    module = _longest_stem(name, modules)
    assert module is not None, name
    rest = name[len(module) + 1 :]
    for mark, table in layers.items():
        if mark in module and (layer := _longest_stem(rest, table)):
            rest = table[layer] + rest[len(layer) :]
    return f"{modules[module]}.{rest}"


def _longest_stem(name: str, stems: Mapping[str, str]) -> str | None:
    """Return the longest of `stems` that `name` continues after a dot."""
    return max((stem for stem in stems if name.startswith(f"{stem}.")), key=len, default=None)


def _unet_modules(config: UnetConfig) -> dict[str, str]:
    """Return the published module, without prefix, of every module of our U-Net."""
    modules = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    num_levels = len(config.multipliers)
    index = 1
    for level in range(num_levels):
        for block in range(config.num_blocks):
            modules[f"down_blocks.{level}.resnets.{block}"] = f"input_blocks.{index}.0"
            modules[f"down_blocks.{level}.attentions.{block}"] = f"input_blocks.{index}.1"
            index += 1
        modules[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{index}.0.op"
        index += 1
    index = 0
    for up, level in enumerate(reversed(range(num_levels))):
        for block in range(config.num_blocks + 1):
            modules[f"up_blocks.{up}.resnets.{block}"] = f"output_blocks.{index}.0"
            modules[f"up_blocks.{up}.attentions.{block}"] = f"output_blocks.{index}.1"
            index += 1
        # Upsampling sits in the level's last group, behind the attention where there is one.
        place = 2 if config.attends(level) else 1
        modules[f"up_blocks.{up}.upsamplers.0.conv"] = f"output_blocks.{index - 1}.{place}.conv"
    return modules


def _vae_modules(config: PictureVaeConfig) -> dict[str, str]:
    """Return the published module, without prefix, of every module of our autoencoder."""
    modules = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    last = len(config.multipliers) - 1
    for side in ("encoder", "decoder"):
        modules |= {
            f"{side}.conv_in": f"{side}.conv_in",
            f"{side}.conv_out": f"{side}.conv_out",
            f"{side}.conv_norm_out": f"{side}.norm_out",
            f"{side}.mid_block.resnets.0": f"{side}.mid.block_1",
            f"{side}.mid_block.attentions.0": f"{side}.mid.attn_1",
            f"{side}.mid_block.resnets.1": f"{side}.mid.block_2",
        }
    for level in range(last + 1):
        for block in range(config.num_blocks + 1):
            modules[f"encoder.down_blocks.{level}.resnets.{block}"] = f"encoder.down.{level}.block.{block}"
            # Published decoders count their levels from the finest.
            modules[f"decoder.up_blocks.{last - level}.resnets.{block}"] = f"decoder.up.{level}.block.{block}"
        modules[f"encoder.down_blocks.{level}.downsamplers.0.conv"] = f"encoder.down.{level}.downsample.conv"
        modules[f"decoder.up_blocks.{last - level}.upsamplers.0.conv"] = f"decoder.up.{level}.upsample.conv"
    return modules


def published_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the published shape of an entry with a published name and our shape.

    The autoencoder's attention has 1 x 1 convolutions where diffusers has linear layers.
    """
    return (*shape, 1, 1) if re.search(r"\.mid\.attn_1\.(q|k|v|proj_out)\.weight$", name) else shape


def schedule_entries(schedule: NoiseSchedule) -> dict[str, Tensor]:
    """Return the twelve float32 buffers (N,) in which a published checkpoint keeps its schedule."""
    kept = schedule.alphas_cumprod
    entries = {
        "betas": schedule.betas,
        "alphas_cumprod": kept,
        "alphas_cumprod_prev": schedule.alphas_cumprod_prev,
        "sqrt_alphas_cumprod": kept.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - kept).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - kept).log(),
        "sqrt_recip_alphas_cumprod": (1 / kept).sqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / kept - 1).sqrt(),
        "posterior_variance": schedule.posterior_variance,
        "posterior_log_variance_clipped": schedule.posterior_log_variance,
        "posterior_mean_coef1": schedule.posterior_data_weight,
        "posterior_mean_coef2": schedule.posterior_state_weight,
    }
    return {name: values.to(torch.float32) for name, values in entries.items()}
