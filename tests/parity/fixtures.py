"""Recorded inputs and outputs of public implementations, and the reproducible weights they were recorded with."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

VARIABLE = "FOLEYKIT_PARITY"
EMBEDDINGS = {"cls_token", "dist_token", "pos_embed", "temporal_embed", "pos_audio", "pos_video"}


def root() -> Path:
    """Return the folder of recordings; skips the test where there is none."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} does not name a folder of recorded reference numbers")
    return Path(folder)


@cache
def recipe(folder: str = "avldm") -> dict[str, Any]:
    return json.loads((root() / folder / "recipe.json").read_text())


@cache
def manifest(name: str) -> dict[str, Any]:
    """Return a state dict's names and shapes, with the configuration it belongs to."""
    return json.loads((root() / "manifests" / f"{name}.json").read_text())


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in manifest(name)["shapes"].items()}


def weights(name: str, *, offset: int = 0) -> dict[str, Tensor]:
    """Return the weights of a manifest: a function of the position among the sorted names, and of the seed base."""
    skipped = set(manifest(name).get("not_filled", ()))
    filled = {}
    for index, (key, shape) in enumerate(sorted(item for item in shapes(name).items() if item[0] not in skipped)):
        generator = torch.Generator().manual_seed(recipe()["seed_base"] + offset + index)
        filled[key] = scaled(key, torch.randn(shape, generator=generator))
    return filled


def scaled(name: str, drawn: Tensor) -> Tensor:
    last = name.rpartition(".")[2]
    if last == "bias":
        return 0.02 * drawn
    if last in EMBEDDINGS:
        return 0.5 * drawn
    if last == "weight_g" or drawn.ndim == 1:
        return 1 + 0.02 * drawn
    return drawn / math.sqrt(math.prod(drawn.shape[1:]))


def filled(keys: list[dict[str, Any]], spread: float = 0.02) -> dict[str, Tensor]:
    """Return the weights of a manifest that states seed, kind and first values of every tensor; `spread` is of the
    random ones that are no norms."""
    tensors = {}
    for key in keys:
        drawn = torch.randn(key["shape"], generator=torch.Generator().manual_seed(key["seed"]))
        made = {"randn": spread * drawn, "norm": 1 + 0.02 * drawn, "one": torch.ones_like(drawn)}[key["kind"]]
        if spread == 0.02:
            head = torch.tensor(key["head"])
            torch.testing.assert_close(made.flatten()[: len(head)], head, atol=1e-6, rtol=1e-5)
        tensors[key["key"]] = made
    return tensors


def formula_video(batch: int, num_frames: int, size: int, phase: float) -> Tensor:
    """Return pictures (B, T, 3, H, H) as the network takes them, after normalisation."""
    b, t, c, y, x = torch.meshgrid(
        *(torch.arange(count, dtype=torch.float64) for count in (batch, num_frames, 3, size, size)), indexing="ij"
    )
    waves = torch.sin(0.11 * x + 0.05 * y + 0.3 * t + 1.3 * c + 0.7 * b + phase)
    return (waves + 0.5 * torch.cos(0.07 * y - 0.21 * t + 0.5 * c)).float()


@dataclass(frozen=True)
class Recording:
    """One file of recorded tensors."""

    name: str
    folder: str = "avldm"

    @property
    def path(self) -> Path:
        return root() / self.folder / f"{self.name}.safetensors"

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.path)

    @cached_property
    def header(self) -> dict[str, str]:
        with safe_open(self.path, "pt") as file:
            return file.metadata()

    def given(self, name: str) -> Tensor:
        return self.tensors[f"in.{name}"]

    def expected(self, name: str) -> Tensor:
        return self.tensors[f"out.{name}"]

    @property
    def outputs(self) -> list[str]:
        return sorted(name.removeprefix("out.") for name in self.tensors if name.startswith("out."))

    def check_spots(self, state: dict[str, Tensor], *, key: str = "spot") -> None:
        """Assert that `state` holds the very weights that the recording was made with."""
        for name, spot in json.loads(self.header[key]).items():
            torch.testing.assert_close(
                state[name].flatten()[:4], torch.tensor(spot["first4"])[: state[name].numel()], atol=1e-6, rtol=0
            )


def recording(name: str, folder: str = "avldm") -> Recording:
    root()
    return Recording(name, folder)


RESULTS: dict[str, tuple[float, float]] = {}
"""Largest error and its tolerance by fixture and output; `conftest` writes them where a file is asked for."""


def assert_near(what: str, actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Assert that no element differs by more than `tolerance`, and note the largest difference."""
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)} is not {tuple(expected.shape)}"
    error = float((actual.double() - expected.double()).abs().max())
    RESULTS[what] = (error, tolerance)
    assert error <= tolerance, f"{what}: the largest error is {error:.2e}, more than {tolerance:.0e}"


def assert_relatively_near(what: str, actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Assert that the norm of the difference is at most `tolerance` times that of `expected`."""
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)} is not {tuple(expected.shape)}"
    error = float((actual.double() - expected.double()).norm() / expected.double().norm())
    RESULTS[f"{what}, relative L2"] = (error, tolerance)
    assert error <= tolerance, f"{what}: the relative error is {error:.2e}, more than {tolerance:.0e}"
