"""EnCodec as AudioCraft saves it: the settings beside the weights, and the weights' names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from torch import Tensor

from foleykit.codecs.encodec import EncodecCodec, EncodecConfig
from foleykit.core.checkpoint import check_entries, shapes_of
from foleykit.core.errors import ConfigError, ModelError

RENAMED = (
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"\.(conv|convtr)\.\1\.", ".conv."),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
    (r"^quantizer\.vq\.layers\.(\d+)\._codebook\.", r"quantizer.layers.\1.codebook."),
)
"""AudioCraft's names to transformers', one after the other."""
EXPECTED: Mapping[str, tuple[object, ...]] = {
    "compression_model": ("encodec",),
    "channels": (1,),
    "encodec.autoencoder": ("seanet",),
    "encodec.quantizer": ("rvq",),
    "encodec.renormalize": (False,),
    "seanet.activation": ("ELU",),
    "seanet.activation_params": (None, {"alpha": 1.0}),
    "seanet.norm": ("weight_norm",),
    "seanet.disable_norm_outer_blocks": (None, 0),
    "seanet.encoder": (None, {}),
    "seanet.decoder.final_activation": (None,),
    "seanet.decoder.trim_right_ratio": (None, 1.0),
}
"""What transformers' EnCodec can be, by setting; it computes something else for all other values."""


class Settings:
    """A training's settings as AudioCraft keeps them: YAML in which `${a.b}` stands for another entry."""

    def __init__(self, text: str, *, source: str) -> None:
        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ModelError(f"the settings in {source} are not YAML: {str(error).splitlines()[0]}") from error
        if not isinstance(values, dict):
            raise ModelError(f"the settings in {source} hold no named entries")
        self.values = values
        self.source = source

    def get(self, name: str, *, is_needed: bool = False) -> Any:
        """Return the entry `name`, such as "seanet.ratios", references followed; None where there is none.

        Raises ModelError for an absent entry that is needed and for references that lead nowhere.
        """
        seen = [name]
        while True:
            value: Any = self.values
            for part in seen[-1].split("."):
                value = value.get(part) if isinstance(value, dict) else None
            reference = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
            if reference is None:
                break
            if reference[1] in seen:
                raise ModelError(f"the settings in {self.source} refer from {name} to themselves")
            seen.append(reference[1])
        if value is None and (is_needed or len(seen) > 1):
            raise ModelError(f"the settings in {self.source} do not say {seen[-1]}; nothing is assumed in its place")
        return value

    def number(self, name: str) -> int:
        """Return a whole number; raises ModelError where it is anything else."""
        value = self.get(name, is_needed=True)
        if type(value) is not int:
            raise ModelError(f"{name} in {self.source} must be a whole number, not {value!r}")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean; raises ModelError where it is anything else."""
        value = self.get(name, is_needed=True)
        if type(value) is not bool:
            raise ModelError(f"{name} in {self.source} must be true or false, not {value!r}")
        return value


def config_of(text: str, *, source: str) -> EncodecConfig:
    """Return the configuration that AudioCraft's settings `text` state.

    Raises ModelError when an entry is absent and when transformers' EnCodec would compute something else.
    """
    settings = Settings(text, source=source)
    for name, possible in EXPECTED.items():
        value = settings.get(name)
        if value not in possible:
            raise ModelError(
                f"{source} was trained with {name} = {value!r}, which transformers' EnCodec cannot express; "
                f"it computes as with {possible[-1]!r}"
            )
    ratios = settings.get("seanet.ratios", is_needed=True)
    if not isinstance(ratios, list) or not all(type(ratio) is int for ratio in ratios):
        raise ModelError(f"seanet.ratios in {source} must be a list of whole numbers, not {ratios!r}")
    try:
        return EncodecConfig(
            pad_mode=settings.get("seanet.pad_mode", is_needed=True),
            sample_rate=settings.number("sample_rate"),
            width=settings.number("seanet.n_filters"),
            ratios=tuple(ratios),
            latent_width=settings.number("seanet.dimension"),
            num_codebooks=settings.number("rvq.n_q"),
            codebook_size=settings.number("rvq.bins"),
            num_residual_layers=settings.number("seanet.n_residual_layers"),
            kernel_size=settings.number("seanet.kernel_size"),
            last_kernel_size=settings.number("seanet.last_kernel_size"),
            residual_kernel_size=settings.number("seanet.residual_kernel_size"),
            dilation_growth=settings.number("seanet.dilation_base"),
            compress=settings.number("seanet.compress"),
            num_lstm_layers=settings.number("seanet.lstm"),
            is_causal=settings.flag("encodec.causal"),
            has_conv_shortcut=not settings.flag("seanet.true_skip"),
        )
    except ConfigError as error:
        raise ModelError(f"{source}: {error}") from error


def from_published(entries: Mapping[str, Tensor], config: EncodecConfig, *, source: str) -> dict[str, Tensor]:
    """Return AudioCraft's tensors under the names of an `EncodecCodec`.

    Raises ModelError when a name is missing or unknown or a shape differs.
    """
    renamed = {own_name(name): tensor for name, tensor in entries.items()}
    check_entries(renamed, shapes_of(lambda: EncodecCodec(config)), source=source)
    return {name: tensor.float() for name, tensor in renamed.items()}


def own_name(name: str) -> str:
    """Return the name in our codec of a tensor in AudioCraft's file."""
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
