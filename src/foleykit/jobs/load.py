"""A model by name, loaded and ready for video files."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never, get_args

from foleykit.core.errors import UsageError
from foleykit.jobs.adapters import Model
from foleykit.jobs.models import describe_model
from foleykit.jobs.pipeline import FoleyPipeline
from foleykit.jobs.soundtrack import Dtype
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.avldm.published.pipeline import Action2SoundPipeline
from foleykit.models.foleygen.pipeline import FoleyGenPipeline
from foleykit.models.textvideo.pipeline import TextVideoPipeline


def load(
    name: str | Path = "tiny-avldm", *, device: str = "cpu", dtype: Dtype = "float32", local_files_only: bool = True
) -> FoleyPipeline:
    """Return a ready pipeline: frames in, a `Soundtrack` out.

    `name` is a shipped model, a model folder or the name of one in foleykit's own folder, `device` a torch device or
    "auto" (a GPU where there is one). Nothing is downloaded: `local_files_only=False` is refused, for only
    `foley models download` fetches models.

    Raises ModelError when the model is missing or incomplete and UsageError for an unknown device or dtype.
    """
    if not local_files_only:
        raise UsageError("only `foley models download` fetches models; name a shipped model or a local folder")
    if dtype not in get_args(Dtype):
        raise UsageError(f'unknown dtype "{dtype}"; choose float32, bfloat16 or float16')
    import torch

    description = describe_model(name)
    device = choose_device(device)
    model: Model
    match description.kind:
        case "avldm":
            model = AvLdmPipeline.load(description.folder, device=device)
        case "action2sound":
            model = Action2SoundPipeline.load(description.folder, device=device, dtype=getattr(torch, dtype))
        case "foleygen":
            model = FoleyGenPipeline.load(description.folder, device=device, dtype=getattr(torch, dtype))
        case "textvideo":
            model = TextVideoPipeline.load(description.folder, device=device, dtype=getattr(torch, dtype))
        case _:
            assert_never(description.kind)
    return FoleyPipeline(model, description, device=device, dtype=dtype)


def choose_device(name: str) -> str:
    """Return a torch device that exists here; "auto" is the first GPU, else the CPU. Raises UsageError."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f'unknown device "{name}"; use cpu, cuda, cuda:1, mps or auto') from error
    num_devices = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= num_devices:
        raise UsageError(f'device "{name}" is not available here; `foley doctor` lists what is')
    return name
