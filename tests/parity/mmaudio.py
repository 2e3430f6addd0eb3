"""MMAudio's recordings: the weights and inputs that their folder describes."""

from __future__ import annotations

import json
import math

import torch
from torch import Tensor

from parity.fixtures import Recording, manifest, recipe, recording, shapes

FOLDER = "mmaudio"
HALVED = {
    "cls_token",
    "pos_embed",
    "temp_embed",
    "sync_pos_emb",
    "empty_string_feat",
    "empty_clip_feat",
    "empty_sync_feat",
    "latent_mean",
    "positional_embedding",
    "class_embedding",
}


def recorded(name: str) -> Recording:
    return recording(name, FOLDER)


def config_of(name: str) -> dict:
    """Return the configuration in a recording's header."""
    return json.loads(recorded(name).header["config"])


def weights(name: str) -> dict[str, Tensor]:
    """Return the weights of manifest `mmaudio_{name}`, under their published names."""
    skipped = set(manifest(f"mmaudio_{name}")["not_filled"])
    wanted = {key: shape for key, shape in shapes(f"mmaudio_{name}").items() if key not in skipped}
    filled = {}
    for index, key in enumerate(sorted(wanted)):
        generator = torch.Generator().manual_seed(recipe(FOLDER)["seed_base"] + index)
        filled[key] = scaled(key, torch.randn(wanted[key], generator=generator))
    return filled


def scaled(name: str, drawn: Tensor) -> Tensor:
    last = name.rpartition(".")[2]
    if last.endswith("bias"):
        return 0.02 * drawn
    if last in HALVED:
        return 0.5 * drawn
    if last == "latent_std":
        return 1 + 0.1 * drawn.abs()
    if last in ("alpha", "beta"):
        return 0.3 * drawn
    if last == "learnable_gain":
        return 0.1 * drawn
    if last == "original0":
        return (1 + 0.02 * drawn) * (0.02 if name.startswith("conv_post.") else 1)
    if last == "logit_scale" or drawn.ndim == 1:
        return 1 + 0.02 * drawn
    return drawn / math.sqrt(math.prod(drawn.shape[1:]))


def seeded_input(name: str, index: int, *shape: int) -> Tensor:
    """Return input `index` of a real-size network, which is drawn and not stored."""
    seed = recipe(FOLDER)["input_seed"] + int(recorded(name).header["input_offset"]) + index
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def check_spots(recording: Recording, state: dict[str, Tensor]) -> None:
    """Assert that `state` holds the very weights that the recording was made with."""
    for spot in json.loads(recording.header["spot"]):
        tensor = state[spot["name"]]
        expected = torch.tensor(spot["first4"])[: tensor.numel()]
        torch.testing.assert_close(tensor.flatten()[:4], expected, atol=1e-6, rtol=0)
