"""Without a prompt the shipped model is told in words what is seen to happen, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

import foleykit
from foleykit.models.avldm.pipeline import AvLdmPipeline
from foleykit.models.textvideo.pipeline import TextVideoPipeline, VideoFeatures
from foleykit.world.config import WorldConfig
from foleykit.world.prompts import SUBSTANCES, describe, materials_in
from foleykit.world.stream import make_take
from foleykit.world.types import MATERIALS

FPS = 25
WEIGHTS = Path(foleykit.__file__).parent / "weights"


@pytest.fixture(scope="module")
def pipeline() -> TextVideoPipeline:
    return TextVideoPipeline.load(WEIGHTS / "tiny-textvideo")


@pytest.fixture(scope="module")
def places() -> Sequence[NDArray[np.uint8]]:
    """Return 3 s of each of two places in which different materials are seen to be struck."""
    return [make_take(WorldConfig(seconds=3.0), seed=0, index=index, split="test").frames for index in (3, 4)]


def encoded(pipeline: TextVideoPipeline, frames: NDArray[np.uint8]) -> VideoFeatures:
    return pipeline.encode([frames], seconds=len(frames) / FPS)


def sound(
    pipeline: TextVideoPipeline, features: VideoFeatures, *, prompt: str = "", negative_prompt: str = ""
) -> NDArray[np.float32]:
    num_samples = round(features.seconds * pipeline.config.sample_rate)
    ambient = pipeline.quiet().waveform
    scale = pipeline.config.sampling.guidance_scale
    return pipeline.generate(
        features,
        num_samples=num_samples,
        prompt=prompt,
        negative_prompt=negative_prompt,
        ambient=ambient,
        num_steps=2,
        guidance_scale=scale,
    )


def seen(pipeline: TextVideoPipeline, features: VideoFeatures, start: float = 0.0, end: float = 60.0) -> str:
    events = pipeline.read_events(features)
    return describe([(event.action, event.material) for event in events if start <= event.time < end])


@pytest.fixture
def texts(pipeline: TextVideoPipeline, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which every text that is read is added."""
    read: list[str] = []
    encode: Callable[[str], Tensor] = pipeline.conditioner.encode_text

    def listed(text: str) -> Tensor:
        read.append(text)
        return encode(text)

    monkeypatch.setattr(pipeline.conditioner, "encode_text", listed)
    return read


def test_no_prompt_is_the_prompt_of_what_is_seen(
    pipeline: TextVideoPipeline, places: Sequence[NDArray[np.uint8]]
) -> None:
    features = encoded(pipeline, places[0])
    words = seen(pipeline, features)
    assert materials_in(words)
    np.testing.assert_array_equal(sound(pipeline, features), sound(pipeline, features, prompt=words))
    assert not np.array_equal(sound(pipeline, features), sound(pipeline, features, prompt="cloth rolling"))


def test_both_models_see_the_same_in_strange_pictures_and_are_as_sure_of_it(
    pipeline: TextVideoPipeline, places: Sequence[NDArray[np.uint8]]
) -> None:
    upside_down_negative = 255 - places[0][:, ::-1]
    features, base = encoded(pipeline, upside_down_negative), AvLdmPipeline.load(WEIGHTS / "tiny-avldm")
    theirs = base.encode([upside_down_negative])
    assert features.strangeness == theirs.strangeness > 0
    events = pipeline.read_events(features)
    assert events and events == base.read_events(theirs)
    beginning = pipeline.beginning(features, 2.0)
    assert beginning.evidence is not None and len(beginning.evidence) == len(beginning.segments)


def test_every_window_is_told_what_is_seen_in_it(
    pipeline: TextVideoPipeline, places: Sequence[NDArray[np.uint8]], texts: list[str]
) -> None:
    features = encoded(pipeline, np.concatenate([places[0], places[1], places[1]]))
    sound(pipeline, features)
    told = list(dict.fromkeys(text for text in texts if text))
    assert len(told) > 1 and told[0] == seen(pipeline, features, 0.0, pipeline.config.window_seconds)
    texts.clear()
    sound(pipeline, features, prompt="glass taps")
    assert set(texts) == {"glass taps", ""}


def test_what_is_unwanted_is_not_said(
    pipeline: TextVideoPipeline, places: Sequence[NDArray[np.uint8]], texts: list[str]
) -> None:
    features = encoded(pipeline, places[0])
    unwanted = materials_in(seen(pipeline, features))
    negative = " and ".join(SUBSTANCES[material][-1] for material in unwanted)
    sound(pipeline, features, negative_prompt=negative)
    assert negative in texts and not any(set(materials_in(text)) & set(unwanted) for text in texts if text != negative)
    sound(pipeline, features, negative_prompt=" ".join(MATERIALS))
    assert texts[-2:] == ["", " ".join(MATERIALS)]
