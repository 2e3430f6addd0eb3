"""Contrastive Language-Image Pre-training (Radford et al. 2021): the two towers through transformers, from our folders.

Tensors carry transformers' names; `from_open_clip` takes them from a file in OpenCLIP's layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from foleykit.core.checkpoint import check_entries, shapes_of
from foleykit.core.errors import ConfigError, InputError
from foleykit.core.packages import check_published

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class ClipImageConfig:
    """The image tower; the defaults are ViT-H/14 at 378 pixels."""

    input_size: int = 384
    """Side of the square pictures that are given, in pixels; what exceeds `size` is cut off at right and bottom."""
    size: int = 378
    """Side of the square that is seen: a multiple of `patch_size`."""
    patch_size: int = 14
    width: int = 1280
    num_blocks: int = 32
    num_heads: int = 16
    """Attention heads; must divide `width`."""
    expansion: int = 4
    """Hidden channels of the feed-forward layers over `width`."""

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")
        if self.size % self.patch_size or self.input_size < self.size:
            raise ConfigError(f"size {self.size} must be a multiple of {self.patch_size} and at most input_size")


@dataclass(frozen=True, kw_only=True)
class ClipTextConfig:
    """The text tower; the defaults go with ViT-H/14."""

    vocabulary_size: int = 49_408
    num_tokens: int = 77
    width: int = 1024
    num_blocks: int = 24
    num_heads: int = 16
    """Attention heads; must divide `width`."""
    expansion: int = 4

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ConfigError(f"width {self.width} is not divisible by num_heads {self.num_heads}")


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    image: ClipImageConfig = field(default_factory=ClipImageConfig)
    text: ClipTextConfig = field(default_factory=ClipTextConfig)
    embedding_width: int = 1024
    """Channels of a picture's embedding."""


class ClipImageTower(nn.Module):
    """Pictures to one unit vector each."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        check_published("transformers", "CLIP")
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        image = config.image
        self.config = image
        self.model = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=image.width,
                intermediate_size=image.expansion * image.width,
                projection_dim=config.embedding_width,
                num_hidden_layers=image.num_blocks,
                num_attention_heads=image.num_heads,
                image_size=image.size,
                patch_size=image.patch_size,
                hidden_act="quick_gelu",
            )
        )

    def project(self, pictures: Tensor) -> Tensor:
        """Return embeddings (B, E), not normalised, of `pictures` (B, 3, H, H) in [0, 1].

        The published patch grid leaves the last rows and columns of its input unseen; they are cut off. Raises
        InputError for another size.
        """
        size, given = self.config.size, self.config.input_size
        if pictures.shape[1:] != (3, given, given):
            raise InputError(f"pictures must be (B, 3, {given}, {given}), not {tuple(pictures.shape)}")
        dtype = next(self.parameters()).dtype
        mean, deviation = (pictures.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        seen = ((pictures - mean) / deviation)[:, :, :size, :size]
        embeddings: Tensor = self.model(pixel_values=seen.to(dtype)).image_embeds
        return embeddings.float()

    def forward(self, pictures: Tensor) -> Tensor:
        """Return unit embeddings (B, E) of `pictures` (B, 3, H, H) in [0, 1]."""
        return nn.functional.normalize(self.project(pictures), dim=-1)


class ClipTextTower(nn.Module):
    """Token ids to one vector for each token."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        check_published("transformers", "CLIP")
        from transformers import CLIPTextConfig, CLIPTextModel

        text = config.text
        self.config = text
        model = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=text.vocabulary_size,
                max_position_embeddings=text.num_tokens,
                hidden_size=text.width,
                intermediate_size=text.expansion * text.width,
                num_hidden_layers=text.num_blocks,
                num_attention_heads=text.num_heads,
                hidden_act="quick_gelu",
                bos_token_id=text.vocabulary_size - 2,
                eos_token_id=text.vocabulary_size - 1,
                pad_token_id=0,
            )
        )
        # Some versions of transformers wrap the tower once more.
        self.model = getattr(model, "text_model", model)

    def hidden(self, ids: Tensor) -> Tensor:
        """Return (B, N, D) of token `ids` (B, N) after the last norm, every token seeing those before it."""
        states: Tensor = self.model(input_ids=ids).last_hidden_state
        return states.float()

    def forward(self, ids: Tensor) -> Tensor:
        """Return a unit vector for each token, (B, N, D), of token `ids` (B, N), padding included."""
        return nn.functional.normalize(self.hidden(ids), dim=-1)


