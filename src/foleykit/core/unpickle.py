"""Checkpoints in torch's pickle format, read as data: nothing in them is executed, whatever they contain."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

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
    try:
        loaded = _load_zip(path) if zipfile.is_zipfile(path) else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path.name} holds more than weights ({_first_line(error)}); nothing in it was executed"
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, AssertionError, TypeError, AttributeError) as error:
        raise ModelError(f"{path.name} is not a whole torch checkpoint ({_first_line(error)})") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(key, str) for key in loaded):
        raise ModelError(f"{path.name} holds {type(loaded).__name__}, not named entries")
    return loaded


def _load_zip(path: Path) -> object:
    """Load a file in the format that torch has written since version 1.6."""
    unknown = sorted(get_unsafe_globals_in_checkpoint(path))
    code = [name for name in unknown if not INERT.fullmatch(name)]
    if code:
        raise ModelError(f"{path.name} holds code besides weights: {', '.join(code[:3])}; nothing in it was executed")
    with safe_globals([(Inert, name) for name in unknown]):
        return torch.load(path, "cpu", weights_only=True, mmap=True)


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
    match = re.search(r"GLOBAL (\S+)", str(error))
    return f"it names {match[1]}" if match else text.strip().splitlines()[0][:160] if text.strip() else "empty"
