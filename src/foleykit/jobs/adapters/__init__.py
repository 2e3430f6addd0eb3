"""The one place that tells the families of models apart on the path from video to sound."""

from __future__ import annotations

from typing import assert_never

from foleykit.jobs.adapters.avldm import AvLdmAdapter
from foleykit.jobs.adapters.base import Adapter
from foleykit.jobs.adapters.foleygen import FoleyGenAdapter
from foleykit.jobs.adapters.textvideo import TextVideoAdapter
from foleykit.jobs.soundtrack import Dtype
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.avldm.published.pipeline import Action2SoundPipeline
from foleykit.models.foleygen.pipeline import FoleyGenPipeline
from foleykit.models.textvideo.pipeline import TextVideoPipeline

Model = AvLdmPipeline | Action2SoundPipeline | FoleyGenPipeline | TextVideoPipeline


def adapter_of(model: Model, name: str, *, device: str, dtype: Dtype) -> Adapter:
    """Return the adapter of a loaded model's family; `name` is what its user calls it."""
    match model:
        case AvLdmPipeline() | Action2SoundPipeline():
            return AvLdmAdapter(model, name, device=device, dtype=dtype)
        case FoleyGenPipeline():
            return FoleyGenAdapter(model, name)
        case TextVideoPipeline():
            return TextVideoAdapter(model, name)
        case _:
            assert_never(model)
