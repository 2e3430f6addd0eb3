"""The networks of Action2Sound: diffusers' U-Net and autoencoder, and the projections that make their context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from foleykit.core.errors import InputError
from foleykit.core.packages import check_published
from foleykit.models.avldm.published.config import Action2SoundConfig, PictureVaeConfig, UnetConfig

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.models.attention_processor import Attention

ContextCache = Mapping[nn.Module, tuple[Tensor, Tensor]]
"""Keys and values (B, heads, N, d) of the context, by the attention layer that reads them."""


class Conditioner(nn.Module):
    """Video features and an ambient clip to the context tokens that the U-Net attends to."""

    def __init__(self, config: Action2SoundConfig) -> None:
        super().__init__()
        self.config = config
        width = config.unet.context_width
        features = config.vae.latent_width * config.latent_rows
        self.video = nn.Linear(config.video.width, width)
        self.video_positions = nn.Parameter(torch.randn(config.video.num_frames, width))
        self.ambient = nn.Sequential(
            nn.Linear(features, config.audio_hidden), nn.GELU(), nn.Linear(config.audio_hidden, width)
        )
        self.ambient_positions = nn.Parameter(torch.randn(config.window_positions, width))
        self.no_ambient = nn.Parameter(torch.zeros(1, config.window_positions, width), requires_grad=False)

    def forward(self, video: Tensor, ambient: Tensor | None) -> Tensor:
        """Return context (B, T + L, D): video tokens, then ambient tokens.

        `video` (B, T, W) are features, `ambient` (B, 4, rows, L) scaled latents; without them the tokens are those of
        a clip whose ambience is unknown. Raises InputError for other sizes.
        """
        return torch.cat((self.video_tokens(video), self.ambient_tokens(ambient, len(video))), dim=1)

    def null(self, ambient: Tensor | None, batch: int) -> Tensor:
        """Return the context that training shows when it drops the video: its features are zero, the ambience stays."""
        config = self.config
        return self(self.video_positions.new_zeros(batch, config.video.num_frames, config.video.width), ambient)

    def video_tokens(self, features: Tensor) -> Tensor:
        """Return (B, T, D) of `features` (B, T, W)."""
        if features.shape[1:] != (self.config.video.num_frames, self.config.video.width):
            raise InputError(
                f"video features must be (B, {self.config.video.num_frames}, {self.config.video.width}), "
                f"not {tuple(features.shape)}"
            )
        return self.video(features) + self.video_positions

    def ambient_tokens(self, latents: Tensor | None, batch: int) -> Tensor:
        """Return (B, L, D) of scaled `latents` (B, 4, rows, L): a token sees all channels and rows of its position."""
        if latents is None:
            return self.no_ambient.expand(batch, -1, -1)
        if latents.shape[-1] != self.config.window_positions:
            raise InputError(
                f"an ambient clip has {self.config.window_positions} latent positions, not {latents.shape[-1]}"
            )
        return self.ambient(latents.flatten(1, 2).transpose(1, 2)) + self.ambient_positions


class ContextAttention:
    """Attention of a diffusers U-Net that takes the context's keys and values ready-made where it is given them."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        context_cache: ContextCache | None = None,
    ) -> Tensor:
        """Return (B, N, D); the names of the arguments are diffusers'."""
        if encoder_hidden_states is None or context_cache is None:
            source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            key, value = split_heads(attn.to_k(source), attn.heads), split_heads(attn.to_v(source), attn.heads)
        else:
            key, value = context_cache[attn]
        query = split_heads(attn.to_q(hidden_states), attn.heads)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        return attn.to_out[0](attended.transpose(1, 2).flatten(2))


def split_heads(tokens: Tensor, num_heads: int) -> Tensor:
    """Return (B, heads, N, d) of `tokens` (B, N, heads d)."""
    return tokens.unflatten(2, (num_heads, -1)).transpose(1, 2)


class Denoiser(nn.Module):
    """Stable Diffusion's U-Net, with the fixed part of its cross-attention taken out of the sampling loop."""

    def __init__(self, config: UnetConfig) -> None:
        super().__init__()
        self.unet = build_unet(config)
        self.unet.set_attn_processor(ContextAttention())

    def project_context(self, context: Tensor) -> ContextCache:
        """Return what the layers make of `context` (B, N, D): constant over the steps, so computed once per clip."""
        return {
            module: (
                split_heads(module.to_k(context), module.heads),
                split_heads(module.to_v(context), module.heads),
            )
            for name, module in self.unet.named_modules()
            if name.endswith(".attn2")
        }

    def forward(self, x: Tensor, t: Tensor, context: Tensor, cache: ContextCache | None = None) -> Tensor:
        """Return the noise (B, 4, rows, L) in `x` at the training steps `t` (B,), which may be fractional.

        `context` is (B, N, D); `cache` is what `project_context` returned for it.
        """
        return self.unet(
            x, t, context, cross_attention_kwargs={"context_cache": cache} if cache is not None else None
        ).sample


class PictureVae(nn.Module):
    """Mels in [0, 1] to scaled latents and back, through Stable Diffusion's autoencoder of RGB pictures."""

    def __init__(self, config: PictureVaeConfig) -> None:
        super().__init__()
        self.config = config
        self.vae = build_vae(config)

    def encode(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return scaled latents (B, 4, M / 8, F // 8) of `mel` (B, M, F).

        They are the posterior's mean or, given standard normal `noise` of their shape, a draw from it.
        """
        mean, log_variance = self.posterior(mel)
        latents = mean if noise is None else mean + (0.5 * log_variance).exp() * noise
        return self.config.scale * latents

    def posterior(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (B, 4, M / 8, F // 8) of `mel` (B, M, F)."""
        # Published weights saw [0, 1], not the [-1, 1] that the autoencoder was made for.
        posterior = self.vae.encode(mel[:, None].expand(-1, 3, -1, -1)).latent_dist
        return posterior.mean, posterior.logvar

    def decode(self, latents: Tensor) -> Tensor:
        """Return mels (B, M, 8 L) of scaled `latents` (B, 4, M / 8, L); they may leave [0, 1]."""
        # All three channels were trained on the same mel; the first is the published choice.
        return self.vae.decode(latents / self.config.scale).sample[:, 0]


def build_unet(config: UnetConfig) -> UNet2DConditionModel:
    """Return a randomly initialised U-Net of Stable Diffusion's structure."""
    check_published("diffusers", "Action2Sound")
    from diffusers import UNet2DConditionModel

    attends = [config.attends(level) for level in range(len(config.multipliers))]
    return UNet2DConditionModel(
        in_channels=config.latent_width,
        out_channels=config.latent_width,
        down_block_types=tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attends)),
        block_out_channels=tuple(config.width * factor for factor in config.multipliers),
        layers_per_block=config.num_blocks,
        # diffusers' name; it is the number of heads.
        attention_head_dim=config.num_heads,
        cross_attention_dim=config.context_width,
    )


def build_vae(config: PictureVaeConfig) -> AutoencoderKL:
    """Return a randomly initialised autoencoder of Stable Diffusion's structure."""
    check_published("diffusers", "Action2Sound")
    from diffusers import AutoencoderKL

    num_levels = len(config.multipliers)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * num_levels,
        up_block_types=("UpDecoderBlock2D",) * num_levels,
        block_out_channels=tuple(config.width * factor for factor in config.multipliers),
        layers_per_block=config.num_blocks,
        latent_channels=config.latent_width,
        scaling_factor=config.scale,
    )
