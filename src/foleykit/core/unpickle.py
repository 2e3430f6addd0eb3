"""Checkpoints in torch's pickle format, read as data: nothing in them is executed, whatever they contain."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from foleykit.core.checkpoint import load_tensors
from foleykit.core.errors import ModelError

INERT = re.compile(
    r"(pytorch_lightning|lightning)(\.\w+)+"  # callbacks, which key their states by class; hyper-parameters
    r"|[\w.]*callbacks?\.\w+|[\w.]*\.\w*(Callback|Checkpoint|Stopping)"
    r"|[\w.]*parse_config\w*\.ConfigParser|pathlib\.\w*Path"  # run configurations beside the weights
    r"|numpy(\.\w+)*\.(scalar|dtype|ndarray|_reconstruct)"  # scores
)
"""Names of classes that training programs leave beside the weights; they are replaced by `Inert`."""


class Inert:
    """Stands for an object that is not wanted: takes every argument and state, and does nothing."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def read_checkpoint(path: Path) -> Mapping[str, object]:
    """Return the top-level entries of a torch checkpoint or, as `state_dict`, the tensors of a safetensors file.

    Tensors stay in the file until they are used, so that unused ones (an optimiser's) cost no memory. Raises ModelError
    in one line when the file is absent, cut off, not a checkpoint, or holds anything but data.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}")
    if path.suffix == ".safetensors":
        return {"state_dict": load_tensors(path)}
    with _as_model_error(path):
        loaded = _load_zip(path) if zipfile.is_zipfile(path) else _load_legacy(path)
    if not isinstance(loaded, Mapping) or not all(isinstance(key, str) for key in loaded):
        raise ModelError(f"{path.name} holds {type(loaded).__name__}, not named entries")
    return loaded


@contextmanager
def _as_model_error(path: Path) -> Iterator[None]:
    """Turn what torch raises on a file that is not what it should be into one line."""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds more than weights ({_first_line(error)}); nothing in it was executed"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, AssertionError, TypeError, AttributeError) as error:
        raise ModelError(f"{path.name} is not a whole torch checkpoint ({_first_line(error)})") from error


def _load_zip(path: Path) -> object:
    """Load a file in the format that torch has written since version 1.6."""
    unknown = sorted(get_unsafe_globals_in_checkpoint(path))
    code = [name for name in unknown if not INERT.fullmatch(name)]
    if code:
        raise ModelError(f"{path.name} holds code besides weights: {', '.join(code[:3])}; nothing in it was executed")
    with safe_globals([(Inert, name) for name in unknown]):
        return torch.load(path, "cpu", weights_only=True, mmap=True)


def _load_legacy(path: Path) -> object:
    """Load a file in torch's older format, which cannot be searched for names before it is read.

    Reading stops at the first name that torch does not know; where that one is inert, it starts again.
    """
    inert: list[str] = []
    while True:
        try:
            with safe_globals([(Inert, name) for name in inert]):
                return torch.load(path, "cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            name = _unknown_global(error)
            if name is None or name in inert or not INERT.fullmatch(name):
                raise
            inert.append(name)


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Return the numpy arrays and tensors that a torch file holds by name, as tensors.

    Numpy's array constructors are the only names allowed besides torch's own. Raises ModelError in one line when the
    file is absent, not a checkpoint, or holds anything but named numbers.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}")
    with safe_globals(array_globals()), _as_model_error(path):
        loaded = torch.load(path, "cpu", weights_only=True)
    if not isinstance(loaded, Mapping):
        raise ModelError(f"{path.name} holds {type(loaded).__name__}, not named entries")
    found: dict[str, Tensor] = {}
    for name, value in loaded.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            # Copied, and in native byte order, which torch asks for.
            value = torch.from_numpy(np.array(value, value.dtype.newbyteorder("=")))
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ModelError(f"{path.name} holds more than named numbers: {name!r} is a {type(value).__name__}")
        found[name] = value
    return found


def array_globals() -> list[Any]:
    """Return what pickled arrays of numbers name, in numpy of before and after version 2."""
    rebuild = np.zeros(0).__reduce__()[0]
    kinds = (np.float16, np.float32, np.float64, np.int32, np.int64, np.uint8)
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    return [
        np.ndarray,
        np.dtype,
        *{type(np.dtype(kind)) for kind in kinds},
        *((rebuild, f"{module}._reconstruct") for module in modules),
    ]


def tensors_of(entries: Mapping[str, object], path: Path, *keys: str) -> dict[str, Tensor]:
    """Return the tensors under the first of `keys` that `entries` have, or `entries` themselves where they are tensors.

    Raises ModelError when there are none.
    """
    found = next((entries[key] for key in keys if key in entries), entries)
    if not isinstance(found, Mapping) or not found:
        raise ModelError(f"{path.name} has no weights under {' or '.join(keys)}")
    other = [name for name, value in found.items() if not isinstance(value, Tensor)]
    if other:
        raise ModelError(f"{path.name} has no weights under {' or '.join(keys)}: {other[0]} is not a tensor")
    return {str(name): tensor for name, tensor in found.items()}


def _first_line(error: BaseException) -> str:
    """Return what torch says, without its advice to switch the protection off."""
    text = str(error).strip().partition("\n\n")[2] or str(error)
    name = _unknown_global(error)
    return f"it names {name}" if name else text.strip().splitlines()[0][:160] if text.strip() else "empty"


def _unknown_global(error: BaseException) -> str | None:
    """Return the name that torch refused, where that is what it says."""
    match = re.search(r"GLOBAL (\S+)", str(error))
    return match[1] if match else None
