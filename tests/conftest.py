"""Settings and media that tests of several packages share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("foleykit", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("foleykit")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test draws the same random numbers every time, alone or after others."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def debug_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a complete model with random weights: everything about it works except its sound."""
    from foleykit.audio.files import write_waveform
    from foleykit.codecs.istft_vocoder import IstftVocoder
    from foleykit.codecs.mel_vae import MelVae
    from foleykit.core.checkpoint import save_weights
    from foleykit.core.config import save_config
    from foleykit.encoders.similarity import AvSimilarity
    from foleykit.encoders.visual.two_rate import TwoRateEncoder
    from foleykit.models.avldm.network import Denoiser
    from foleykit.models.avldm.presets import debug
    from foleykit.models.events import EventReader

    folder = tmp_path_factory.mktemp("models") / "debug"
    folder.mkdir()
    config = debug()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = {
            "codec": MelVae(config.codec),
            "vocoder": IstftVocoder(config.vocoder),
            "video": TwoRateEncoder(config.video),
            "denoiser": Denoiser(config.denoiser),
            "similarity": AvSimilarity(config.similarity),
            "events": EventReader(config.video.width),
        }
        for module in parts.values():
            for parameter in module.parameters():
                # Zero-initialised outputs would hide every condition.
                torch.nn.init.normal_(parameter, std=0.05)
    # Random latents decode to something loud enough to be levelled.
    torch.nn.init.constant_(parts["codec"].decoder[-1].bias, 2.0)
    for name, module in parts.items():
        save_weights(module, folder / f"{name}.safetensors")
    save_config(config, folder / "config.json")
    (folder / "MODEL_CARD.md").write_text("---\nlicense: cc0-1.0\n---\n# A model that knows nothing\n")
    (folder / "ambient").mkdir()
    noise = np.random.default_rng(0).standard_normal((1, config.window_samples)).astype(np.float32)
    for name, level in (("quiet", 1e-3), ("fan", 3e-2), ("rain", 1e-1)):
        write_waveform(folder / "ambient" / f"{name}.flac", level * noise, config.sample_rate)
    (folder / "ambient" / "library.json").write_text(json.dumps({"clips": ["quiet", "fan", "rain"]}))
    return folder


@pytest.fixture(scope="session")
def make_video(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that encodes a video of a moving square, with or without a stereo tone."""

    def make(
        name: str = "clip.mp4",
        *,
        seconds: float = 2.0,
        fps: int = 30,
        size: tuple[int, int] = (96, 64),
        codec: str = "mpeg4",
        tone_hz: float | None = None,
        audio_codec: str = "aac",
    ) -> Path:
        path = tmp_path_factory.mktemp("media") / name
        width, height = size
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=fps)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            sound = container.add_stream(audio_codec, rate=48_000, layout="stereo") if tone_hz else None
            for index in range(round(seconds * fps)):
                picture = np.full((height, width, 3), 40, np.uint8)
                left = 5 * index % (width - 16)
                picture[8:24, left : left + 16] = (220, 120, 30)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, fps)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            if sound is not None:
                time = np.arange(round(seconds * 48_000)) / 48_000
                tone = 0.25 * np.sin(2 * np.pi * tone_hz * time).astype(np.float32)
                samples = av.AudioFrame.from_ndarray(np.stack([tone, 0.5 * tone]), format="fltp", layout="stereo")
                samples.sample_rate, samples.pts, samples.time_base = 48_000, 0, Fraction(1, 48_000)
                container.mux(sound.encode(samples))
                container.mux(sound.encode(None))
        return path

    return make


@pytest.fixture(scope="session")
def clip(make_video: Callable[..., Path]) -> Path:
    """Return a two-second video without sound."""
    return make_video()


@pytest.fixture(scope="session")
def clip_with_tone(make_video: Callable[..., Path]) -> Path:
    """Return a two-second video with a stereo 440 Hz tone, its right channel at half the level of its left."""
    return make_video("tone.mp4", tone_hz=440.0)
