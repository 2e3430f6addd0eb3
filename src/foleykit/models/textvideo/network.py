"""The denoiser: sound, pictures and text attend to one another, then the sound to itself (Cheng et al. 2025, sec. 3).

Timing enters twice: pictures have rotary positions in step with the sound's, and every latent frame is modulated by the
synchronisation token of its moment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import check_entries, shapes_of
from foleykit.core.errors import InputError
from foleykit.models.textvideo.config import NetworkConfig
from foleykit.nn.attention import rotary_angles
from foleykit.nn.gated import GatedMlp, TokenConv, stretch_indices
from foleykit.nn.joint import JointBlock, StreamBlock


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """What a network may know of a clip; every part can be replaced by its null."""

    pictures: Tensor
    """(B, P, W) one feature for each of P evenly spaced pictures"""
    sync: Tensor
    """(B, S, W) synchronisation tokens, each followed by its row of the event track where the network is told one; S is
    a multiple of the network's `sync_group`"""
    text: Tensor
    """(B, N, W) tokens of the prompt"""
    transcript: Tensor | None = None
    """(B, N', W) tokens of what is said; None is the null"""
    ambient: Tensor | None = None
    """(B, D, L') latents of another moment with the same ambience; None is the null"""


@dataclass(frozen=True, kw_only=True)
class Known:
    """Which parts of a conditioning are shown, each (B,) bool: the others become their nulls."""

    video: Tensor
    """Pictures and synchronisation, which come and go together."""
    text: Tensor
    transcript: Tensor
    ambient: Tensor


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A conditioning as all sampling steps need it, computed once."""

    pictures: Tensor
    """(B, P, D) stream of the pictures"""
    context: Tensor
    """(B, N, D) stream of everything that has no time: prompt, transcript, ambience"""
    sync: Tensor
    """(B, L, D) synchronisation token of every latent frame"""
    summary: Tensor
    """(B, D) of the whole clip"""

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Return `parts` as one batch."""
        return cls(**{item.name: torch.cat([getattr(part, item.name) for part in parts]) for item in fields(cls)})

    def split(self, size: int) -> list[Self]:
        """Return batches of at most `size`."""
        columns = {item.name: getattr(self, item.name).split(size) for item in fields(self)}
        return [replace(self, **dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


PUBLISHED = {
    "latent_in": "audio_input_proj",
    "picture_in": "clip_input_proj",
    "sync_in": "sync_input_proj",
    "text_in": "text_input_proj",
    "sync_positions": "sync_pos_emb",
    "picture_pool": "clip_cond_proj",
    "text_pool": "text_cond_proj",
    "summary": "global_cond_mlp",
    "time_in": "t_embed.mlp",
    "null_pictures": "empty_clip_feat",
    "null_sync": "empty_sync_feat",
    "null_text": "empty_string_feat",
    "modulation_out": "final_layer.adaLN_modulation.1",
    "project_out": "final_layer.conv",
    "latent_deviation": "latent_std",
    "streams.0": "latent_block",
    "streams.1": "clip_block",
    "streams.2": "text_block",
    "modulation": "adaLN_modulation.1",
    "project_in": "attn.qkv",
    "query_norm": "attn.q_norm",
    "key_norm": "attn.k_norm",
    "feed": "ffn",
    "gate": "w1",
    "value": "w3",
    "out": "w2",
}
"""MMAudio's word for ours, where they differ."""
RECOMPUTED = frozenset({"t_embed.freqs", "latent_rot", "clip_rot"})
"""Tables that older files hold besides weights."""


class Network(nn.Module):
    """Velocity of the latents, from noise towards data."""

    latent_mean: Tensor
    latent_deviation: Tensor
    null_text: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.width, config.hidden_width
        # SELU follows convolutions alone; SiLU, of later models, linear layers too.
        after_conv = nn.SELU if config.input_activation == "selu" else nn.SiLU
        after_linear = [] if config.input_activation == "selu" else [nn.SiLU()]
        self.latent_in = nn.Sequential(
            TokenConv(config.latent_width, width, 7), after_conv(), GatedMlp(width, hidden, kernel_size=7)
        )
        self.picture_in = nn.Sequential(
            nn.Linear(config.picture_width, width), *after_linear, GatedMlp(width, hidden, kernel_size=3)
        )
        self.sync_in = nn.Sequential(
            TokenConv(config.timing_width, width, 7), after_conv(), GatedMlp(width, hidden, kernel_size=3)
        )
        self.text_in = nn.Sequential(nn.Linear(config.text_width, width), *after_linear, GatedMlp(width, hidden))
        self.sync_positions = nn.Parameter(torch.zeros(config.sync_group, config.timing_width))
        self.picture_pool = nn.Linear(width, width)
        self.text_pool = nn.Linear(width, width)
        self.summary = GatedMlp(width, hidden)
        self.time_in = nn.Sequential(nn.Linear(config.num_time_features, width), nn.SiLU(), nn.Linear(width, width))
        self.null_pictures = nn.Parameter(torch.zeros(1, config.picture_width))
        self.null_sync = nn.Parameter(torch.zeros(1, config.timing_width))
        # The text encoder's features of an empty prompt, stored and not trained.
        self.register_buffer("null_text", torch.zeros(config.num_text_tokens, config.text_width))
        if config.has_transcript:
            self.transcript_in = nn.Sequential(nn.Linear(config.text_width, width), nn.SiLU(), nn.Linear(width, width))
            self.null_transcript = nn.Parameter(torch.zeros(config.num_transcript_tokens, config.text_width))
        if config.has_ambient:
            self.ambient_in = nn.Linear(config.ambient_pool * config.latent_width, width)
            self.ambient_statistics = nn.Linear(2 * config.latent_width, width)
            self.null_ambient = nn.Parameter(torch.zeros(config.latent_width, 1))
        self.joint_blocks = nn.ModuleList(
            self._joint_block(is_last=index == config.num_joint_blocks - 1) for index in range(config.num_joint_blocks)
        )
        self.fused_blocks = nn.ModuleList(
            JointBlock([StreamBlock(width, config.num_heads, hidden, kernel_size=3)])
            for _ in range(config.num_fused_blocks)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation_out = nn.Linear(width, 2 * width)
        self.project_out = TokenConv(width, config.latent_width, 7)
        for layer in (self.modulation_out, self.project_out):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.register_buffer("latent_mean", torch.zeros(config.latent_width, 1))
        self.register_buffer("latent_deviation", torch.ones(config.latent_width, 1))

    def _joint_block(self, *, is_last: bool) -> JointBlock:
        """Return a block of the streams sound, pictures and context; the last two end with the last one."""
        config = self.config
        return JointBlock(
            [
                StreamBlock(
                    config.width,
                    config.num_heads,
                    config.hidden_width,
                    kernel_size=kernel_size,
                    is_only_read=is_last and stream > 0,
                )
                for stream, kernel_size in enumerate((3, 3, 1))
            ]
        )

    def normalise(self, latents: Tensor) -> Tensor:
        """Return the codec's `latents` (B, D, L) with zero mean and unit variance by channel."""
        return (latents - self.latent_mean) / self.latent_deviation

    def unnormalise(self, latents: Tensor) -> Tensor:
        """Return what the codec decodes (B, D, L) of normalised `latents`."""
        return latents * self.latent_deviation + self.latent_mean

    def with_nulls(self, conditioning: Conditioning, known: Known) -> Conditioning:
        """Return `conditioning` with its nulls wherever `known` is False."""

        def shown(where: Tensor, values: Tensor, null: Tensor) -> Tensor:
            return torch.where(where[:, None, None], values, null)

        transcript, ambient = conditioning.transcript, conditioning.ambient
        return replace(
            conditioning,
            pictures=shown(known.video, conditioning.pictures, self.null_pictures),
            sync=shown(known.video, conditioning.sync, self.null_sync),
            text=shown(known.text, conditioning.text, self.null_text),
            transcript=None if transcript is None else shown(known.transcript, transcript, self.null_transcript),
            ambient=None if ambient is None else shown(known.ambient, ambient, self.null_ambient),
        )

    def prepare(self, conditioning: Conditioning, num_latent_frames: int) -> Prepared:
        """Return the conditioning of a clip of `num_latent_frames`, projected; raises InputError for other sizes."""
        self._check(conditioning)
        dtype = self.project_out.weight.dtype
        pictures = self.picture_in(conditioning.pictures.to(dtype))
        text = self.text_in(conditioning.text.to(dtype))
        summary = self.summary(self.picture_pool(pictures.mean(dim=1)) + self.text_pool(text.mean(dim=1)))
        context = [text]
        batch = len(text)
        if self.config.has_transcript:
            transcript = conditioning.transcript
            if transcript is None:
                transcript = self.null_transcript.expand(batch, -1, -1)
            context.append(self.transcript_in(transcript.to(dtype)))
        if self.config.has_ambient:
            ambient = conditioning.ambient
            if ambient is None:
                ambient = self.null_ambient.expand(batch, -1, self.config.ambient_pool)
            tokens, statistics = self._ambient(ambient.to(dtype))
            context.append(tokens)
            summary = summary + statistics
        grouped = conditioning.sync.to(dtype).unflatten(1, (-1, self.config.sync_group)) + self.sync_positions
        sync = self.sync_in(grouped.flatten(1, 2))
        indices = stretch_indices(sync.shape[1], num_latent_frames).to(sync.device)
        return Prepared(pictures=pictures, context=torch.cat(context, dim=1), sync=sync[:, indices], summary=summary)

    def forward(self, x: Tensor, progress: Tensor, prepared: Prepared) -> Tensor:
        """Return the velocity (B, D, L) at `x` (B, D, L) and `progress` (B,), 0 at noise and 1 at data."""
        dtype = self.project_out.weight.dtype
        clip = (prepared.summary + self.time_in(self.time_features(progress).to(dtype)))[:, None]
        frame = clip + prepared.sync
        latent_angles, picture_angles = self.angles(x.shape[2], prepared.pictures.shape[1], x.device)
        streams = [self.latent_in(x.transpose(1, 2).to(dtype)), prepared.pictures, prepared.context]
        for block in self.joint_blocks:
            streams = block(streams, (frame, clip, clip), (latent_angles, picture_angles, None))
        sound = streams[:1]
        for block in self.fused_blocks:
            sound = block(sound, (frame,), (latent_angles,))
        # By the clip's condition, not the frame's: published weights depend on it.
        shift, scale = self.modulation_out(nn.functional.silu(clip)).chunk(2, dim=-1)
        velocity: Tensor = self.project_out(self.norm(sound[0]) * (1 + scale) + shift)
        return velocity.transpose(1, 2).to(x.dtype)

    def angles(self, num_latent_frames: int, num_pictures: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return rotary angles of sound and pictures; a picture lies at the latent frame of its moment."""
        width = self.config.head_width
        step = num_latent_frames / num_pictures
        return rotary_angles(num_latent_frames, width, device), rotary_angles(num_pictures, width, device, step=step)

    def time_features(self, progress: Tensor) -> Tensor:
        """Return cosines and sines (B, F) of `progress` (B,), in float32 whatever the weights' precision.

        Angles reach `time_scale`: half precision, or another expression for the rates, would change fast ones wholly.
        """
        count = self.config.num_time_features
        places = torch.arange(0, count, 2, dtype=torch.float32, device=progress.device) / count
        angles = progress.float()[:, None] * (self.config.time_scale * (1.0 / 10_000.0**places))
        return torch.cat((angles.cos(), angles.sin()), dim=1)

    def _check(self, conditioning: Conditioning) -> None:
        config = self.config
        for name, tensor, width in (
            ("pictures", conditioning.pictures, config.picture_width),
            ("sync tokens", conditioning.sync, config.timing_width),
            ("text tokens", conditioning.text, config.text_width),
        ):
            if tensor.ndim != 3 or tensor.shape[1] < 1 or tensor.shape[2] != width:
                raise InputError(f"{name} must be (B, N, {width}) with N at least 1, not {tuple(tensor.shape)}")
        if conditioning.sync.shape[1] % config.sync_group:
            raise InputError(
                f"{conditioning.sync.shape[1]} sync tokens are not a multiple of the {config.sync_group} of a stretch"
            )
        for name, given, is_used in (
            ("a transcript", conditioning.transcript, config.has_transcript),
            ("an ambient clip", conditioning.ambient, config.has_ambient),
        ):
            if given is not None and not is_used:
                raise InputError(f"this network has no place for {name}; leave it out")

    def _ambient(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (B, L' / pool, D) of ambient `latents` (B, D, L'), and their statistics' share of a summary."""
        pool = self.config.ambient_pool
        whole = latents[..., : latents.shape[2] // pool * pool]
        tokens = self.ambient_in(whole.unflatten(2, (-1, pool)).permute(0, 2, 1, 3).flatten(2))
        # The null is constant in time, where the gradient of a plain deviation has no value.
        deviation = (latents.var(dim=2, correction=0) + 1e-4).sqrt()
        return tokens, self.ambient_statistics(torch.cat((latents.mean(dim=2), deviation), dim=1))


def published_name(name: str) -> str:
    """Return MMAudio's name of our tensor `name`."""
    if name.startswith("fused_blocks."):
        name = name.replace(".streams.0.", ".")
    if "_blocks." in name:
        name = name.replace(".project_out.", ".linear1.")
    for ours, theirs in PUBLISHED.items():
        name = re.sub(rf"(^|\.){re.escape(ours)}(?=\.|$)", rf"\g<1>{theirs}", name)
    return name


def published_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return MMAudio's shape of our tensor `name` of `shape`."""
    match name:
        case "latent_mean" | "latent_deviation":
            return (1, 1, shape[0])
        case "sync_positions":
            return (1, 1, *shape)
        case _:
            return shape


def from_published(entries: Mapping[str, Tensor], config: NetworkConfig, *, source: str) -> dict[str, Tensor]:
    """Return a network's tensors from a published file, which `source` names in errors.

    Raises ModelError when a name is missing or unknown or a shape differs.
    """
    own = shapes_of(lambda: Network(config))
    wanted = {published_name(name): published_shape(name, shape) for name, shape in own.items()}
    check_entries(entries, wanted, source=source, ignored=RECOMPUTED)
    return {
        name: _reordered(name, entries[published_name(name)].float().reshape(shape), config.num_heads)
        for name, shape in own.items()
    }


def _reordered(name: str, tensor: Tensor, num_heads: int) -> Tensor:
    """Return a published tensor with attention's channels in our order; all others pass.

    Published rows go by head, channel, then query, key or value; ours by query, key or value, then head and channel.
    Published rotation turns neighbouring channels, ours one from either half: queries and keys are reordered to fit.
    """
    if re.search(r"\.project_in\.(weight|bias)$", name):
        parts = tensor.unflatten(0, (num_heads, -1, 3)).movedim(2, 0)  # (3, heads, head_width, ...)
        turned = torch.cat((parts[:2, :, 0::2], parts[:2, :, 1::2]), dim=2)
        return torch.cat((turned, parts[2:])).flatten(0, 2)
    if re.search(r"\.(query|key)_norm\.weight$", name):
        return torch.cat((tensor[0::2], tensor[1::2]))
    return tensor
