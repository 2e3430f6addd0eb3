"""Weights on disk: safetensors only, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from foleykit.core.errors import ModelError

Module = TypeVar("Module", bound=nn.Module)
NAMES_SHOWN = 3
"""Of the names that do not fit, so that a message stays one line."""


def save_tensors(tensors: Mapping[str, Tensor], path: Path, *, half: bool = False) -> None:
    """Write `tensors` to `path`; `half` stores floating tensors as fp16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch()
    mode = temporary.stat().st_mode
    save_file(stored, temporary)
    # safetensors makes its files readable by their owner alone.
    temporary.chmod(mode)
    temporary.replace(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read every tensor of `path`; raises ModelError when it is absent or damaged."""
    if not path.is_file():
        raise ModelError(f"no weights at {path}; train the stage or download the model first")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path} is not a whole safetensors file ({error}); copy or train it again") from error


def save_weights(module: nn.Module, path: Path, *, half: bool = False) -> None:
    """Write a module's state."""
    save_tensors(module.state_dict(), path, half=half)


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill `module` from `path`; raises ModelError naming the first missing, unexpected or mis-shaped tensor."""
    stored = load_tensors(path)
    own = module.state_dict()
    check_fit(own, stored, path)
    module.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in stored.items()})


def build_with_weights(build: Callable[[], Module], path: Path, dtype: torch.dtype = torch.float32) -> Module:
    """Return what `build` makes, its tensors being those of `path` in `dtype`, without a second copy in memory.

    For large modules all of whose tensors are saved. Raises ModelError as `load_weights` does.
    """
    stored = load_tensors(path)
    with torch.device("meta"):
        module = build()
    check_fit(module.state_dict(), stored, path)
    module.load_state_dict(
        {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in stored.items()},
        assign=True,
    )
    return module


def check_fit(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], path: Path) -> None:
    """Raise ModelError naming the first missing, unexpected or mis-shaped tensor of `stored`."""
    problems = [f"{name} is missing" for name in own.keys() - stored.keys()]
    problems += [f"{name} is not of this model" for name in stored.keys() - own.keys()]
    problems += [
        f"{name} has shape {tuple(stored[name].shape)}, not {tuple(own[name].shape)}"
        for name in own.keys() & stored.keys()
        if own[name].shape != stored[name].shape
    ]
    if problems:
        raise ModelError(f"{path.name} does not fit the model: {sorted(problems)[0]} ({len(problems)} problems)")


def check_entries(
    entries: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    source: str,
    ignored: Set[str] = frozenset(),
) -> None:
    """Raise ModelError, one line with all sorts of misfit, unless `entries` without `ignored` are as `shapes` says.

    For published files, of which `source` is the name; `check_fit` is for our own.
    """
    found = {
        "missing": shapes.keys() - entries.keys(),
        "unexpected": entries.keys() - shapes.keys() - ignored,
        "mis-shaped": {
            f"{name} {tuple(entries[name].shape)} instead of {shape}"
            for name, shape in shapes.items()
            if name in entries and tuple(entries[name].shape) != shape
        },
        "not floating": {
            f"{name} ({entries[name].dtype})"
            for name in shapes.keys() & entries.keys()
            if not entries[name].is_floating_point()
        },
    }
    problems = [f"{len(names)} {kind}: {_shown(sorted(names))}" for kind, names in found.items() if names]
    if problems:
        raise ModelError(f"{source} does not fit; {'; '.join(problems)}")


def _shown(names: list[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the state of what `build` makes, without making it in memory."""
    with torch.device("meta"):
        module = build()
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def with_weights(module: Module, path: Path) -> Module:
    """Return `module` filled from `path`."""
    load_weights(module, path)
    return module


def frozen(module: Module, device: torch.device | str) -> Module:
    """Return `module` on `device`, in evaluation mode, its weights fixed."""
    return module.to(device).eval().requires_grad_(False)


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(*modules: nn.Module) -> str:
    """Return a short hash of all weights: what was made with them is never taken for what other weights would make."""
    digest = hashlib.sha256()
    for module in modules:
        for tensor in module.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def files_digest(paths: Sequence[Path], settings: object) -> str:
    """Return the same of files with weights, and of `settings`, JSON-ready, under which they are used."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in paths:
        digest.update(sha256(path).encode())
    return digest.hexdigest()[:12]


def flat_optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's per-parameter tensors as "index.name" entries."""
    return {
        f"{index}.{name}": value
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def restore_optimizer_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `flat_optimizer_state` returned; learning rates stay the optimizer's own."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