def restore_positions(tower: nn.Module) -> None:
    """Put back the tables of position numbers, which are not saved and so are not loaded."""
    for module in tower.modules():
        table = getattr(module, "position_embedding", None)
        if isinstance(table, nn.Embedding):
            numbers = torch.arange(table.num_embeddings, device=table.weight.device)
            module.register_buffer("position_ids", numbers[None], persistent=False)


_OUTER = {
    "embeddings.class_embedding": "visual.class_embedding",
    "embeddings.patch_embedding.weight": "visual.conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "pre_layrnorm": "visual.ln_pre",
    "post_layernorm": "visual.ln_post",
    "final_layer_norm": "ln_final",
    "visual_projection.weight": "visual.proj",
}
_INNER = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
UNUSED = frozenset({"logit_scale", "logit_bias", "text_projection"})
"""Entries of an OpenCLIP file that only its training loss needs."""


def open_clip_name(name: str, *, is_image: bool) -> str:
    """Return OpenCLIP's name of a tower's tensor `name`; query, key and value are rows of one tensor there."""
    inner = name.removeprefix("model.").removeprefix("vision_model.")
    tower = "visual." if is_image else ""
    if match := re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)", inner):
        block, rest = match.groups()
        if part := re.fullmatch(r"self_attn\.[qkv]_proj\.(weight|bias)", rest):
            return f"{tower}transformer.resblocks.{block}.attn.in_proj_{part[1]}"
        module, _, last = rest.rpartition(".")
        return f"{tower}transformer.resblocks.{block}.{_INNER[module]}.{last}"
    if inner in _OUTER:
        found = _OUTER[inner]
        return f"{tower}{found}" if found == "positional_embedding" else found
    module, _, last = inner.rpartition(".")
    return f"{_OUTER[module]}.{last}"


def from_open_clip(
    entries: Mapping[str, Tensor], config: ClipConfig, *, source: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of image and text tower from a file in OpenCLIP's layout, which `source` names in errors.

    Raises ModelError when a name is missing or unknown or a shape differs.
    """
    towers = (shapes_of(lambda: ClipImageTower(config)), shapes_of(lambda: ClipTextTower(config)))
    wanted: dict[str, tuple[int, ...]] = {}
    for own, is_image in zip(towers, (True, False), strict=True):
        for name, shape in own.items():
            published = open_clip_name(name, is_image=is_image)
            wanted[published] = open_clip_shape(published, shape)
    check_entries(entries, wanted, source=source, ignored=UNUSED)
    image, text = (
        {name: _taken(entries, name, is_image=is_image) for name in own}
        for own, is_image in zip(towers, (True, False), strict=True)
    )
    return image, text


def open_clip_shape(published: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return OpenCLIP's shape of the tensor with its name `published`, ours being of `shape`."""
    if ".in_proj_" in published:
        return (3 * shape[0], *shape[1:])
    return shape[::-1] if published == "visual.proj" else shape


def _taken(entries: Mapping[str, Tensor], name: str, *, is_image: bool) -> Tensor:
    """Return our tensor `name`, cut or turned out of OpenCLIP's."""
    published = open_clip_name(name, is_image=is_image)
    tensor = entries[published].float()
    if published == "visual.proj":
        return tensor.T.contiguous()
    if part := re.search(r"self_attn\.([qkv])_proj", name):
        return tensor.chunk(3)["qkv".index(part[1])].contiguous()
    return tensor
